/*
 * `etxtbsy sweep` on what real writers leave when they are killed, on what they still hold, and on what only looks like that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define COMMAND BUILD_DIR "/etxtbsy"
#define AS_NOBODY "setpriv --reuid=65534 --regid=65534 --clear-groups "
#define DEAD "2147483647"

static struct place place;

static void enter(void)
{
    place_make(&place);
}

static void leave(void)
{
    place_remove(&place);
}

TestSuite(sweep, .init = enter, .fini = leave, .timeout = 60);

/* A writer under the shim that has written half, and a child of it that holds the stage for a minute. Returns the writer's pid. */
static pid_t start_writer(const char *file)
{
    char command[PATH_MAX + 200], path[PATH_MAX];
    snprintf(path, sizeof path, "%s/writer", place.root);
    unlink(path);
    snprintf(command, sizeof command,
             "setsid sh -c 'exec > %s; echo half; sleep 60 & echo $$ > ../writer.; mv ../writer. ../writer; wait' & :", file);
    cr_assert_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0);
    cr_assert(eventually(access(path, F_OK) == 0));
    char *text = read_file(path, NULL);
    pid_t pid = (pid_t)atoi(text);
    free(text);
    cr_assert_gt(pid, 0);
    return pid;
}

static bool has_ended(pid_t pid)
{
    char path[64], link[8];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return readlink(path, link, sizeof link) < 0;
}

/* Whether the stage in the directory is free of holders: the kernel's word. */
static bool is_unheld(void)
{
    char path[PATH_MAX] = "";
    DIR *directory = opendir(place.directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strstr(entry->d_name, ".etxtbsy-"))
            snprintf(path, sizeof path, "%s/%s", place.directory, entry->d_name);
    closedir(directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* With all that it has started, and waits until nothing of it has the stage. */
static void kill_writer(pid_t pid)
{
    cr_assert_eq(kill(-pid, SIGKILL), 0);
    cr_assert(eventually(has_ended(pid) && is_unheld()));
}

static pid_t busy_writer(void)
{
    run_busy(place.target);
    return start_writer(place.target);
}

/* The one finding that a sweep reports as JSON. */
static struct json_object *ask_for_one(const char *command)
{
    struct said said = ask(&place, command);
    struct json_object *object = json_tokener_parse(said.out);
    cr_assert_not_null(object, "%s%s", said.out, said.err);
    struct json_object *list = json_field(object, "found");
    cr_assert_eq(json_object_array_length(list), 1, "%s", said.out);
    struct json_object *one = json_object_get(json_object_array_get_idx(list, 0));
    json_object_put(object);
    free(said.out);
    free(said.err);
    return one;
}

static void put(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", place.directory, name);
    write_file(path, "x", 0600);
}

/* Where a file can be born without a name, nothing of ours is ever too young to be judged. */
static bool has_nameless_files(void)
{
    int fd = open(place.directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

Test(sweep, removes_what_a_killed_writer_left)
{
    pid_t writer = busy_writer();
    kill_writer(writer);
    cr_assert_eq(litter_count(&place), 1);
    char maker[64];
    snprintf(maker, sizeof maker, "/.target.etxtbsy-%d-", writer);
    if (has_nameless_files()) {
        expect_said(&place, COMMAND " sweep --dry-run $PWD", 0, "would-remove  /", "");
        cr_expect_eq(litter_count(&place), 1);
        expect_said(&place, COMMAND " sweep -n .", 0, maker, "");
        expect_said(&place, COMMAND " sweep .", 0, ": 5 bytes that a killed writer left\n", "");
    } else {
        fprintf(stderr, "skipped: no O_TMPFILE here, so what is young is left\n");
        expect_said(&place, COMMAND " sweep .", 0, "young ", "");
        cr_expect_eq(litter_count(&place), 1);
        return;
    }
    cr_expect_eq(litter_count(&place), 0);
    cr_expect(same_content(place.target, TARGET_PROGRAM));
    expect_said(&place, COMMAND " sweep .", 0, "", "");
}

Test(sweep, leaves_what_is_held_and_says_by_whom)
{
    pid_t writer = busy_writer();
    char *before = tree_text(place.directory), by[64];
    for (int dry_run = 1; dry_run >= 0; dry_run--) {
        struct json_object *one = ask_for_one(dry_run ? COMMAND " sweep --json -n ." : COMMAND " sweep --json .");
        cr_expect_str_eq(json_object_get_string(json_field(one, "what")), "held");
        cr_expect_eq(json_object_get_int64(json_field(one, "creator")), writer);
        struct json_object *processes = json_field(one, "processes");
        bool named = false;
        for (size_t i = 0; i < json_object_array_length(processes); i++)
            named |= json_object_get_int64(json_field(json_object_array_get_idx(processes, i), "pid")) == writer;
        cr_expect(named, "%s", json_object_to_json_string(one));
        json_object_put(one);
    }
    snprintf(by, sizeof by, "%d (sh)", writer);
    expect_said(&place, COMMAND " sweep .", 0, by, "");
    char *after = tree_text(place.directory);
    cr_expect_str_eq(after, before, "something was touched");

    free(before);
    free(after);
    kill_writer(writer);
}

/* The maker is dead, a child of it writes on. */
Test(sweep, leaves_what_an_heir_holds)
{
    pid_t writer = busy_writer();
    kill(writer, SIGKILL); /* alone */
    cr_assert(eventually(has_ended(writer)));
    struct json_object *one = ask_for_one(COMMAND " sweep --json .");
    cr_expect_str_eq(json_object_get_string(json_field(one, "what")), "held");
    struct json_object *processes = json_field(one, "processes");
    cr_expect_geq(json_object_array_length(processes), 1);
    for (size_t i = 0; i < json_object_array_length(processes); i++)
        cr_expect_neq(json_object_get_int64(json_field(json_object_array_get_idx(processes, i), "pid")), writer);
    json_object_put(one);
    expect_said(&place, COMMAND " sweep .", 0, "open in ", "");
    cr_expect_eq(litter_count(&place), 1);
    kill(-writer, SIGKILL);
}

/* Nobody holds it, but its maker may have to commit it: a leaked descriptor had kept it from doing so. */
Test(sweep, leaves_what_its_maker_may_have_to_finish)
{
    run_busy(place.target);
    const char *const command =
        "exec 3> $TARGET; echo whole >&3; sleep 60 3>&3 & holder=$!; exec 3>&-;" /* pending: sleep holds it */
        "kill -9 $holder; wait $holder 2> /dev/null;" COMMAND " sweep . > ../report; echo $$ > ../maker";
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/report", place.root);
    char *report = read_file(path, NULL), *content = read_file(place.target, NULL);
    /* The shell's own next call may have finished it before the sweep came. */
    cr_expect(!*report || strstr(report, "still runs, and may have to finish it"), "%s", report);
    cr_expect_null(strstr(report, "removed"), "%s", report);
    cr_expect_str_eq(content, "whole\n");
    cr_expect_eq(litter_count(&place), 0);
    free(report);
    free(content);

    char name[NAME_MAX];
    snprintf(name, sizeof name, ".app.etxtbsy-%d-012345678000", getpid());
    put(name);
    struct json_object *one = ask_for_one(COMMAND " sweep --json .");
    cr_expect_str_eq(json_object_get_string(json_field(one, "what")), "awaited");
    cr_expect_eq(json_object_array_length(json_field(one, "processes")), 0);
    json_object_put(one);
    expect_said(&place, COMMAND " sweep .", 0, "still runs, and may have to finish it\n", "");
    cr_expect_eq(litter_count(&place), 1);
}

Test(sweep, leaves_what_the_library_never_makes)
{
    expect_said(&place,
                "cp $NEW victim; ln -s victim .a.etxtbsy-" DEAD "-012345678000; mkfifo .b.etxtbsy-" DEAD "-012345678000;"
                "mkdir .c.etxtbsy-" DEAD "-012345678000; ln victim .d.etxtbsy-" DEAD "-012345678000",
                0, "", "");
    char *before = tree_text(place.directory);
    for (int i = 0; i < 2; i++)
        expect_said(&place, i ? COMMAND " sweep ." : COMMAND " sweep --dry-run .", 1,
                    "foreign       ./.a.etxtbsy-" DEAD "-012345678000: no regular file", "");
    expect_said(&place, COMMAND " sweep . | grep -c ^foreign", 0, "4\n", "");
    char *after = tree_text(place.directory);
    cr_expect_str_eq(after, before);
    free(before);
    free(after);
}

Test(sweep, names_kept_bytes_and_leaves_them_and_generations)
{
    put(".app.etxtbsy-kept-" DEAD "-012345678000");
    put(".app.etxtbsy-was-1");
    put(".app.etxtbsy-12-012345678000.conf");
    struct json_object *one = ask_for_one(COMMAND " sweep --json .");
    cr_expect_str_eq(json_object_get_string(json_field(one, "what")), "kept");
    cr_expect_str_eq(json_object_get_string(json_field(one, "path")), "./.app.etxtbsy-kept-" DEAD "-012345678000");
    json_object_put(one);
    expect_said(&place, COMMAND " sweep .", 1,
                "1 bytes that could not be delivered: move them to where they belong, or remove them\n", "");
    cr_expect_eq(litter_count(&place), 3);
}

/* The same, and who sweeps sees no process of the maker's. */
Test(sweep, leaves_what_another_container_may_have_to_finish)
{
    char path[PATH_MAX];
    run_busy(place.target);
    if (status_code(run_shell(&place, WITHOUT_SHIM, NULL, "unshare --fork --pid --mount-proc true")) != 0) {
        place_remove(&place);
        cr_skip_test("needs root and unshare");
    }
    const char *const command = "exec 3> $TARGET; echo whole >&3; sleep 60 3>&3 & holder=$!; exec 3>&-;"
                                "LD_PRELOAD= sh -c \"kill -9 $holder; sleep .3; unshare --fork --pid --mount-proc " COMMAND
                                " sweep . > ../report\" & wait $!";
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0);
    snprintf(path, sizeof path, "%s/report", place.root);
    char *report = read_file(path, NULL), *content = read_file(place.target, NULL);
    cr_expect(strstr(report, "young"), "%s", report);
    cr_expect_str_eq(content, "whole\n");
    cr_expect_eq(litter_count(&place), 0);
    free(report);
    free(content);
}

/* Where a name may be in the making, it has a minute. */
Test(sweep, tells_young_from_old_where_it_has_to)
{
    if (has_nameless_files() && geteuid() != 0) {
        place_remove(&place);
        cr_skip_test("needs root, or a file system without O_TMPFILE");
    }
    put(".app.etxtbsy-" DEAD "-012345678000");
    const char *command = COMMAND " sweep .";
    if (has_nameless_files()) { /* asked by somebody to whom the directory gives no such file */
        run_shell(&place, WITHOUT_SHIM, NULL, "cp " COMMAND " ../etxtbsy; chmod 755 ../etxtbsy; chmod 644 .app*");
        command = AS_NOBODY "../etxtbsy sweep .";
    }
    expect_said(&place, command, 0, "young         ./.app.etxtbsy-" DEAD "-012345678000: young", "");
    cr_expect_eq(litter_count(&place), 1);
}

Test(sweep, goes_through_all_directories_it_can)
{
    const char *const make =
        "rm -rf *; mkdir -p a/b/c d; for n in a a/b a/b/c d; do echo x > $n/.x.etxtbsy-" DEAD "-012345678000; done;"
        "ln -s $PWD/d a/link";
    if (!has_nameless_files()) {
        place_remove(&place);
        cr_skip_test("no O_TMPFILE here: what is young is left");
    }
    expect_said(&place, make, 0, "", "");
    expect_said(&place, COMMAND " sweep a nowhere d/.x* d > ../out2; s=$?; wc -l < ../out2; exit $s", 2, "2\n",
                "etxtbsy: nowhere: No such file or directory");
    expect_said(&place, "find . -name '.x*' | sort", 0,
                "./a/b/.x.etxtbsy-" DEAD "-012345678000\n./a/b/c/.x.etxtbsy-" DEAD "-012345678000\n", "");
    expect_said(&place, make, 0, "", "");
    expect_said(&place, COMMAND " sweep -r a | cut -d: -f1", 0,
                "removed       a/.x.etxtbsy-" DEAD "-012345678000\nremoved       a/b/.x.etxtbsy-" DEAD
                "-012345678000\nremoved       a/b/c/.x.etxtbsy-" DEAD "-012345678000\n",
                "");
    expect_said(&place, "find . -name '.x*'", 0, "./d/.x.etxtbsy-" DEAD "-012345678000\n", ""); /* not through the link */
    expect_said(&place, COMMAND " sweep a/link", 0, "removed", "");
    expect_said(&place, "find . -name '.x*'", 0, "", "");
    /* deeper than a process may have descriptors at first */
    expect_said(&place,
                "ulimit -Sn 64; p=.; for i in $(seq 150); do p=$p/x; done; mkdir -p $p; echo x > $p/.x.etxtbsy-" DEAD
                "-012345678000;" COMMAND " sweep -r . > ../out2; s=$?; wc -l < ../out2; exit $s",
                0, "1\n", "");
}

Test(sweep, of_a_directory_that_it_may_not_touch)
{
    if (geteuid() != 0) {
        place_remove(&place);
        cr_skip_test("needs root");
    }
    pid_t writer = busy_writer();
    kill_writer(writer);
    run_shell(&place, WITHOUT_SHIM, NULL,
              "cp " COMMAND " ../etxtbsy; chmod 755 ../etxtbsy; mkdir -m 700 closed; mkdir -m 777 open;"
              "mv .target* open; chmod 644 open/.target*; chmod 1777 open");
    /* somebody else's file in a sticky directory: seen, and not removed */
    expect_said(&place, AS_NOBODY "../etxtbsy sweep open", 1, "Operation not permitted\n", "");
    expect_said(&place, AS_NOBODY "../etxtbsy sweep closed", 2, "", "closed: Permission denied");
    expect_said(&place, AS_NOBODY "../etxtbsy sweep -r .", 2, "Operation not permitted\n", "closed: Permission denied");
    expect_said(&place, "ls -A open | wc -l", 0, "1\n", "");
    expect_said(&place, COMMAND " sweep -r .", 0, "removed", "");
    expect_said(&place, "ls -A open | wc -l", 0, "0\n", "");
}

Test(sweep, of_odd_names_is_printed_harmlessly)
{
    put(".o\033[31m\xff.etxtbsy-kept-" DEAD "-012345678000");
    expect_said(&place, COMMAND " sweep .", 1, "./.o\\x1b[31m\\xff.etxtbsy-kept-", "");
    struct json_object *one = ask_for_one(COMMAND " sweep --json .");
    cr_expect_not_null(json_field(one, "path_b64"));
    json_object_put(one);
    expect_said(&place, COMMAND " sweep \"$(printf 'x\\033')\"", 2, "", "x\\x1b: No such file");
}

Test(sweep, used_wrongly_says_so)
{
    expect_said(&place, COMMAND " sweep", 2, "", "takes the directories");
    expect_said(&place, COMMAND " sweep --frob .", 2, "", "frob");
    expect_said(&place, COMMAND " sweep $TARGET", 2, "", "Not a directory");
    expect_said(&place, COMMAND " sweep ''", 2, "", "No such file");
    expect_said(&place, COMMAND " sweep --help", 0, "usage: etxtbsy sweep", "");
    expect_said(&place, COMMAND " sweep --json . > /dev/full", 2, "", "can't write");
    put(".app.etxtbsy-kept-" DEAD "-012345678000");
    expect_said(&place, COMMAND " sweep . > /dev/full", 2, "", "can't write");
}

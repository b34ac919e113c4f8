/*
 * keep = N, `etxtbsy generations` and `etxtbsy rollback`, as whole programs: a target that runs is replaced again and again, and
 * what it was before stays, is listed, and comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define COMMAND BUILD_DIR "/etxtbsy"
#define AS_NOBODY "setpriv --reuid=65534 --regid=65534 --clear-groups "
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct place place;

static void enter(void)
{
    place_make(&place);
}

static void leave(void)
{
    place_remove(&place);
}

TestSuite(generations, .init = enter, .fini = leave, .timeout = 60);
TestSuite(rollback, .init = enter, .fini = leave, .timeout = 60);

/* ---- steps ---- */

/* A program that differs from all others by its last byte, over the running target. Returns the process that runs the old one. */
static pid_t replace_running(char letter, const char *environment)
{
    char command[200];
    pid_t pid = run_busy(place.target);
    snprintf(command, sizeof command, "{ cat %s; printf %c; } > ../next && cp ../next $TARGET", TARGET_PROGRAM, letter);
    int status = status_code(run_shell(&place, WITH_SHIM, environment, command));
    char *err = read_file(place.err, NULL);
    cr_assert_eq(status, 0, "%s", err);
    free(err);
    return pid;
}

/* The letter by which a program differs; 0 for the one that the place began with. */
static char letter_of(const char *path)
{
    size_t length, original;
    char *content = read_file(path, &length), *first = read_file(TARGET_PROGRAM, &original);
    char letter = length > original ? content[original] : '\0';
    cr_expect(length >= original && !memcmp(content, first, original), "%s is broken", path);
    free(content);
    free(first);
    return letter;
}

static const char *generation(unsigned number)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.target.etxtbsy-was-%u", place.directory, number);
    return path;
}

static bool exists(const char *path)
{
    struct stat file;
    return lstat(path, &file) == 0;
}

static ino_t inode_of(const char *path)
{
    struct stat file;
    cr_assert_eq(stat(path, &file), 0, "%s: %s", path, strerror(errno));
    return file.st_ino;
}

static struct json_object *ask_json(const char *command)
{
    struct said said = ask(&place, command);
    cr_assert_eq(said.status, 0, "%s: %s", command, said.err);
    struct json_object *object = json_tokener_parse(said.out);
    cr_assert_not_null(object, "%s", said.out);
    free(said.out);
    free(said.err);
    return object;
}

static bool is_run_by(struct json_object *one, pid_t pid, const char *comm)
{
    struct json_object *processes = json_field(one, "processes");
    for (size_t i = 0; i < json_object_array_length(processes); i++) {
        struct json_object *process = json_object_array_get_idx(processes, i);
        if (json_object_get_int64(json_field(process, "pid")) == pid)
            return !comm || !strcmp(json_object_get_string(json_field(process, "comm")), comm);
    }
    return false;
}

/* ---- keep = N ---- */

Test(generations, of_a_running_file_are_kept_and_pruned)
{
    ino_t inodes[5];
    for (int i = 0; i < 5; i++) {
        inodes[i] = inode_of(place.target);
        replace_running((char)('a' + i), "ETXTBSY_KEEP=3");
    }
    cr_expect_eq(letter_of(place.target), 'e');
    cr_expect_eq(litter_count(&place), 3);
    for (unsigned number = 3; number <= 5; number++) {
        cr_expect_eq(letter_of(generation(number)), 'a' + (int)number - 2);
        cr_expect_eq(inode_of(generation(number)), inodes[number - 1], "a copy, not a link");
    }
    struct json_object *lines = log_lines(&place);
    cr_expect_eq(json_object_array_length(lines), 5);
    for (unsigned i = 0; i < 5; i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        cr_expect_str_eq(line_string(line, "generation"), generation(i + 1));
        cr_expect_str_eq(line_string(line, "outcome"), "replaced");
        cr_expect_eq(line_number(line, "old_inode"), (int64_t)inodes[i]);
    }
    json_object_put(lines);
}

Test(generations, are_as_many_as_the_rule_for_the_path_says)
{
    char conf[PATH_MAX], text[PATH_MAX], environment[PATH_MAX + 32];
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    snprintf(text, sizeof text, "[rule]\npath = %s/target\nkeep = 1\n", place.directory);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    write_file(conf, text, 0644);
    replace_running('a', environment);
    replace_running('b', environment);
    cr_expect_eq(letter_of(generation(2)), 'a');
    cr_expect_eq(litter_count(&place), 1);
    run_shell(&place, WITHOUT_SHIM, NULL, "cp $TARGET other");
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s/other", place.directory);
    run_busy(other);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, "cp $NEW other")), 0);
    cr_expect_eq(litter_count(&place), 1, "another path has other rules");
}

Test(generations, are_kept_by_every_way_to_replace_a_file)
{
    static const char *const commands[] = {
        "cat $NEW > $TARGET",
        "echo x >> $TARGET",
        "truncate -s 1000 $TARGET",
        "dd if=$NEW of=$TARGET bs=1k conv=notrunc",
        "perl -e 'truncate($ENV{TARGET}, 7) or die'",
        "exec 3> $TARGET; cat $NEW >&3", /* replaced at its exit */
        "(sleep .2; cat $NEW) > $TARGET & wait",
    };
    char missing[100];
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strstr(commands[i], "perl") && !have_programs("perl", missing)) {
            fprintf(stderr, "skipped: %s isn't there\n", missing);
            continue;
        }
        place_reset(&place);
        pid_t pid = run_busy(place.target);
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=1", commands[i])), 0, "%s", commands[i]);
        cr_expect(same_content(generation(1), TARGET_PROGRAM), "%s", commands[i]);
        cr_expect_not(same_content(place.target, TARGET_PROGRAM), "%s", commands[i]);
        cr_expect_eq(litter_count(&place), 1, "%s", commands[i]);
        stop(pid);
    }
}

Test(generations, are_not_kept_where_nothing_is_replaced)
{
    run_busy(place.target);
    /* the same bytes; a refused one; a target that is gone; the action retry */
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=3", "cp " TARGET_PROGRAM " $TARGET")), 0);
    cr_expect_eq(litter_count(&place), 0);
    run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=3 ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=10ms", "cp $NEW $TARGET");
    cr_expect_eq(litter_count(&place), 0);
    run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=3", "ln $TARGET ../second; ETXTBSY_MAX_WAIT=10ms cp $NEW $TARGET; rm ../second");
    cr_expect_eq(litter_count(&place), 0);
    run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=3", "(rm $TARGET; cat $NEW) > $TARGET");
    cr_expect_eq(litter_count(&place), 0);
    cr_expect_eq(log_count(&place, "outcome", "discarded"), 1);
    struct json_object *lines = log_lines(&place), *value;
    for (size_t i = 0; i < json_object_array_length(lines); i++)
        cr_expect_not(json_object_object_get_ex(json_object_array_get_idx(lines, i), "generation", &value));
    json_object_put(lines);
}

Test(generations, that_can_not_be_kept_are_said_and_hold_up_nothing)
{
    char name[NAME_MAX + 1], path[PATH_MAX], command[2 * PATH_MAX];
    memset(name, 'n', 250);
    name[250] = '\0';
    snprintf(path, sizeof path, "%s/%s", place.directory, name);
    snprintf(command, sizeof command, "cp $TARGET %s", path);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, command)), 0);
    run_busy(path);
    snprintf(command, sizeof command, "cp $NEW %s", path);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=3", command)), 0);
    cr_expect(same_content(path, place.new));
    cr_expect_eq(log_count(&place, "reason", "generation-name"), 1);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    cr_expect_eq(litter_count(&place), 0);
}

/* A file that nobody runs is replaced, and kept, where the policy wants that; a new one has been nothing before. */
Test(generations, of_idle_files_are_kept_under_the_action_atomic)
{
    const char *const environment = "ETXTBSY_KEEP=2 ETXTBSY_WRITE=atomic";
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, "cp $NEW $TARGET; cat $NEW > fresh")), 0);
    cr_expect(same_content(generation(1), TARGET_PROGRAM));
    cr_expect(same_content(place.target, place.new));
    cr_expect_eq(litter_count(&place), 1);
    struct json_object *lines = log_lines(&place), *value;
    cr_assert_eq(json_object_array_length(lines), 2);
    cr_expect_str_eq(line_string(json_object_array_get_idx(lines, 0), "generation"), generation(1));
    cr_expect_not(json_object_object_get_ex(json_object_array_get_idx(lines, 1), "generation", &value));
    json_object_put(lines);
}

/* What a generation of a set-id program is: the example configuration warns of it. */
Test(generations, have_owner_and_mode_of_what_was_replaced)
{
    struct stat before, kept;
    cr_assert_eq(chmod(place.target, 04751), 0);
    cr_assert_eq(stat(place.target, &before), 0);
    replace_running('a', "ETXTBSY_KEEP=1");
    cr_assert_eq(stat(generation(1), &kept), 0);
    cr_expect_eq(kept.st_mode, before.st_mode);
    cr_expect_eq(kept.st_uid, before.st_uid);
    cr_expect_eq(kept.st_mtim.tv_sec, before.st_mtim.tv_sec);
    cr_expect_eq(kept.st_nlink, 1);
}

/* Programs that look for themselves, and tools that look for programs to restart, see what they see without generations. */
Test(generations, change_nothing_for_who_runs_the_old_file)
{
    char links[2][PATH_MAX] = { "", "" }, path[64];
    for (int keep = 0; keep < 2; keep++) {
        pid_t pid = replace_running('a' + (char)keep, keep ? "ETXTBSY_KEEP=1" : NULL);
        snprintf(path, sizeof path, "/proc/%d/exe", pid);
        cr_assert_gt(readlink(path, links[keep], PATH_MAX - 1), 0);
    }
    cr_expect_str_eq(links[0], links[1]);
    cr_expect_not_null(strstr(links[1], "/target (deleted)"), "%s", links[1]);
}

Test(generations, of_concurrent_deployers_are_whole_files)
{
    char command[700];
    run_busy(place.target);
    snprintf(command, sizeof command,
             "cd ..; all='1 2 3 4 5 6 7 8 9 10'; for i in $all; do yes $i | head -c 100000 > f$i; done;"
             "for i in $all; do (exec 3>$TARGET; : > ready$i; until test -e go; do sleep .02; done; cat f$i >&3) & done;"
             "for i in $all; do until test -e ready$i; do sleep .02; done; done; : > go; wait");
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=20", command)), 0);
    int kept = 0;
    for (unsigned number = 0; number <= 40; number++) {
        const char *path = number ? generation(number) : place.target;
        bool whole = number && same_content(path, TARGET_PROGRAM);
        if (!exists(path))
            continue;
        for (int i = 1; i <= 10; i++) {
            char written[PATH_MAX];
            snprintf(written, sizeof written, "%s/f%d", place.root, i);
            whole |= same_content(written, path);
        }
        cr_expect(whole, "%s is a mixture", path);
        kept += number != 0;
    }
    cr_expect_gt(kept, 0);
    cr_expect_eq(litter_count(&place), kept, "stages are left");
    struct stat file;
    cr_assert_eq(stat(place.target, &file), 0);
    cr_expect_eq(file.st_nlink, 1);
}

/* ---- etxtbsy generations ---- */

Test(generations, are_listed_with_who_runs_each)
{
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = replace_running((char)('a' + i), "ETXTBSY_KEEP=2");
    run_busy(place.target); /* runs what is there now, so none of them */
    struct json_object *object = ask_json("ln -s target link; " COMMAND " generations --json link"), *list;
    cr_expect_str_eq(json_object_get_string(json_field(object, "path")), place.target);
    list = json_field(object, "generations");
    cr_assert_eq(json_object_array_length(list), 2);
    for (unsigned i = 0; i < 2; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        struct stat file;
        char stamp[40];
        cr_assert_eq(stat(generation(3 - i), &file), 0);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime(&file.st_ctim.tv_sec));
        cr_expect_eq(json_object_get_int64(json_field(one, "n")), i + 1);
        cr_expect_str_eq(json_object_get_string(json_field(one, "path")), generation(3 - i));
        cr_expect_eq(json_object_get_int64(json_field(one, "size")), file.st_size);
        cr_expect_str_eq(json_object_get_string(json_field(one, "mode")), "0755");
        cr_expect_str_eq(json_object_get_string(json_field(one, "replaced")), stamp);
        for (int p = 0; p < 3; p++)
            cr_expect_eq(is_run_by(one, pids[p], "target"), p == 2 - (int)i, "generation %u, process %d", i + 1, p);
        cr_expect_eq(json_object_array_length(json_field(one, "processes")), 1);
    }
    json_object_put(object);

    char row[100];
    snprintf(row, sizeof row, "0755  %d (target)\n", pids[2]);
    expect_said(&place, COMMAND " generations $TARGET", 0, row, "");
    expect_said(&place, COMMAND " generations $TARGET", 0, "target: 2 generations\n", "");
    stop(pids[2]);
    stop(pids[1]);
    expect_said(&place, COMMAND " generations $TARGET | tail -n +4 | head -2 | grep -c -- ' -$'", 0, "2\n", "");
}

/* The file's time of change, which nobody can set: not what the name or utimensat says. */
Test(generations, say_when_they_were_replaced)
{
    time_t before = time(NULL);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "touch -d 2001-01-01 $TARGET")), 0);
    replace_running('a', "ETXTBSY_KEEP=1");
    time_t after = time(NULL);
    struct json_object *object = ask_json(COMMAND " generations -j $TARGET");
    struct tm tm = { 0 };
    const char *stamp =
        json_object_get_string(json_field(json_object_array_get_idx(json_field(object, "generations"), 0), "replaced"));
    cr_assert_not_null(strptime(stamp, "%Y-%m-%dT%H:%M:%SZ", &tm), "%s", stamp);
    time_t replaced = timegm(&tm);
    cr_expect_geq(replaced, before - 1);
    cr_expect_leq(replaced, after + 1);
    json_object_put(object);
}

Test(generations, that_are_mapped_are_in_use)
{
    int fd = open(place.target, O_RDONLY | O_CLOEXEC), ready[2];
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        (void)!write(ready[1], "x", mapped != MAP_FAILED);
        for (;;)
            pause();
    }
    char byte;
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(fd);
    replace_running('a', "ETXTBSY_KEEP=1");
    struct json_object *object = ask_json(COMMAND " generations --json $TARGET");
    cr_expect(is_run_by(json_object_array_get_idx(json_field(object, "generations"), 0), pid, NULL), "%s",
              json_object_to_json_string(object));
    json_object_put(object);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(generations, of_others_are_listed_without_their_processes)
{
    if (geteuid() != 0) {
        place_remove(&place);
        cr_skip_test("needs root");
    }
    pid_t pid = replace_running('a', "ETXTBSY_KEEP=1");
    run_shell(&place, WITHOUT_SHIM, NULL, "cp " COMMAND " ../etxtbsy; chmod 755 ../etxtbsy");
    struct json_object *object = ask_json(AS_NOBODY "../etxtbsy generations --json $TARGET");
    struct json_object *one = json_object_array_get_idx(json_field(object, "generations"), 0);
    cr_expect_not(is_run_by(one, pid, NULL));
    cr_expect_not(json_object_get_boolean(json_field(object, "all_processes_seen")));
    json_object_put(object);
    expect_said(&place, AS_NOBODY "../etxtbsy generations $TARGET", 0, "visible to root alone", "");
}

Test(generations, of_odd_names_are_printed_harmlessly)
{
    expect_said(&place,
                "cp $TARGET \"$(printf 'o\\033[31m\\377d')\"; cp $TARGET \"$(printf '.o\\033[31m\\377d.etxtbsy-was-1')\";" COMMAND
                " generations o*d",
                0, "/o\\x1b[31m\\xffd: 1 generation\n", "");
    struct json_object *object = ask_json(COMMAND " generations --json o*d");
    cr_expect_not_null(json_field(object, "path_b64"));
    cr_expect_not_null(json_field(json_object_array_get_idx(json_field(object, "generations"), 0), "path_b64"));
    json_object_put(object);
}

Test(generations, that_there_are_not)
{
    expect_said(&place, COMMAND " generations $TARGET", 0, "target: 0 generations\n", "");
    expect_said(&place, COMMAND " generations nowhere", 2, "", "nowhere: No such file or directory");
    expect_said(&place, COMMAND " generations nowhere/x", 2, "", "nowhere/x: No such file or directory");
    expect_said(&place, COMMAND " generations .", 2, "", "no regular file");
    expect_said(&place, "ln -s nowhere dangling; " COMMAND " generations dangling", 2, "", "leads nowhere");
    expect_said(&place, COMMAND " generations", 2, "", "takes one PATH");
    expect_said(&place, COMMAND " generations a b", 2, "", "takes one PATH");
    expect_said(&place, COMMAND " generations --frob", 2, "", "frob");
    expect_said(&place, COMMAND " generations --help", 0, "usage: etxtbsy generations", "");
    expect_said(&place, COMMAND " generations $TARGET > /dev/full", 2, "", "can't write");
    expect_said(&place, COMMAND " generations -j $TARGET > /dev/full", 2, "", "can't write");
    /* what has such a name and isn't one; and the file itself, left by somebody who was killed */
    expect_said(&place,
                "mkdir .target.etxtbsy-was-1; ln -s target .target.etxtbsy-was-2; mkfifo .target.etxtbsy-was-3;"
                "ln target .target.etxtbsy-was-4; touch .target.etxtbsy-was-05; " COMMAND " generations $TARGET",
                0, "target: 0 generations\n", "");
}

/* ---- etxtbsy rollback ---- */

Test(rollback, of_a_running_file_and_of_the_rollback)
{
    ino_t first = inode_of(place.target);
    replace_running('a', "ETXTBSY_KEEP=2");
    replace_running('b', "ETXTBSY_KEEP=2");
    pid_t running = run_busy(place.target);
    ino_t second = inode_of(generation(2)), third = inode_of(place.target);

    expect_said(&place, COMMAND " rollback $TARGET", 0,
                "put back .target.etxtbsy-was-2; the file that was there is generation 1 now", "");
    cr_expect_eq(inode_of(place.target), second, "the very file");
    cr_expect_eq(letter_of(place.target), 'a');
    cr_expect_eq(inode_of(generation(3)), third);
    cr_expect_not(exists(generation(2)));
    cr_expect_eq(kill(running, 0), 0);
    struct json_object *object = ask_json(COMMAND " generations --json $TARGET");
    cr_expect(is_run_by(json_object_array_get_idx(json_field(object, "generations"), 0), running, NULL));
    json_object_put(object);

    expect_said(&place, COMMAND " rollback $TARGET", 0, "put back", "");
    cr_expect_eq(inode_of(place.target), third, "taken back");
    /* the other one, by its number */
    expect_said(&place, COMMAND " rollback $TARGET 2", 0, "put back .target.etxtbsy-was-1;", "");
    cr_expect_eq(inode_of(place.target), first);
    cr_expect_eq(letter_of(place.target), 0);
    cr_expect_eq(litter_count(&place), 2, "as many as before");
    struct stat file;
    cr_assert_eq(stat(place.target, &file), 0);
    cr_expect_eq(file.st_nlink, 1);
    cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "$TARGET x")), 0, "it doesn't start");
    /* and it can be replaced again, behind all that */
    replace_running('c', "ETXTBSY_KEEP=2");
    cr_expect_eq(litter_count(&place), 2);
    cr_expect_eq(inode_of(generation(6)), first);
}

Test(rollback, follows_links_and_says_json)
{
    replace_running('a', "ETXTBSY_KEEP=2");
    struct json_object *object = ask_json("ln -s target link; ln -s dir/link ../link; " COMMAND " rollback --json ../link");
    cr_expect_str_eq(json_object_get_string(json_field(object, "path")), place.target);
    cr_expect_str_eq(json_object_get_string(json_field(object, "put_back")), generation(1));
    cr_expect_str_eq(json_object_get_string(json_field(object, "kept")), generation(2));
    cr_expect_not(json_object_get_boolean(json_field(object, "dry_run")));
    json_object_put(object);
    cr_expect_eq(letter_of(place.target), 0);
    expect_said(&place, "readlink link ../link", 0, "target\ndir/link\n", "");
}

/* After a power failure there is one of the two files: the directory is synced behind both of its changes. */
Test(rollback, is_synced)
{
    char missing[100];
    if (!have_programs("strace", missing)) {
        fprintf(stderr, "skipped: %s isn't there\n", missing);
        return;
    }
    replace_running('a', "ETXTBSY_KEEP=2");
    expect_said(&place,
                "strace -o ../trace -e trace=linkat,renameat2,fsync " COMMAND " rollback $TARGET > /dev/null;"
                "grep -o '^[a-z0-9]*(' ../trace",
                0, "linkat(\nrenameat2(\nfsync(\n", "");
}

/* Nobody may be led astray by the library that the command looks after. */
Test(rollback, works_under_the_library)
{
    replace_running('a', "ETXTBSY_KEEP=2");
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=2 ETXTBSY_WRITE=atomic", COMMAND " rollback $TARGET")), 0);
    cr_expect_eq(letter_of(place.target), 0);
    cr_expect_eq(letter_of(generation(2)), 'a');
    cr_expect_eq(log_count(&place, "comm", "etxtbsy"), 0);
}

Test(rollback, on_trial_changes_nothing)
{
    replace_running('a', "ETXTBSY_KEEP=2");
    char *before = tree_text(place.directory);
    expect_said(&place, COMMAND " rollback --dry-run $TARGET", 0, "would put back .target.etxtbsy-was-1; the present file would",
                "");
    struct json_object *object = ask_json(COMMAND " rollback -n -j $TARGET 1");
    cr_expect(json_object_get_boolean(json_field(object, "dry_run")));
    json_object_put(object);
    char *after = tree_text(place.directory);
    cr_expect_str_eq(after, before);
    free(before);
    free(after);
}

Test(rollback, of_a_file_that_is_gone)
{
    replace_running('a', "ETXTBSY_KEEP=2");
    expect_said(&place, "rm $TARGET; " COMMAND " generations $TARGET", 0, "it isn't there; 1 generation\n", "");
    expect_said(&place, COMMAND " rollback $TARGET", 0, "target: put back .target.etxtbsy-was-1\n", "");
    cr_expect_eq(letter_of(place.target), 0);
    cr_expect_eq(litter_count(&place), 0);
}

static void expect_refused(const char *command, int status, const char *err)
{
    char *before = tree_text(place.directory);
    expect_said(&place, command, status, "", err);
    char *after = tree_text(place.directory);
    cr_expect_str_eq(after, before, "%s", command);
    free(before);
    free(after);
}

Test(rollback, that_is_refused_changes_nothing)
{
    expect_refused(COMMAND " rollback $TARGET", 1, "target: there is no generation to put back");
    replace_running('a', "ETXTBSY_KEEP=2");
    expect_refused(COMMAND " rollback $TARGET 2", 1, "the oldest generation is 1: there is no 2");
    expect_refused(COMMAND " rollback $TARGET 0", 2, "N is a number from 1");
    expect_refused(COMMAND " rollback $TARGET x", 2, "N is a number from 1");
    expect_refused(COMMAND " rollback $TARGET 1 1", 2, "not 3 arguments");
    expect_refused(COMMAND " rollback", 2, "takes PATH");
    expect_refused(COMMAND " rollback nowhere", 2, "nowhere: No such file");
    expect_refused(COMMAND " rollback --frob $TARGET", 2, "frob");
    expect_said(&place, COMMAND " rollback --help", 0, "usage: etxtbsy rollback", "");
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "ln $TARGET second")), 0);
    expect_refused(COMMAND " rollback $TARGET", 1, "hard links");
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "rm second")), 0);
    if (geteuid() == 0) {
        cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp " COMMAND " ../etxtbsy; chmod 755 ../etxtbsy")), 0);
        expect_refused(AS_NOBODY "../etxtbsy rollback $TARGET", 2, "Permission denied");
        /* somebody else's file under such a name, where everybody may make names */
        cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                           "chmod 1777 .; cp $NEW .target.etxtbsy-was-9; chown 65534 .target.etxtbsy-was-9")),
                     0);
        expect_refused(COMMAND " rollback $TARGET", 1, "belongs to somebody else");
        expect_said(&place, COMMAND " rollback $TARGET 2", 0, "put back .target.etxtbsy-was-1;", "");
    }
}

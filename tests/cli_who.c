/*
 * `etxtbsy who`, `snapshot` and `doctor`, on processes that really hold something.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static struct place place;

static void make(void)
{
    place_make(&place);
}

static void drop(void)
{
    place_remove(&place);
}

TestSuite(who, .init = make, .fini = drop, .timeout = 60);
TestSuite(snapshot, .init = make, .fini = drop, .timeout = 60);
TestSuite(doctor, .init = make, .fini = drop, .timeout = 60);

static int etxtbsy(const char *environment, const char *arguments)
{
    char command[2000];
    snprintf(command, sizeof command, "\"$BUILD/etxtbsy\" %s", arguments);
    return status_code(run_shell(&place, WITHOUT_SHIM, environment, command));
}

static const char *output(void)
{
    return read_file(place.out, NULL);
}

static const char *errors(void)
{
    return read_file(place.err, NULL);
}

#define EXPECT_SAYS(text, part) cr_expect_not_null(strstr(text, part), "no \"%s\" in: %s", part, text)
#define EXPECT_SAYS_NOT(text, part) cr_expect_null(strstr(text, part), "\"%s\" in: %s", part, text)

static struct json_object *output_as_json(void)
{
    struct json_object *object = json_tokener_parse(output());
    cr_assert_not_null(object, "not JSON: %s", output());
    return object;
}

static const char *string_of(struct json_object *object, const char *name)
{
    return json_object_get_string(json_field(object, name));
}

/* The element of an array of objects whose pid it is. */
static struct json_object *with_pid(struct json_object *array, pid_t pid)
{
    for (size_t i = 0; i < json_object_array_length(array); i++)
        if (json_object_get_int64(json_field(json_object_array_get_idx(array, i), "pid")) == pid)
            return json_object_array_get_idx(array, i);
    cr_assert_fail("process %d isn't in %s", pid, json_object_to_json_string(array));
    return NULL;
}

/* A process that has only a writable shared mapping left. */
static pid_t hold_mapped(const char *path)
{
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(path, O_RDWR);
        void *mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (mapping == MAP_FAILED || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void replace(const char *path)
{
    char new[PATH_MAX];
    snprintf(new, sizeof new, "%s.new", path);
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "cp '%s' '%s' && mv '%s' '%s'", NEW_PROGRAM, new, new, path);
    cr_assert_eq(system(command), 0);
}

/* ---- who ---- */

Test(who, says_nobody_by_its_status)
{
    cr_expect_eq(etxtbsy(NULL, "who $TARGET"), 0);
    EXPECT_SAYS(output(), "nobody holds it");
}

Test(who, names_those_who_run_write_and_map)
{
    pid_t runs = run_busy(place.target), writes = hold_open(place.new, -1), maps = hold_mapped(place.new);
    char expected[64];
    cr_expect_eq(etxtbsy(NULL, "who $TARGET $NEW"), 1);
    const char *said = output();
    EXPECT_SAYS(said, place.target);
    snprintf(expected, sizeof expected, "%8d  ", runs);
    EXPECT_SAYS(said, expected);
    EXPECT_SAYS(said, "runs: 1. Who opens it for writing gets ETXTBSY");
    snprintf(expected, sizeof expected, "%8d  ", writes);
    EXPECT_SAYS(said, expected);
    EXPECT_SAYS(said, "writes: 1. Who starts it gets ETXTBSY");
    EXPECT_SAYS(said, "maps: 1. ");
    EXPECT_SAYS_NOT(said, "old version");
    EXPECT_SAYS_NOT(said, "\033");

    cr_expect_eq(etxtbsy(NULL, "who --json $TARGET $NEW"), 1);
    struct json_object *all = output_as_json();
    cr_assert_eq(json_object_array_length(all), 2);
    struct json_object *first = json_object_array_get_idx(all, 0), *second = json_object_array_get_idx(all, 1);
    cr_expect_str_eq(string_of(first, "target"), place.target);
    struct json_object *runner = with_pid(json_field(first, "holders"), runs),
                       *writer = with_pid(json_field(second, "holders"), writes);
    cr_expect_str_eq(string_of(runner, "how"), "exec");
    cr_expect_str_eq(string_of(runner, "exe"), place.target);
    cr_expect_str_eq(string_of(runner, "version"), "current");
    cr_expect_str_eq(string_of(writer, "how"), "write");
    cr_expect_geq(json_object_get_int64(json_field(writer, "fd")), 3);
    cr_expect_str_eq(string_of(with_pid(json_field(second, "holders"), maps), "how"), "map");
    kill(maps, SIGKILL);
    waitpid(maps, NULL, 0);
}

/* Also after two replacements, by a relative path and through a symbolic link. */
Test(who, finds_those_who_run_a_version_that_was_replaced)
{
    pid_t old = run_busy(place.target);
    replace(place.target);
    replace(place.target);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "ln -s target link")), 0);
    cr_expect_eq(etxtbsy(NULL, "who --json ./link"), 1);
    struct json_object *holders = json_field(json_object_array_get_idx(output_as_json(), 0), "holders");
    cr_assert_eq(json_object_array_length(holders), 1);
    cr_expect_str_eq(string_of(with_pid(holders, old), "version"), "old");
    cr_expect_eq(etxtbsy(NULL, "who target"), 1);
    EXPECT_SAYS(output(), "old version: 1. The file has been replaced");
}

/* Where the shim has let the two files change places, the old one had the stage's name last. */
Test(who, finds_those_whose_file_had_a_stages_name_last)
{
    char last[PATH_MAX], other[PATH_MAX];
    pid_t old = run_busy(place.target);
    snprintf(last, sizeof last, "%s/.target.etxtbsy-17-0123456789ab", place.directory);
    snprintf(other, sizeof other, "%s/.targets.etxtbsy-17-0123456789ab", place.directory);
    cr_assert_eq(rename(place.target, last), 0);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                       "cp .target.etxtbsy-17-0123456789ab .targets.etxtbsy-17-0123456789ab; cp $NEW $TARGET")),
                 0);
    run_busy(other);
    unlink(last);
    unlink(other);
    cr_expect_eq(etxtbsy(NULL, "who --json target"), 1);
    struct json_object *holders = json_field(json_object_array_get_idx(output_as_json(), 0), "holders");
    cr_assert_eq(json_object_array_length(holders), 1);
    cr_expect_str_eq(string_of(with_pid(holders, old), "version"), "old");
}

Test(who, finds_those_who_run_a_generation)
{
    char path[PATH_MAX];
    pid_t old = run_busy(place.target);
    cr_assert_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_KEEP=2", "cp $NEW $TARGET")), 0);
    char *generation = strdup(line_string(json_object_array_get_idx(log_lines(&place), 0), "generation"));
    cr_assert(*generation);
    snprintf(path, sizeof path, "%s", generation);
    pid_t again = run_busy(path);
    cr_expect_eq(etxtbsy(NULL, "who --json target"), 1);
    struct json_object *holders = json_field(json_object_array_get_idx(output_as_json(), 0), "holders");
    cr_assert_eq(json_object_array_length(holders), 2);
    cr_expect_str_eq(string_of(with_pid(holders, old), "version"), "old");
    cr_expect_str_eq(string_of(with_pid(holders, again), "version"), "old");
}

Test(who, escapes_what_others_have_named)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/a\033[31m\n", place.directory);
    cr_assert_eq(rename(place.target, path), 0);
    run_busy(path);
    cr_expect_eq(etxtbsy(NULL, "who a*"), 1);
    EXPECT_SAYS(output(), "a\\x1b[31m\\n");
    EXPECT_SAYS_NOT(output(), "\033");
}

Test(who, tells_what_it_cannot_look_at)
{
    cr_expect_eq(etxtbsy(NULL, "who /nowhere/at/all"), 2);
    EXPECT_SAYS(errors(), "/nowhere/at/all: No such file or directory");
    run_busy(place.target);
    cr_expect_eq(etxtbsy(NULL, "who /nowhere/at/all $TARGET"), 2);
    EXPECT_SAYS(output(), "runs: 1");
    cr_expect_neq(output()[0], '\n', "a blank line stands between two tables");
    cr_expect_eq(etxtbsy(NULL, "who"), 2);
    cr_expect_eq(etxtbsy(NULL, "who --nonsense"), 2);
    cr_expect_eq(etxtbsy(NULL, "who --help"), 0);
    EXPECT_SAYS(output(), "Exit status:");
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: only root can become nobody\n");
        return;
    }
    if (status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                              "setpriv --reuid 65534 --regid 65534 --clear-groups $BUILD/etxtbsy --version")) != 0) {
        fprintf(stderr, "skipped: nobody can't read the command here\n");
        return;
    }
    cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                       "setpriv --reuid 65534 --regid 65534 --clear-groups $BUILD/etxtbsy who $TARGET")),
                 0);
    EXPECT_SAYS(output(), "not looked at: ");
    EXPECT_SAYS(output(), "; ask as root");
}

/* ---- snapshot ---- */

static char *sha256sum(const char *path)
{
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "sha256sum < '%s'", path);
    FILE *stream = popen(command, "r");
    char *sum = calloc(1, 65);
    cr_assert_eq(fread(sum, 1, 64, stream), 64);
    pclose(stream);
    return sum;
}

Test(snapshot, has_all_there_is_to_know)
{
    char *old_sum = sha256sum(place.target);
    pid_t old = run_busy(place.target);
    replace(place.target);
    char *new_sum = sha256sum(place.target);
    pid_t writes = hold_open(place.target, -1);
    cr_assert_str_neq(old_sum, new_sum);

    cr_expect_eq(etxtbsy(NULL, "snapshot $TARGET -o ../document"), 0);
    cr_expect_str_eq(output(), "");
    char path[PATH_MAX];
    struct stat file;
    snprintf(path, sizeof path, "%s/document", place.root);
    cr_assert_eq(stat(path, &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0600, "command lines may carry secrets");

    struct json_object *document = json_object_from_file(path), *target = json_field(document, "target"),
                       *holders = json_field(document, "holders");
    cr_assert_not_null(document);
    cr_expect_str_eq(string_of(target, "path"), place.target);
    cr_expect_str_eq(string_of(target, "sha256"), new_sum);
    cr_assert_eq(stat(place.target, &file), 0);
    cr_expect_eq(json_object_get_int64(json_field(target, "inode")), (int64_t)file.st_ino);
    cr_expect_eq(json_object_get_int64(json_field(target, "bytes")), (int64_t)file.st_size);

    struct json_object *runner = with_pid(holders, old), *writer = with_pid(holders, writes);
    cr_expect_str_eq(string_of(runner, "version"), "old");
    cr_expect_str_eq(string_of(runner, "exe_sha256"), old_sum, "what it runs is no longer under that name");
    cr_expect_str_eq(json_object_get_string(json_object_array_get_idx(json_field(runner, "cmdline"), 0)), place.target);
    cr_expect_str_eq(string_of(json_field(runner, "status"), "Name"), "target");
    bool maps_it = false, has_it = false;
    struct json_object *maps = json_field(runner, "maps"), *fds = json_field(writer, "fds");
    for (size_t i = 0; i < json_object_array_length(maps); i++)
        maps_it |= strstr(json_object_get_string(json_object_array_get_idx(maps, i)), "/target (deleted)") != NULL;
    cr_expect(maps_it, "%s", json_object_to_json_string(maps));
    for (size_t i = 0; i < json_object_array_length(fds); i++) {
        struct json_object *one = json_object_array_get_idx(fds, i);
        has_it |= !strcmp(string_of(one, "leads_to"), place.target) && json_object_get_boolean(json_field(one, "writable"));
    }
    cr_expect(has_it, "%s", json_object_to_json_string(fds));
    cr_expect_eq(strlen(string_of(runner, "started")), strlen("2026-11-22T15:48:32.463Z"));
    cr_expect_eq(strlen(string_of(document, "boot_id")), 36);
}

Test(snapshot, keeps_every_byte_of_a_command_line)
{
    char *argument = malloc(20001);
    memset(argument, 'x', 20000);
    memcpy(argument + 10000, "\xff\x01", 2);
    argument[20000] = '\0';
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp /bin/sh $TARGET")), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(place.target, "sh", "-c", "kill -STOP $$; :", argument, (char *)NULL);
        _exit(127);
    }
    char exe[64], leads_to[PATH_MAX];
    snprintf(exe, sizeof exe, "/proc/%d/exe", pid);
    cr_assert(eventually(readlink(exe, leads_to, sizeof leads_to) > 0 && !strncmp(leads_to, place.target, strlen(place.target))));
    cr_expect_eq(etxtbsy(NULL, "snapshot $TARGET"), 0);
    struct json_object *cmdline = json_field(with_pid(json_field(output_as_json(), "holders"), pid), "cmdline");
    struct json_object *second = json_object_array_get_idx(cmdline, 3);
    cr_expect_eq(strlen(string_of(second, "text")), 20000 - 1 + 4);
    cr_expect_eq(strlen(string_of(second, "text_b64")), (20000 + 2) / 3 * 4);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(snapshot, tells_what_it_cannot_do)
{
    cr_expect_eq(etxtbsy(NULL, "snapshot"), 2);
    cr_expect_eq(etxtbsy(NULL, "snapshot a b"), 2);
    cr_expect_eq(etxtbsy(NULL, "snapshot /nowhere/at/all"), 2);
    cr_expect_eq(etxtbsy(NULL, "snapshot $TARGET -o /nowhere/at/all"), 2);
    cr_expect_eq(etxtbsy(NULL, "snapshot $TARGET > /dev/full"), 2);
    cr_expect_eq(etxtbsy(NULL, "snapshot --help"), 0);
    EXPECT_SAYS(output(), "Exit status:");
    cr_expect_eq(etxtbsy(NULL, "snapshot $TARGET"), 0); /* nobody holds it */
    cr_expect_eq(json_object_array_length(json_field(output_as_json(), "holders")), 0);
}

/* ---- doctor ---- */

static char *tree_before;

static void expect_finding(const char *state, const char *name, const char *part)
{
    char *copy = strdup(output()), begin[64];
    bool found = false;
    snprintf(begin, sizeof begin, "%-7s  %-13s ", state, name);
    for (char *line = strtok(copy, "\n"); line && !found; line = strtok(NULL, "\n"))
        found = !strncmp(line, begin, strlen(begin)) && strstr(line, part);
    cr_expect(found, "no %s%s in: %s%s", begin, part, output(), errors());
    free(copy);
}

Test(doctor, examines_the_machine)
{
    char environment[PATH_MAX];
    snprintf(environment, sizeof environment, "TMPDIR=%s", place.directory);
    tree_before = tree_text(place.directory);
    cr_expect_eq(etxtbsy(environment, "doctor"), 0);
    expect_finding("fine", "library", LIBRARY);
    expect_finding("fine", "kernel", "enforces ETXTBSY in both directions");
    expect_finding("fine", "/proc", "mounted");
    expect_finding("note", "reach", "neither LD_PRELOAD nor");
    expect_finding("fine", "inotify", "takes no instance");
    cr_expect_str_eq(tree_text(place.directory), tree_before, "something was left behind");
    snprintf(environment, sizeof environment, "TMPDIR=%s ETXTBSY_DISABLE=1", place.directory);
    cr_expect_eq(etxtbsy(environment, "doctor"), 1);
    expect_finding("problem", "environment", "ETXTBSY_DISABLE=1");
    cr_expect_eq(etxtbsy(environment, "doctor --json"), 1);
    struct json_object *object = output_as_json();
    cr_expect_not(json_object_get_boolean(json_field(object, "reached")));
    cr_expect_gt(json_object_array_length(json_field(object, "findings")), 5);
    cr_expect_eq(etxtbsy("ETXTBSY_WRITE=nonsense", "doctor"), 0);
    expect_finding("note", "configuration", "mistakes");
    cr_expect_eq(etxtbsy("ETXTBSY_LOG=/no/such/log", "doctor"), 0);
    expect_finding("note", "log", "no line can be written to /no/such/log: there is no directory /no/such; programs go on without");
    EXPECT_SAYS(output(), "-> mkdir -p /no/such\n");
}

/* What the kernel refuses and what it doesn't is tried out: a file system that can't start programs shows that it is. */
Test(doctor, tries_out_whether_it_is_enforced)
{
    if (geteuid() != 0 || system("unshare -m true 2>/dev/null") != 0) {
        fprintf(stderr, "skipped: can't mount here\n");
        return;
    }
    cr_expect_eq(
        status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                              "unshare -m sh -c 'mount -t tmpfs -o noexec none /mnt && TMPDIR=/mnt $BUILD/etxtbsy doctor'")),
        0);
    expect_finding("note", "kernel", "can't be tried out: Permission denied");
}

/* On such a kernel, and what it advises helps there. */
Test(doctor, says_what_to_do_where_it_is_not_enforced)
{
    const char *command =
        "mount --bind . . && cd \"$PWD\" && $BUILD/tests/unenforced . sh -c 'TMPDIR=. $BUILD/etxtbsy doctor; s=$?\n"
        "$TARGET & until [ $(readlink /proc/$!/exe) = $TARGET ]; do sleep 0.02; done\n"
        "cp $TARGET old; export LD_PRELOAD=$BUILD/libetxtbsy.so ETXTBSY_LOG=none\n"
        "ETXTBSY_WRITE=atomic cp $NEW $TARGET; cmp $NEW $TARGET && cmp old /proc/$!/exe || s=91\n"
        "kill $!; cp old $TARGET; unset LD_PRELOAD; $TARGET & sleep 0.1; cp $NEW $TARGET || s=92\n"
        "kill $!; exit $s' 2>&1";
    if (geteuid() != 0 || system("unshare -m true 2>/dev/null") != 0) {
        fprintf(stderr, "skipped: can't mount here\n");
        return;
    }
    const char *const argv[] = { "unshare", "-m", "sh", "-c", command, NULL };
    int status = status_code(run_program_with(&place, WITHOUT_SHIM, NULL, argv));
    if (status == 77) {
        fprintf(stderr, "skipped: a kernel that doesn't enforce it can't be had here: %s\n", output());
        return;
    }
    cr_expect_eq(status, 1, "status %d: %s", status, output());
    expect_finding("problem", "kernel", "ETXTBSY isn't enforced at all");
    EXPECT_SAYS(output(), "-> nothing is refused there");
    EXPECT_SAYS(output(), "write = atomic");
}

Test(doctor, names_what_keeps_the_library_out_of_a_program)
{
    char preload[PATH_MAX];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", LIBRARY);
    cr_expect_eq(etxtbsy(preload, "doctor $TARGET"), 0);
    expect_finding("fine", "program", "is a dynamic program");
    expect_finding("fine", "environment", LIBRARY);
    expect_finding("fine", "file system", "enforces ETXTBSY in both directions");
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 0);
    expect_finding("note", "environment", "LD_PRELOAD doesn't have it");
    EXPECT_SAYS(output(), "-> etxtbsy run -- CMD");

    cr_expect_eq(etxtbsy(preload, "doctor $BUILD/tests/target-static"), 1);
    expect_finding("problem", "static", "linked statically");

    cr_expect_eq(etxtbsy(preload, "doctor env -i $TARGET"), 1);
    expect_finding("problem", "environment", "empty environment");
    cr_expect_eq(etxtbsy(preload, "doctor env -i LD_PRELOAD=$BUILD/libetxtbsy.so $TARGET"), 0);
    cr_expect_eq(etxtbsy(preload, "doctor env A=b $TARGET"), 0);
    cr_expect_eq(
        status_code(run_shell(&place, WITHOUT_SHIM, NULL, "ln -s $TARGET sudo; PATH=.:$PATH; $BUILD/etxtbsy doctor sudo cp a b")),
        1);
    expect_finding("problem", "environment", "sudo gives the command");

    cr_expect_eq(etxtbsy("LD_PRELOAD=/nowhere/libetxtbsy.so", "doctor $TARGET"), 1);
    expect_finding("problem", "library", "names /nowhere/libetxtbsy.so");

    write_file(place.new, "#!/bin/sh\n:\n", 0755);
    cr_expect_eq(etxtbsy(preload, "doctor $NEW"), 0);
    expect_finding("fine", "script", "run by /bin/sh");
    char script[PATH_MAX];
    snprintf(script, sizeof script, "#!%s/tests/target-static\n", BUILD_DIR);
    write_file(place.new, script, 0755);
    cr_expect_eq(etxtbsy(preload, "doctor $NEW"), 1);
    expect_finding("problem", "static", "linked statically");
    write_file(place.new, "#!/nonexistent/interpreter\n", 0755);
    cr_expect_eq(etxtbsy(preload, "doctor $NEW"), 1);
    expect_finding("problem", "program", "/nonexistent/interpreter isn't there");
    EXPECT_SAYS(output(), "-> correct the script's first line");
    cr_expect_eq(etxtbsy(preload, "doctor nonesuch"), 2);
    EXPECT_SAYS(errors(), "nonesuch: no such program");
    cr_expect_eq(etxtbsy(preload, "doctor /etc/passwd"), 2);
    EXPECT_SAYS(errors(), "/etc/passwd: it can't be executed; chmod +x");
}

static void patch(const char *path, off_t at, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY);
    cr_assert_eq(pwrite(fd, bytes, length, at), (ssize_t)length);
    close(fd);
}

Test(doctor, knows_other_machines_and_libraries)
{
    size_t length;
    char *content = read_file(place.target, &length);
    char *loader = memmem(content, length, "/lib64/ld-linux", 15);
    const bool is_long = sizeof(void *) == 8;
    patch(place.target, 4, is_long ? "\1" : "\2", 1); /* e_ident[EI_CLASS]: 32 bits, 64 bits */
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 1);
    expect_finding("problem", "ELF class", is_long ? "is a 32-bit program" : "is a 64-bit program");
    patch(place.target, 4, is_long ? "\2" : "\1", 1);
    if (!loader) {
        fprintf(stderr, "skipped: this machine's loader has another name\n");
        return;
    }
    patch(place.target, loader - content, "/lib/ld-musl-x86_64.so.1", 25);
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 1);
    expect_finding("problem", "libc", "uses musl");
    patch(place.target, loader - content, "/lib/ld-other.so.1", 19);
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 1);
    expect_finding("problem", "libc", "isn't glibc's");
}

/* A dynamic program with Go's note: the library is loaded, and of no use. */
Test(doctor, knows_programs_of_go)
{
    if (status_code(
            run_shell(&place, WITHOUT_SHIM, NULL,
                      "printf '%s\\n' '__asm__(\".section .note.go.buildid,\\\"a\\\"\\n.long 4,8,4\\n.asciz \\\"Go\\\"\\n.byte 0\\n"
                      ".quad 1\\n.text\");' 'int main(void) { return 0; }' >go.c && cc -o go go.c && "
                      "readelf -n go | grep -q 'Go.*0x00000008'")) != 0) {
        fprintf(stderr, "skipped: no program with such a note can be made here: %s\n", errors());
        return;
    }
    cr_expect_eq(etxtbsy(NULL, "doctor ./go"), 1);
    expect_finding("problem", "Go", "calls the kernel without libc");
    EXPECT_SAYS(output(), "write another file, and rename that");
}

Test(doctor, names_privileges)
{
    if (geteuid() != 0 || system("command -v setpriv setcap >/dev/null") != 0) {
        fprintf(stderr, "skipped: needs root, setpriv and setcap\n");
        return;
    }
    cr_assert_eq(chmod(place.target, 04755), 0);
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 0);
    expect_finding("note", "set-id", "not for other users");
    cr_assert_eq(chown(place.target, 65534, 0), 0);
    cr_assert_eq(chmod(place.target, 04755), 0);
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 1);
    expect_finding("problem", "set-id", "is set-user-id");
    cr_assert_eq(chmod(place.target, 02755), 0);
    cr_assert_eq(chown(place.target, 0, 65534), 0);
    cr_assert_eq(chmod(place.target, 02755), 0);
    cr_expect_eq(etxtbsy(NULL, "doctor $TARGET"), 1);
    expect_finding("problem", "set-id", "is set-group-id");
}

Test(doctor, looks_into_processes_and_their_children)
{
    char arguments[64];
    pid_t pid = run_busy(place.target);
    snprintf(arguments, sizeof arguments, "doctor %d", pid);
    cr_expect_eq(etxtbsy(NULL, arguments), 1);
    expect_finding("problem", "process", "has not loaded the library");
    expect_finding("fine", "program", "is a dynamic program");
    expect_finding("problem", "environment", "was started without the library");
    expect_finding("fine", "children", "none now");

    /* The shell asks about itself: it has the library, and of its children one doesn't and one can't. */
    cr_expect_eq(status_code(run_shell(
                     &place, WITHOUT_SHIM, NULL,
                     "LD_PRELOAD=$BUILD/libetxtbsy.so sh -c '$TARGET & a=$!; env -u LD_PRELOAD $TARGET & b=$!;"
                     "$BUILD/tests/target-static & c=$!; sleep 0.3; $BUILD/etxtbsy doctor $$; s=$?; kill $a $b $c; exit $s'")),
                 1);
    expect_finding("fine", "process", "has loaded the library");
    expect_finding("fine", "children", "1 of its children");
    expect_finding("problem", "child", "LD_PRELOAD was taken out of its environment");
    expect_finding("problem", "child", "linked statically");

    cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                       "LD_PRELOAD=$BUILD/libetxtbsy.so ETXTBSY_DISABLE=1 $TARGET & sleep 0.3;"
                                       "$BUILD/etxtbsy doctor $!; s=$?; kill $!; exit $s")),
                 1);
    expect_finding("problem", "environment", "ETXTBSY_DISABLE=1");
    cr_expect_eq(etxtbsy(NULL, "doctor 2147483647"), 2);
    cr_expect_eq(etxtbsy(NULL, "doctor 99999999999999999999"), 2);
}

/* systemd is stood in for by a script that answers as systemctl does. */
Test(doctor, asks_systemctl_about_units)
{
    char systemctl[PATH_MAX], path[2 * PATH_MAX], answer[2 * PATH_MAX];
    snprintf(systemctl, sizeof systemctl, "%s/systemctl", place.root);
    snprintf(path, sizeof path, "PATH=%s:%s", place.root, getenv("PATH"));
    snprintf(answer, sizeof answer,
             "#!/bin/sh\n[ \"$4\" = app.service ] || { echo LoadState=not-found; exit 0; }\n"
             "cat <<'END'\nLoadState=loaded\nEnvironment=A=b \"C=d e\"\nMainPID=0\n"
             "ExecStart={ path=%s ; argv[]=%s -x ; ignore_errors=no }\nRootDirectory=\nEND\n",
             place.target, place.target);
    write_file(systemctl, answer, 0755);
    cr_expect_eq(etxtbsy(path, "doctor app.service"), 1);
    expect_finding("problem", "environment", "starts its programs without the library");
    EXPECT_SAYS(output(), "Environment=LD_PRELOAD=/usr/local/lib/libetxtbsy.so");
    expect_finding("fine", "program", "is a dynamic program");
    expect_finding("note", "process", "has no main process now");
    cr_expect_eq(etxtbsy(path, "doctor other.service"), 2);
    EXPECT_SAYS(errors(), "there is no such unit");

    snprintf(answer, sizeof answer,
             "#!/bin/sh\ncat <<'END'\nLoadState=loaded\nEnvironment=A=b "
             "\"LD_PRELOAD=%s\"\nMainPID=0\nExecStart=\nRootDirectory=/srv/root\nEND\n",
             LIBRARY);
    write_file(systemctl, answer, 0755);
    cr_expect_eq(etxtbsy(path, "doctor app.service"), 1);
    expect_finding("fine", "environment", "with the library in LD_PRELOAD");
    expect_finding("problem", "root", "/srv/root");

    write_file(systemctl, "#!/bin/sh\necho \"no bus here\" >&2; exit 1\n", 0755);
    cr_expect_eq(etxtbsy(path, "doctor app.service"), 2);
    EXPECT_SAYS(errors(), "app.service: no bus here");
    cr_expect_eq(etxtbsy(NULL, "doctor --help"), 0);
    EXPECT_SAYS(output(), "Exit status:");
    cr_expect_eq(etxtbsy(NULL, "doctor --nonsense"), 2);
}

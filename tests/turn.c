/*
 * Others who are at work on a file are let finish first: those who have a lock on it (respect_locks), and those who replace it
 * (serialise).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

TestSuite(locks_respected, .init = make, .fini = drop, .timeout = 60);
TestSuite(serialised, .init = make, .fini = drop, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RESPECT "ETXTBSY_RESPECT_LOCKS=on ETXTBSY_MAX_WAIT=20s "
#define SERIALISE "ETXTBSY_SERIALISE=on ETXTBSY_MAX_WAIT=20s "

static int start(const char *environment, const char *entry, const char *path)
{
    return status_code(run_program_with(&place, WITH_SHIM, environment,
                                        (const char *const[]){ BUILD_DIR "/tests/victim-plain", entry, path, NULL }));
}

static void expect_out(const char *expected)
{
    char *out = read_file(place.out, NULL), *err = read_file(place.err, NULL);
    cr_expect_str_eq(out, expected, "said %s%s instead of %s", out, err, expected);
    free(out);
    free(err);
}

/* A wait of more than a second is said while it lasts, too: on a slow machine each may be one. */
static bool says_waiting(struct json_object *line)
{
    return !strcmp(line_string(line, "outcome"), "waiting");
}

/* The line about the turn, and no more than one of them. */
static struct json_object *turn_line(const char *reason)
{
    struct json_object *lines = log_lines(&place), *found = NULL;
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        if (says_waiting(line) || strcmp(line_string(line, "reason"), reason) != 0)
            continue;
        cr_expect_null(found, "more than one line says %s", reason);
        found = json_object_get(line);
    }
    cr_assert_not_null(found, "no line says %s", reason);
    return found;
}

static void expect_turn(const char *reason, const char *outcome, const char *verdict)
{
    struct json_object *line = turn_line(reason);
    cr_expect_str_eq(line_string(line, "event"), "wait");
    cr_expect_str_eq(line_string(line, "outcome"), outcome);
    cr_expect_str_eq(line_string(line, "verdict"), verdict);
    cr_expect_str_eq(line_string(line, "target"), place.target);
    cr_expect_str_eq(line_string(line, "error"), "none");
    cr_expect_gt(line_number(line, "attempts"), 1);
    json_object_put(line);
}

static size_t line_count(void)
{
    struct json_object *lines = log_lines(&place);
    size_t count = 0;
    for (size_t i = 0; i < json_object_array_length(lines); i++)
        count += !says_waiting(json_object_array_get_idx(lines, i));
    json_object_put(lines);
    return count;
}

/* ---- locks: a start ---- */

static const char *const starting[] = {
    "execve", "execvp", "posix_spawn", "posix_spawnp", "fexecve", "execveat", "syscall-execve"
};

Test(locks_respected, a_start_waits_for_an_exclusive_lock, .timeout = 120)
{
    static const enum lock locks[] = { FLOCK_EXCLUSIVE, POSIX_WRITE, OFD_WRITE };
    for (size_t i = 0; i < COUNT(locks); i++)
        for (size_t j = 0; j < COUNT(starting); j++) {
            char expected[100];
            place_reset(&place);
            pid_t holder = hold_lock(place.target, locks[i], 100);
            cr_expect_eq(start(RESPECT, starting[j], place.target), 0, "%s", starting[j]);
            snprintf(expected, sizeof expected, "started %s\n", starting[j]);
            expect_out(expected);
            expect_turn("locked", "succeeded", "transient");
            stop(holder);
        }
}

Test(locks_respected, a_start_does_not_wait_for_a_shared_lock)
{
    static const enum lock locks[] = { FLOCK_SHARED, POSIX_READ, OFD_READ };
    for (size_t i = 0; i < COUNT(locks); i++) {
        place_reset(&place);
        pid_t holder = hold_lock(place.target, locks[i], -1);
        cr_expect_eq(start(RESPECT, "execve", place.target), 0);
        cr_expect_neq(access(place.log, F_OK), 0);
        stop(holder);
    }
}

Test(locks_respected, a_start_goes_on_after_its_bound)
{
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    cr_expect_eq(start("ETXTBSY_RESPECT_LOCKS=on ETXTBSY_EXEC_MAX_WAIT=100ms", "execve", place.target), 0);
    expect_out("started execve\n");
    expect_turn("locked", "gave-up", "persistent");
    struct json_object *line = turn_line("locked");
    cr_expect_geq(atof(line_string(line, "waited_ms")), 100.0);
    cr_expect_str_eq(line_string(line, "op"), "execve");
    cr_expect_eq(line_count(), 1);
}

Test(locks_respected, a_vfork_childs_parent_stands_still_for_a_shorter_time)
{
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    const char *const argv[] = { BUILD_DIR "/tests/starts", "in_a_vfork_child", place.target, NULL };
    const char *environment = "ETXTBSY_RESPECT_LOCKS=on ETXTBSY_EXEC_MAX_WAIT=50s ETXTBSY_EXEC_MAX_WAIT_VFORK=100ms";
    cr_expect_eq(status_code(run_program_with(&place, WITH_SHIM, environment, argv)), 0);
    expect_out("started vforked\nSuccess\n");
    expect_turn("locked", "gave-up", "persistent");
}

Test(locks_respected, the_script_counts_and_the_candidate_along_path)
{
    char script[PATH_MAX];
    snprintf(script, sizeof script, "%s/script", place.directory);
    write_file(script, "#!/bin/sh\necho script $1\n", 0755);
    pid_t holder = hold_lock(script, FLOCK_EXCLUSIVE, 100);
    cr_expect_eq(start(RESPECT, "execve", script), 0);
    expect_out("script execve\n");
    cr_expect_str_eq(line_string(turn_line("locked"), "target"), script);
    stop(holder);

    unlink(place.log);
    holder = hold_lock(script, FLOCK_EXCLUSIVE, 100);
    int status =
        run_shell(&place, WITH_SHIM, RESPECT, "mkdir a; PATH=$PWD/a:$PWD:$PATH exec $BUILD/tests/victim-plain execvp script");
    cr_expect_eq(status_code(status), 0);
    expect_out("script execvp\n");
    cr_expect_str_eq(line_string(turn_line("locked"), "target"), script);
    cr_expect_str_eq(line_string(turn_line("locked"), "path"), "script");
    stop(holder);
}

Test(locks_respected, errors_of_a_start_are_as_ever)
{
    static const char *const commands[] = { "$BUILD/tests/victim-plain execve /nowhere", "$BUILD/tests/victim-plain execvp nowhere",
                                            "$BUILD/tests/victim-plain posix_spawn /nowhere", "$BUILD/tests/victim-plain execve /",
                                            "chmod 644 $TARGET; $BUILD/tests/victim-plain execv $TARGET" };
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    for (size_t i = 0; i < COUNT(commands); i++) {
        int without = run_shell(&place, WITHOUT_SHIM, NULL, commands[i]);
        char *expected = read_file(place.err, NULL);
        int with = run_shell(&place, WITH_SHIM, RESPECT, commands[i]);
        char *err = read_file(place.err, NULL);
        cr_expect_eq(with, without, "%s", commands[i]);
        cr_expect_str_eq(err, expected, "%s", commands[i]);
    }
    cr_expect_neq(access(place.log, F_OK), 0);
}

Test(locks_respected, a_start_is_observed)
{
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    cr_expect_eq(start(RESPECT "ETXTBSY_EXEC=observe", "execve", place.target), 0);
    expect_out("started execve\n");
    struct json_object *line = turn_line("locked");
    cr_expect_str_eq(line_string(line, "event"), "observe");
    cr_expect_eq(line_count(), 1);
}

/* ---- locks: a write ---- */

Test(locks_respected, a_replacement_waits_for_any_lock)
{
    static const enum lock locks[] = { FLOCK_SHARED, FLOCK_EXCLUSIVE, POSIX_READ, OFD_READ };
    for (size_t i = 0; i < COUNT(locks); i++) {
        place_reset(&place);
        pid_t running = run_busy(place.target), holder = hold_lock(place.target, locks[i], 100);
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, RESPECT, "cp $NEW $TARGET")), 0);
        cr_expect(same_content(place.target, place.new));
        expect_turn("locked", "succeeded", "transient");
        cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
        cr_expect_eq(line_count(), 2);
        stop(running);
        stop(holder);
    }
}

Test(locks_respected, so_does_one_of_an_idle_file)
{
    static const enum lock locks[] = { FLOCK_EXCLUSIVE, POSIX_WRITE, OFD_WRITE };
    for (size_t i = 0; i < COUNT(locks); i++) {
        place_reset(&place);
        pid_t holder = hold_lock(place.target, locks[i], 100);
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, RESPECT "ETXTBSY_WRITE=atomic", "cp $NEW $TARGET")), 0);
        cr_expect(same_content(place.target, place.new));
        expect_turn("locked", "succeeded", "transient");
        stop(holder);
    }
}

Test(locks_respected, so_does_a_truncation)
{
    run_busy(place.target);
    hold_lock(place.target, FLOCK_SHARED, 100);
    cr_expect_eq(start(RESPECT, "truncate", place.target), 0);
    struct stat file;
    cr_expect_eq(stat(place.target, &file), 0);
    cr_expect_eq(file.st_size, 5);
    expect_turn("locked", "succeeded", "transient");
}

Test(locks_respected, a_replacement_goes_on_after_its_bound)
{
    run_busy(place.target);
    hold_lock(place.target, FLOCK_SHARED, -1);
    int status = run_shell(&place, WITH_SHIM, "ETXTBSY_RESPECT_LOCKS=on ETXTBSY_WRITE_MAX_WAIT=100ms", "cp $NEW $TARGET");
    cr_expect_eq(status_code(status), 0);
    cr_expect(same_content(place.target, place.new));
    expect_turn("locked", "gave-up", "persistent");
    cr_expect_geq(atof(line_string(turn_line("locked"), "waited_ms")), 100.0);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    cr_expect_eq(litter_count(&place), 0);
}

/* It isn't to be replaced any more: who waited finds an idle file, and writes in place. */
Test(locks_respected, a_file_that_becomes_idle_meanwhile_is_written_in_place)
{
    struct stat before, after;
    cr_expect_eq(stat(place.target, &before), 0);
    pid_t running = run_busy(place.target), holder = hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    char command[500];
    snprintf(
        command, sizeof command,
        "cp $NEW $TARGET & i=0; until test \"$(cat /proc/$!/wchan)\" = hrtimer_nanosleep || test $((i += 1)) -gt 50; do sleep .02; "
        "done; kill %d; sleep .1; kill %d; wait $!",
        running, holder);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, RESPECT, command)), 0);
    cr_expect(same_content(place.target, place.new));
    expect_turn("locked", "succeeded", "transient");
    cr_expect_eq(line_count(), 1);
    cr_expect_eq(stat(place.target, &after), 0);
    cr_expect_eq(before.st_ino, after.st_ino);
}

/* ---- locks: scripts ---- */

/*
 * A deploy script that knows of locks, and programs that don't. The lock is the shell's by then; flock(1), which took it, has
 * gone. What comes when is written down by those who do it.
 */
static void expect_order(const char *environment, const char *lock, const char *program, const char *expected)
{
    char command[1000], order[PATH_MAX];
    snprintf(command, sizeof command,
             "(%s; : > ../locked; sleep .3; echo script >> ../order) & "
             "until test -e ../locked; do sleep .01; done; LD_PRELOAD=$BUILD/libetxtbsy.so sh -c '%s && echo program >> ../order'; "
             "s=$?; wait $!; rm ../locked; exit $s",
             lock, program);
    int status = run_shell(&place, WITHOUT_SHIM, environment, command);
    snprintf(order, sizeof order, "%s/order", place.root);
    char *said = read_file(order, NULL), *err = read_file(place.err, NULL);
    cr_expect_eq(status_code(status), 0, "%s: %s", program, err);
    cr_expect_str_eq(said, expected, "%s, %s: %s", lock, program, said);
    unlink(order);
    free(said);
}

#define BY_DESCRIPTOR "exec 9<$TARGET; flock 9"
#define BY_LOCKF                                                                                                                   \
    "exec python3 -c \"import fcntl, os, time; f = open(os.environ[\\\"TARGET\\\"], \\\"rb\\\"); "                                 \
    "fcntl.lockf(f, fcntl.LOCK_SH); open(\\\"../locked\\\", \\\"w\\\"); time.sleep(.3); "                                          \
    "open(\\\"../order\\\", \\\"a\\\").write(\\\"script\\\\n\\\")\""

Test(locks_respected, a_script_with_flock_orders_programs_that_know_nothing_of_locks)
{
    char missing[100], environment[PATH_MAX];
    if (!have_programs("flock", missing))
        cr_skip_test("there is no flock here");
    snprintf(environment, sizeof environment, RESPECT "ETXTBSY_LOG=%s ETXTBSY_SYNC=none", place.log);
    expect_order(environment, BY_DESCRIPTOR, "$TARGET x >/dev/null", "script\nprogram\n");
    expect_turn("locked", "succeeded", "transient");
    place_reset(&place);
    run_busy(place.target);
    expect_order(environment, BY_DESCRIPTOR, "cp $NEW $TARGET", "script\nprogram\n");
    expect_turn("locked", "succeeded", "transient");
    cr_expect(same_content(place.target, place.new));

    /* And without the key, nobody waits. */
    snprintf(environment, sizeof environment, "ETXTBSY_LOG=%s", place.log);
    place_reset(&place);
    expect_order(environment, BY_DESCRIPTOR, "$TARGET x >/dev/null", "program\nscript\n");
    cr_expect_neq(access(place.log, F_OK), 0);
    run_busy(place.target);
    expect_order(environment, BY_DESCRIPTOR, "cp $NEW $TARGET", "program\nscript\n");
    cr_expect_eq(line_count(), 1);
}

Test(locks_respected, a_script_with_lockf_orders_a_cp)
{
    char missing[100], environment[PATH_MAX];
    if (!have_programs("python3", missing))
        cr_skip_test("there is no python3 here");
    snprintf(environment, sizeof environment, RESPECT "ETXTBSY_LOG=%s ETXTBSY_SYNC=none", place.log);
    run_busy(place.target);
    expect_order(environment, BY_LOCKF, "cp $NEW $TARGET", "script\nprogram\n");
    expect_turn("locked", "succeeded", "transient");
}

/* /proc/locks of a pid namespace hides a flock whose taker has gone. */
Test(locks_respected, a_lock_whose_taker_has_gone_counts_in_a_pid_namespace_too)
{
    char environment[PATH_MAX];
    if (status_code(run_shell(&place, WITHOUT_SHIM, NULL, "unshare -pf --mount-proc true && flock $TARGET true")))
        cr_skip_test("no pid namespace, or no flock, to be had here");
    snprintf(environment, sizeof environment, RESPECT "ETXTBSY_LOG=%s", place.log);
    int status =
        run_shell(&place, WITHOUT_SHIM, environment,
                  "exec unshare -pf --mount-proc sh -c '(" BY_DESCRIPTOR "; grep -c . /proc/locks > ../shown; : > ../locked; "
                  "sleep .3; echo script >> ../order) & until test -e ../locked; do sleep .01; done; "
                  "export LD_PRELOAD=$BUILD/libetxtbsy.so; sh -c \"\\$TARGET x; echo program >> ../order\"; wait'");
    char order[PATH_MAX];
    snprintf(order, sizeof order, "%s/order", place.root);
    char *said = read_file(order, NULL), *err = read_file(place.err, NULL);
    cr_expect_eq(status_code(status), 0, "%s", err);
    cr_expect_str_eq(said, "script\nprogram\n", "%s%s", said, err);
    expect_turn("locked", "succeeded", "transient");
}

/* ---- locks: one's own ---- */

#define PYTHON(lock)                                                                                                               \
    "python3 -c 'import fcntl, os, struct, subprocess; f = open(os.environ[\"TARGET\"], \"rb\"); " lock                            \
    "; subprocess.run([\"sh\", \"-c\", \"%s\"], check=True)'"

static const char *const by_ours[] = {
    "flock $TARGET %s",
    "flock -o $TARGET %s", /* the lock stays with flock(1), which waits for its child */
    "flock -s $TARGET %s",
    "sh -c 'exec 9<$TARGET; flock 9; %s'",
    "bash -c 'exec 9<$TARGET; flock 9; (%s)'",
    PYTHON("fcntl.flock(f, fcntl.LOCK_EX)"),
    PYTHON("fcntl.lockf(f, fcntl.LOCK_SH)"),
    PYTHON("fcntl.fcntl(f, 37, struct.pack(\"hhqqi0q\", fcntl.F_RDLCK, 0, 0, 0, 0))"), /* F_OFD_SETLK */
};

static void expect_ours(const char *format, const char *program, bool write)
{
    char command[1000], missing[100];
    if (!have_programs(strstr(format, "python3") ? "python3" : strstr(format, "bash") ? "bash flock" : "flock", missing)) {
        fprintf(stderr, "skipped: %s (there is no %s here)\n", format, missing);
        return;
    }
    snprintf(command, sizeof command, format, program);
    place_reset(&place);
    pid_t running = write ? run_busy(place.target) : 0;
    int status = status_code(run_shell(&place, WITH_SHIM, RESPECT SERIALISE, command));
    char *err = read_file(place.err, NULL);
    cr_expect_eq(status, 0, "%s: %s", command, err);
    cr_expect_eq(log_count(&place, "event", "wait"), 0, "%s waits for itself", command);
    if (write) {
        cr_expect(same_content(place.target, place.new), "%s", command);
        stop(running);
    }
}

Test(locks_respected, ones_own_and_ones_ancestors_locks_are_no_obstacle, .timeout = 120)
{
    for (size_t i = 0; i < COUNT(by_ours); i++) {
        expect_ours(by_ours[i], "cp $NEW $TARGET", true);
        expect_ours(by_ours[i], "$TARGET x", false);
    }
}

Test(locks_respected, ones_own_record_lock_is_still_there_afterwards)
{
    char missing[100];
    if (!have_programs("python3", missing))
        cr_skip_test("there is no python3 here");
    int status = run_shell(&place, WITH_SHIM, RESPECT,
                           "python3 -c 'import fcntl, os\n"
                           "target = os.environ[\"TARGET\"]\n"
                           "f = open(target, \"rb\")\n"
                           "fcntl.lockf(f, fcntl.LOCK_SH)\n"
                           "os.waitpid(os.posix_spawn(target, [target, \"x\"], os.environ), 0)\n"
                           "print(open(\"/proc/self/fdinfo/%d\" % f.fileno()).read().count(\"lock:\"))'");
    cr_expect_eq(status_code(status), 0);
    char *out = read_file(place.out, NULL);
    cr_expect_not_null(strstr(out, "1\n"), "the lock is gone: %s", out);
}

/* ---- locks: who is asked ---- */

Test(locks_respected, by_default_nobody_waits_and_nothing_is_asked)
{
    char missing[100], trace[PATH_MAX];
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    cr_expect_eq(start(NULL, "execve", place.target), 0);
    cr_expect_neq(access(place.log, F_OK), 0);
    if (!have_programs("strace", missing))
        cr_skip_test("there is no strace here");
    /* One look at the system's configuration for the whole process, and then execve and nothing else. */
    int status = run_shell(&place, WITHOUT_SHIM, NULL,
                           "strace -qq -o ../trace env LD_PRELOAD=$BUILD/libetxtbsy.so $BUILD/tests/starts in_a_row $TARGET");
    cr_expect_eq(status_code(status), 0);
    snprintf(trace, sizeof trace, "%s/trace", place.root);
    char *calls = read_file(trace, NULL), *first = strstr(calls, "execve(\"/nowhere/first\"");
    cr_assert_not_null(first, "%s", calls);
    char *second = strchr(first, '\n') + 1, *third = strchr(second, '\n') + 1;
    cr_expect_eq(strncmp(second, "execve(\"/nowhere/second\"", 24), 0, "%s", second);
    cr_expect_eq(strncmp(third, "execve(\"/nowhere/third\"", 23), 0, "%s", third);
    char *look = strstr(calls, "\"/etc/etxtbsy.conf\"");
    cr_assert_not_null(look);
    cr_expect_null(strstr(look + 1, "\"/etc/etxtbsy.conf\""), "looked at twice: %s", look);
    cr_expect_null(strstr(look, "flock("));
    cr_expect_null(strstr(look, "fdinfo"));
}

Test(locks_respected, only_where_a_rule_says_so)
{
    char conf[PATH_MAX], text[2 * PATH_MAX], environment[PATH_MAX + 100];
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    snprintf(text, sizeof text, "[rule]\npath = %s/*.locked\nrespect_locks = on\n", place.directory);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    write_file(conf, text, 0644);
    hold_lock(place.target, FLOCK_EXCLUSIVE, -1);
    cr_expect_eq(start(environment, "execve", place.target), 0);
    cr_expect_neq(access(place.log, F_OK), 0);

    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s/program.locked", place.directory);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp $TARGET program.locked")), 0);
    hold_lock(other, FLOCK_EXCLUSIVE, 100);
    cr_expect_eq(start(environment, "execve", other), 0);
    cr_expect_str_eq(line_string(turn_line("locked"), "target"), other);
}

/* ---- turns ---- */

/* N writers, each of which has the target open for a while: they append a line each. */
#define WRITERS 16
static void append_at_once(const char *environment, const char *meanwhile)
{
    char command[1000];
    snprintf(command, sizeof command,
             "cd ..; all='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16'; for i in $all; do (: > ready$i; until test -e go; do sleep .01; "
             "done; "
             "exec 3>>$TARGET; %s; echo line $i >&3) & done; "
             "for i in $all; do until test -e ready$i; do sleep .01; done; done; : > go; wait",
             meanwhile);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, command)), 0);
}

/* How many of the writers' lines are behind the old content; each is there once at most. */
static unsigned lines_appended(void)
{
    size_t old_length, length;
    char *old = read_file(TARGET_PROGRAM, &old_length), *now = read_file(place.target, &length);
    unsigned count = 0;
    cr_assert(length >= old_length && !memcmp(now, old, old_length), "the old content is gone");
    for (int i = 1; i <= WRITERS; i++) {
        char line[20];
        snprintf(line, sizeof line, "line %d\n", i);
        count += strstr(now + old_length, line) != NULL;
    }
    free(old);
    free(now);
    return count;
}

Test(serialised, each_of_many_writers_goes_on_from_what_the_one_before_left)
{
    run_busy(place.target);
    append_at_once(SERIALISE, "sleep .02");
    cr_expect_eq(lines_appended(), WRITERS);
    cr_expect_eq(log_count(&place, "reason", "target-replaced"), 0);
    cr_expect_eq(log_count(&place, "outcome", "gave-up"), 0);
    cr_expect_gt(log_count(&place, "reason", "serialised"), 0);
    cr_expect_eq(litter_count(&place), 0);
}

/* That's what it is for: here all of them have opened the target before the first one finishes. */
Test(serialised, otherwise_the_last_one_wins)
{
    run_busy(place.target);
    append_at_once(NULL, ": > open$i; for j in $all; do until test -e open$j; do sleep .01; done; done");
    cr_expect_eq(lines_appended(), 1);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), WRITERS);
    cr_expect_gt(log_count(&place, "reason", "target-replaced"), 0);
    cr_expect_eq(log_count(&place, "event", "wait"), 0);
}

#define SLOW_WRITER "{ echo first; : > ../open; sleep .3; echo end; } > $TARGET & until test -e ../open; do sleep .01; done; "

Test(serialised, the_last_to_start_wins_and_finds_what_the_first_left)
{
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, SERIALISE, SLOW_WRITER "cp $NEW $TARGET; wait")), 0);
    cr_expect(same_content(place.target, place.new));
    expect_turn("serialised", "succeeded", "transient");

    place_reset(&place);
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, SERIALISE, "rm -f ../open; " SLOW_WRITER "echo second >> $TARGET; wait")),
                 0);
    char *content = read_file(place.target, NULL);
    cr_expect_str_eq(content, "first\nend\nsecond\n", "%s", content);
    cr_expect_eq(litter_count(&place), 0);
}

Test(serialised, goes_on_after_its_bound)
{
    run_busy(place.target);
    int status =
        run_shell(&place, WITH_SHIM, "ETXTBSY_SERIALISE=on ETXTBSY_WRITE_MAX_WAIT=50ms",
                  "{ echo first; : > ../open; until test -e ../done; do sleep .01; done; echo end; } > $TARGET & "
                  "until test -e ../open; do sleep .01; done; cp $NEW $TARGET; cmp $NEW $TARGET; s=$?; : > ../done; wait; exit $s");
    cr_expect_eq(status_code(status), 0);
    expect_turn("serialised", "gave-up", "persistent");
    char *content = read_file(place.target, NULL);
    cr_expect_str_eq(content, "first\nend\n", "%s", content); /* the last one to finish */
    cr_expect_eq(log_count(&place, "reason", "target-replaced"), 1);
}

Test(serialised, does_not_wait_for_one_that_was_killed)
{
    run_busy(place.target);
    run_shell(&place, WITH_SHIM, SERIALISE,
              "(echo half; exec sleep 60) > $TARGET & p=$!; sleep .3; kill -9 $p; wait; cp $NEW $TARGET");
    cr_expect(same_content(place.target, place.new));
    cr_expect_eq(log_count(&place, "event", "wait"), 0);
    cr_expect_eq(litter_count(&place), 0);
}

/* A writer whose child replaces the file itself would wait for its child, and the child for it. */
Test(serialised, ones_own_and_ones_ancestors_stages_are_no_obstacle)
{
    static const char *const commands[] = {
        "dash -c 'exec 3>$TARGET; cp $NEW $TARGET 3>&-'",
        "bash -c 'exec 3>$TARGET; cp $NEW $TARGET 3>&-'",
        "bash -c '{ cat $NEW; (echo more >> $TARGET) 3>&- 1>&2; } 3>$TARGET'",
        "$BUILD/tests/cases two_opens $TARGET",
    };
    for (size_t i = 0; i < COUNT(commands); i++) {
        place_reset(&place);
        pid_t running = run_busy(place.target);
        int status = status_code(run_shell(&place, WITH_SHIM, SERIALISE, commands[i]));
        char *err = read_file(place.err, NULL);
        cr_expect_eq(status, 0, "%s: %s", commands[i], err);
        cr_expect_eq(log_count(&place, "event", "wait"), 0, "%s waits for itself", commands[i]);
        cr_expect_gt(log_count(&place, "event", "redirect"), 0, "%s", commands[i]);
        stop(running);
    }
}

/* Under the action atomic the same for files that nobody runs, and for one that isn't there yet. */
Test(serialised, goes_for_idle_and_for_new_files)
{
    static const char *const prepare[] = { ":", "rm $TARGET" };
    for (size_t i = 0; i < COUNT(prepare); i++) {
        char command[1000];
        place_reset(&place);
        snprintf(command, sizeof command,
                 "%s; cd ..; rm -f go ready*; all='1 2 3 4 5 6 7 8'; for i in $all; do (: > ready$i; until test -e go; do sleep "
                 ".01; done; "
                 "exec 3>$TARGET; sleep .02; echo line $i >&3) & done; "
                 "for i in $all; do until test -e ready$i; do sleep .01; done; done; : > go; wait",
                 prepare[i]);
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, SERIALISE "ETXTBSY_WRITE=atomic", command)), 0);
        char *content = read_file(place.target, NULL);
        cr_expect_eq(strncmp(content, "line ", 5), 0, "%s", content);
        cr_expect_eq(strlen(content), strlen("line 1\n"));
        cr_expect_eq(log_count(&place, "reason", "target-replaced"), 0, "%s: two at once", prepare[i]);
        cr_expect_gt(log_count(&place, "event", "wait"), 0, "%s",
                     prepare[i]); /* not each: one may come when the others are through */
        cr_expect_eq(log_count(&place, "outcome", "gave-up"), 0);
        cr_expect_eq(litter_count(&place), 0);
    }
}

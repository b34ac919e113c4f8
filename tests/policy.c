/*
 * The bounds of a wait, the actions, the sinks and the configuration, on whole programs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static char *play(const struct place *place, const char *environment, const char *scene)
{
    const char *const argv[] = { BUILD_DIR "/tests/starts", scene, place->target, NULL };
    int status = status_code(run_program_with(place, WITH_SHIM, environment, argv));
    char *err = read_file(place->err, NULL);
    cr_expect_eq(status, 0, "%s: status %d: %s", scene, status, err);
    free(err);
    return read_file(place->out, NULL);
}

static void expect_play(const struct place *place, const char *environment, const char *scene, const char *expected)
{
    char *out = play(place, environment, scene);
    cr_expect_str_eq(out, expected, "%s: %s instead of %s", scene, out, expected);
    free(out);
}

/* The only line of the log; the test fails when there are more, or none. */
static struct json_object *only_line(const struct place *place)
{
    struct json_object *lines = log_lines(place);
    cr_assert_eq(json_object_array_length(lines), 1, "%zu lines", json_object_array_length(lines));
    return json_object_get(json_object_array_get_idx(lines, 0));
}

static void expect_line(const struct place *place, const char *event, const char *outcome, const char *verdict)
{
    struct json_object *line = only_line(place);
    cr_expect_str_eq(line_string(line, "event"), event);
    cr_expect_str_eq(line_string(line, "outcome"), outcome);
    cr_expect_str_eq(line_string(line, "verdict"), verdict);
    cr_expect_str_eq(line_string(line, "target"), place->target);
    json_object_put(line);
}

static int start(const struct place *place, const char *environment)
{
    const char *const argv[] = { BUILD_DIR "/tests/victim-plain", "execve", place->target, NULL };
    return status_code(run_program_with(place, WITH_SHIM, environment, argv));
}

static struct place place;

static void make(void)
{
    place_make(&place);
}

static void drop(void)
{
    place_remove(&place);
}

TestSuite(starting, .init = make, .fini = drop, .timeout = 60);
TestSuite(writing, .init = make, .fini = drop, .timeout = 60);
TestSuite(logging, .init = make, .fini = drop, .timeout = 60);

/* ---- bounds ---- */

Test(starting, ends_at_the_deadline_with_the_kernels_answer)
{
    hold_open(place.target, -1);
    cr_expect_eq(start(&place, "ETXTBSY_EXEC_MAX_WAIT=150ms"), 1);
    char *err = read_file(place.err, NULL);
    cr_expect_str_eq(err, "execve: Text file busy (26)\n", "%s", err);
    struct json_object *lines = log_lines(&place);
    size_t count = json_object_array_length(lines);
    struct json_object *last = json_object_array_get_idx(lines, count - 1);
    cr_expect_eq(count, 1);
    cr_expect_str_eq(line_string(last, "outcome"), "gave-up");
    cr_expect_str_eq(line_string(last, "verdict"), "persistent");
    cr_expect_geq(atof(line_string(last, "waited_ms")), 150.0);
    cr_expect_gt(line_number(last, "attempts"), 8);
    cr_expect_str_eq(line_string(last, "rule"), "built-in");
    json_object_put(lines);
}

Test(starting, ends_after_so_many_attempts)
{
    hold_open(place.target, -1);
    cr_expect_eq(start(&place, "ETXTBSY_EXEC_MAX_ATTEMPTS=3"), 1);
    struct json_object *line = only_line(&place);
    cr_expect_eq(line_number(line, "attempts"), 3);
    cr_expect_str_eq(line_string(line, "verdict"), "persistent");
}

Test(starting, does_not_wait_when_told_so)
{
    hold_open(place.target, -1);
    cr_expect_eq(start(&place, "ETXTBSY_MAX_WAIT=0"), 1);
    struct json_object *line = only_line(&place);
    cr_expect_eq(line_number(line, "attempts"), 1);
    cr_expect_str_eq(line_string(line, "outcome"), "gave-up");
}

Test(starting, passes_other_errors_on_at_once)
{
    static const char *const commands[] = { "$BUILD/tests/victim-plain execve /nowhere", "$BUILD/tests/victim-plain execvp nowhere",
                                            "$BUILD/tests/victim-plain posix_spawn /nowhere",
                                            "chmod 644 $TARGET; $BUILD/tests/victim-plain execv $TARGET",
                                            "$BUILD/tests/victim-plain execve /" };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int without = run_shell(&place, WITHOUT_SHIM, NULL, commands[i]);
        char *expected = read_file(place.err, NULL);
        int with = run_shell(&place, WITH_SHIM, NULL, commands[i]);
        char *err = read_file(place.err, NULL);
        cr_expect_eq(with, without, "%s", commands[i]);
        cr_expect_str_eq(err, expected, "%s", commands[i]);
        cr_expect_gt(strlen(err), 0);
    }
    cr_expect_neq(access(place.log, F_OK), 0);
}

Test(starting, leaves_a_mere_check_to_the_kernel)
{
    const char *const argv[] = { BUILD_DIR "/tests/starts", "only_checked", place.target, NULL };
    hold_open(place.target, -1);
    cr_assert_eq(status_code(run_program_with(&place, WITHOUT_SHIM, NULL, argv)), 0);
    char *expected = read_file(place.out, NULL);
    if (strstr(expected, "/bin/true by syscall: -1")) {
        free(expected);
        cr_skip_test("this kernel doesn't know AT_EXECVE_CHECK");
    }
    cr_expect_not_null(strstr(expected, "the target by syscall: -1, Text file busy\n"), "%s", expected);
    expect_play(&place, "ETXTBSY_EXEC_MAX_WAIT=1s", "only_checked", expected);
    cr_expect_neq(access(place.log, F_OK), 0);
    free(expected);
}

Test(starting, reads_no_environment_that_cannot_be_read)
{
    expect_play(&place, NULL, "with_a_bad_environment", "Bad address\n");
    hold_open(place.target, -1);
    expect_play(&place, "ETXTBSY_EXEC_MAX_WAIT=50ms", "with_a_bad_environment", "Text file busy\n");
}

Test(starting, gives_up_at_once_on_its_own_descriptor_and_names_it)
{
    expect_play(&place, NULL, "held_by_itself", "Text file busy\n");
    struct json_object *line = only_line(&place);
    cr_expect_str_eq(line_string(line, "verdict"), "self-held");
    cr_expect_eq(line_number(line, "held_fd"), 42);
    cr_expect_eq(line_number(line, "attempts"), 1);
}

Test(starting, waits_for_another_thread_to_close)
{
    expect_play(&place, NULL, "held_by_another_thread", "started spawned\nSuccess\n");
    expect_line(&place, "wait", "succeeded", "transient");
}

Test(starting, keeps_a_vfork_childs_parent_for_a_shorter_time)
{
    hold_open(place.target, -1);
    expect_play(&place, "ETXTBSY_EXEC_MAX_WAIT_VFORK=100ms", "in_a_vfork_child", "Text file busy\n");
    struct json_object *line = only_line(&place);
    cr_expect_lt(atof(line_string(line, "waited_ms")), 5000.0, "%s", line_string(line, "waited_ms"));
    cr_expect_str_eq(line_string(line, "outcome"), "gave-up");
}

Test(starting, lets_handlers_run_and_goes_on)
{
    hold_open(place.target, 60);
    expect_play(&place, NULL, "among_signals", "started spawned\nSuccess, handlers ran\n");
    expect_line(&place, "wait", "succeeded", "transient");
}

Test(starting, can_be_cancelled)
{
    hold_open(place.target, -1);
    expect_play(&place, "ETXTBSY_EXEC_MAX_WAIT=60s", "cancelled", "cancelled, cleaned up\ncancelled, cleaned up\n");
}

Test(starting, can_be_killed)
{
    hold_open(place.target, -1);
    expect_play(&place, "ETXTBSY_EXEC_MAX_WAIT=60s", "killed", "killed\n");
}

Test(starting, stays_with_the_candidate_that_is_busy)
{
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "mkdir a b; cp $TARGET a/prog; cp $TARGET b/prog")), 0);
    char busy[PATH_MAX];
    snprintf(busy, sizeof busy, "%s/a/prog", place.directory);
    hold_open(busy, -1);
    int status = status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_EXEC_MAX_WAIT=50ms",
                                       "PATH=$PWD/a:$PWD/b:$PATH; $BUILD/tests/victim-plain execvp prog"));
    char *out = read_file(place.out, NULL), *err = read_file(place.err, NULL);
    cr_expect_eq(status, 1);
    cr_expect_str_eq(out, "", "another candidate ran: %s", out);
    cr_expect_str_eq(err, "execvp: Text file busy (26)\n", "%s", err);
    struct json_object *line = only_line(&place);
    cr_expect_str_eq(line_string(line, "target"), busy);
    cr_expect_str_eq(line_string(line, "path"), "prog");
}

Test(starting, waits_for_a_script_that_is_written_to)
{
    char script[PATH_MAX];
    snprintf(script, sizeof script, "%s/script", place.directory);
    write_file(script, "#!/bin/sh\necho script $1\n", 0755);
    hold_until_tried(script, 30);
    const char *const argv[] = { BUILD_DIR "/tests/victim-plain", "execve", script, NULL };
    cr_expect_eq(status_code(run_program_with(&place, WITH_SHIM, NULL, argv)), 0);
    char *out = read_file(place.out, NULL);
    cr_expect_str_eq(out, "script execve\n", "%s", out);
    cr_expect_eq(log_count(&place, "target", script), 1);
}

Test(starting, says_that_it_waits_where_the_new_program_cannot_say_that_it_did)
{
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp $BUILD/tests/target-static $TARGET")), 0);
    hold_until_tried(place.target, 30);
    cr_expect_eq(start(&place, NULL), 0);
    expect_line(&place, "wait", "waiting", "transient");
}

Test(starting, leaves_no_trace_in_the_new_programs_environment)
{
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp /usr/bin/env $TARGET")), 0);
    hold_until_tried(place.target, 30);
    const char *const argv[] = { BUILD_DIR "/tests/victim-plain", "execve", place.target, NULL };
    (void)run_program_with(&place, WITH_SHIM, NULL, argv); /* env takes "execve" for a command, which there isn't */
    const char *const bare[] = { "/bin/sh", "-c", "exec $TARGET", NULL };
    pid_t holder = hold_until_tried(place.target, 30);
    cr_expect_eq(status_code(run_program_with(&place, WITH_SHIM, NULL, bare)), 0);
    stop(holder);
    char *out = read_file(place.out, NULL);
    cr_expect_null(strstr(out, "ETXTBSY_LINE"), "%s", out);
    cr_expect_null(strstr(out, "ETXTBSY_STAGES"), "%s", out);
    cr_expect_not_null(strstr(out, "ETXTBSY_LOG"), "%s", out);
}

Test(starting, wins_the_fork_race)
{
    expect_play(&place, NULL, "race", "0 failures\n");
}

Test(starting, does_not_make_a_vforking_process_grow)
{
    expect_play(&place, NULL, "vfork_memory", "no growth\n");
}

Test(starting, can_be_jumped_out_of_and_leaves_no_memory)
{
    hold_open(place.target, -1);
    expect_play(&place, NULL, "jumps_out", "no growth\n");
}

/* ---- actions ---- */

Test(starting, observes)
{
    hold_open(place.target, -1);
    cr_expect_eq(start(&place, "ETXTBSY_EXEC=observe"), 1);
    expect_line(&place, "observe", "observed", "refused");
}

Test(starting, is_off)
{
    hold_open(place.target, -1);
    cr_expect_eq(start(&place, "ETXTBSY_EXEC=off"), 1);
    cr_expect_eq(start(&place, "ETXTBSY_DISABLE=1"), 1);
    cr_expect_neq(access(place.log, F_OK), 0);
}

Test(writing, observes_and_is_off)
{
    run_busy(place.target);
    cr_expect_neq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_WRITE=observe", "cp $NEW $TARGET")), 0);
    expect_line(&place, "observe", "observed", "refused");
    unlink(place.log);
    cr_expect_neq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_WRITE=off", "cp $NEW $TARGET")), 0);
    cr_expect_neq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_DISABLE=1", "cp $NEW $TARGET")), 0);
    cr_expect_neq(access(place.log, F_OK), 0);
    cr_expect(same_content(place.target, TARGET_PROGRAM));
}

Test(writing, retries)
{
    struct stat before, after;
    cr_expect_eq(stat(place.target, &before), 0);
    int status = run_shell(&place, WITH_SHIM, "ETXTBSY_WRITE=retry ETXTBSY_WRITE_MAX_WAIT=20s",
                           "$TARGET & p=$!; sleep .1; (sleep .2; kill $p) & cp $NEW $TARGET; s=$?; wait; exit $s");
    cr_expect_eq(status_code(status), 0);
    cr_expect(same_content(place.target, place.new));
    cr_expect_eq(stat(place.target, &after), 0);
    cr_expect_eq(before.st_ino, after.st_ino);
    cr_expect_eq(log_count(&place, "verdict", "transient"), 1);
}

Test(writing, follows_rules)
{
    char conf[PATH_MAX], text[4096], environment[PATH_MAX + 100];
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    snprintf(text, sizeof text,
             "[write]\naction = off\n[rule]\npath = /nowhere/**\nwrite = redirect\n"
             "[rule]\npath = %s/**\nprogram = cp\nwrite = redirect\n",
             place.directory);
    write_file(conf, text, 0644);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    run_busy(place.target);
    cr_expect_neq(status_code(run_shell(&place, WITH_SHIM, environment, "dd if=$NEW of=$TARGET 2>/dev/null")), 0);
    cr_expect_neq(access(place.log, F_OK), 0);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, "cp $NEW $TARGET")), 0);
    struct json_object *line = only_line(&place);
    char rule[PATH_MAX + 10];
    snprintf(rule, sizeof rule, "%s:9", conf);
    cr_expect_str_eq(line_string(line, "rule"), rule);
}

Test(writing, says_what_is_wrong_with_the_configuration_and_goes_on)
{
    char conf[PATH_MAX], environment[PATH_MAX + 100];
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    write_file(conf, "log = stderr\n[write]\nacton = off\n", 0644);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, "cp $NEW $TARGET")), 0);
    cr_expect_eq(log_count(&place, "event", "config"), 1);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    char *text = read_file(place.log, NULL);
    cr_expect_not_null(strstr(text, "/conf:3: found \\\"acton = off\\\", expected action, first, cap"), "%s", text);
}

Test(writing, is_in_place_for_all_threads_when_close_returns)
{
    expect_play(&place, NULL, "redirect_storm", "0 failures\n");
    cr_expect_eq(log_count(&place, "outcome", "failed"), 0);
    cr_expect_eq(litter_count(&place), 0);
}

Test(writing, refuses_io_uring_when_told_so)
{
    char *allowed = play(&place, NULL, "io_uring");
    cr_expect_neq(access(place.log, F_OK), 0);
    const char *const argv[] = { BUILD_DIR "/tests/starts", "io_uring", place.target, NULL };
    run_program_with(&place, WITHOUT_SHIM, NULL, argv);
    char *without = read_file(place.out, NULL);
    cr_expect_str_eq(allowed, without);
    expect_play(&place, "ETXTBSY_IO_URING=refuse", "io_uring", "Function not implemented\n");
    struct json_object *line = only_line(&place);
    cr_expect_str_eq(line_string(line, "event"), "refuse");
}

Test(writing, reaches_node_when_io_uring_is_refused)
{
    char missing[100];
    if (!have_programs("node", missing))
        cr_skip_test("there is no node here");
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_IO_URING=refuse UV_USE_IO_URING=1",
                                       "node -e 'const fs = require(\"fs\"); fs.writeFile(process.env.TARGET, "
                                       "fs.readFileSync(process.env.NEW), (e) => { if (e) throw e; })'")),
                 0);
    cr_expect(same_content(place.target, place.new));
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
}

/* ---- under valgrind ---- */

Test(writing, is_clean_under_valgrind, .timeout = 120)
{
    static const char *const commands[] = {
        "cp $NEW $TARGET",
        "bash -c 'cat $NEW > $TARGET'",
        "$BUILD/tests/cases two_opens $TARGET",
        "$BUILD/tests/cases child_is_last $TARGET",
        "$BUILD/tests/cases append_stream $TARGET",
    };
    char missing[100], command[500];
    if (!have_programs("valgrind", missing))
        cr_skip_test("there is no valgrind here");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        place_reset(&place);
        pid_t running = run_busy(place.target);
        snprintf(command, sizeof command, "valgrind -q --error-exitcode=9 %s", commands[i]);
        int status = status_code(run_shell(&place, WITH_SHIM, NULL, command));
        char *err = read_file(place.err, NULL);
        cr_expect_eq(status, 0, "%s: status %d: %s", command, status, err);
        cr_expect_gt(log_count(&place, "verdict", "replaced"), 0, "%s", command);
        stop(running);
        free(err);
    }
}

/* ---- how the library is named ---- */

Test(writing, works_when_the_library_was_given_by_a_relative_path)
{
    static const struct {
        const char *list, *binding;
    } rows[] = {
        { "build/libetxtbsy.so", "" },
        { "$BUILD/tests/plugin.so ./build/libetxtbsy.so", "" },
        { ":$BUILD/tests/plugin.so:build/libetxtbsy.so:$BUILD/tests/plugin.so", "" },
        { "$BUILD/tests/plugin.so build/libetxtbsy.so", "LD_BIND_NOW=1" }, /* so that it isn't seen at a glance */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[2 * PATH_MAX];
        place_reset(&place);
        pid_t running = run_busy(place.target);
        snprintf(command, sizeof command,
                 "ln -sfn $BUILD ../build; cd ..; %s LD_PRELOAD=\"%s\" ETXTBSY_LOG=%s sh -c 'cd dir; cp $NEW target'",
                 rows[i].binding, rows[i].list, place.log);
        cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, command)), 0, "%s", rows[i].list);
        char *err = read_file(place.err, NULL);
        cr_expect_str_eq(err, "", "%s: %s", rows[i].list, err);
        cr_expect(same_content(place.target, place.new), "%s", rows[i].list);
        cr_expect_eq(log_count(&place, "outcome", "replaced"), 1, "%s", rows[i].list);
        free(err);
        stop(running);
    }
}

/* ---- durability ---- */

Test(writing, syncs_the_file_before_and_the_directory_after_the_rename)
{
    char missing[100], line[1000];
    static const struct {
        const char *sync, *expected;
    } rows[] = {
        { "full", "fsync rename fsync " },
        { "data", "fdatasync rename " },
        { "none", "rename " },
    };
    if (!have_programs("strace", missing))
        cr_skip_test("there is no strace here");
    for (size_t i = 0; i < 3; i++) {
        char command[500], order[200] = "";
        place_reset(&place);
        pid_t running = run_busy(place.target);
        snprintf(command, sizeof command,
                 "strace -f -qq -o ../trace -e trace=fsync,fdatasync,renameat2,renameat,rename "
                 "env LD_PRELOAD=$BUILD/libetxtbsy.so ETXTBSY_LOG=none ETXTBSY_SYNC=%s cp $NEW $TARGET",
                 rows[i].sync);
        cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, command)), 0);
        snprintf(command, sizeof command, "%s/trace", place.root);
        FILE *trace = fopen(command, "r");
        while (trace && fgets(line, sizeof line, trace)) {
            const char *stage = strstr(line, ".etxtbsy-");
            if (stage && strstr(stage + 1, ".etxtbsy-")) /* the trial, from one such name to another */
                continue;
            strcat(order, strstr(line, "fdatasync(") ? "fdatasync " : strstr(line, "fsync(") ? "fsync " : "rename ");
        }
        cr_expect_str_eq(order, rows[i].expected, "%s: %s", rows[i].sync, order);
        stop(running);
    }
}

/* ---- sinks ---- */

Test(logging, goes_to_stderr_by_default)
{
    run_busy(place.target);
    int status = run_shell(&place, WITHOUT_SHIM, NULL, "LD_PRELOAD=$BUILD/libetxtbsy.so cp $NEW $TARGET");
    char *err = read_file(place.err, NULL);
    struct json_object *line = json_tokener_parse(err);
    cr_expect_eq(status_code(status), 0);
    cr_assert_not_null(line, "%s", err);
    cr_expect_str_eq(line_string(line, "outcome"), "replaced");
}

Test(logging, goes_to_all_that_are_named_and_to_none)
{
    run_busy(place.target);
    char environment[PATH_MAX + 100], second[PATH_MAX];
    snprintf(second, sizeof second, "%s/second", place.root);
    snprintf(environment, sizeof environment, "ETXTBSY_LOG=%s,fd:7,%s", place.log, second);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, environment, "cp $NEW $TARGET 7>../seventh")), 0);
    char seventh[PATH_MAX];
    snprintf(seventh, sizeof seventh, "%s/seventh", place.root);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    cr_expect(same_content(place.log, second));
    cr_expect(same_content(place.log, seventh));
    struct stat file;
    cr_expect_eq(stat(second, &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0640);

    place_reset(&place);
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_LOG=none", "cp $NEW $TARGET")), 0);
    char *err = read_file(place.err, NULL);
    cr_expect_str_eq(err, "");
    cr_expect_neq(access(place.log, F_OK), 0);
}

Test(logging, never_writes_into_the_file_itself)
{
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_LOG=stderr", "sh -c 'echo text >&2' 2> $TARGET")), 0);
    char *content = read_file(place.target, NULL);
    cr_expect_str_eq(content, "text\n", "%s", content);
}

Test(logging, survives_any_name, .timeout = 60)
{
    static const char *const names[] = { "new\nline", "quote\"",     "back\\slash",           "\x01\x02",
                                         "\xff\xfe",  "caf\xc3\xa9", "emoji \xf0\x9f\x98\x80" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX], command[200];
        place_reset(&place);
        snprintf(path, sizeof path, "%s/%s", place.directory, names[i]);
        cr_assert_eq(rename(place.target, path), 0);
        pid_t running = run_busy(path);
        snprintf(command, sizeof command, "for f in *; do cp $NEW \"./$f\"; done");
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0);
        cr_expect(same_content(path, place.new));
        struct json_object *line = only_line(&place);
        if (i != 4) /* which isn't UTF-8 */
            cr_expect_str_eq(line_string(line, "target"), path);
        stop(running);
    }
}

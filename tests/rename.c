/*
 * Names that can't be changed because the file is busy. No file system here answers so; strace gives the kernel's answer in its
 * place, which is all that a program sees of VirtualBox's shared folders, too.
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
    char missing[100];
    if (!have_programs("strace", missing))
        cr_skip_test("there is no strace here");
    place_make(&place);
}

static void drop(void)
{
    place_remove(&place);
}

TestSuite(renaming, .init = make, .fini = drop, .timeout = 60);

#define CHANGES "/^(rename(at2?)?|(un)?link(at)?|rmdir)$"
#define RENAMES "/^rename(at2?)?$"

/* Runs a command under the shim. `calls` is an expression of strace(1); `when` says which of each process's calls are answered with
 * `error`, as it has it. */
static int run_refused(const char *environment, const char *calls, const char *error, const char *when, const char *command)
{
    char line[2000];
    snprintf(line, sizeof line,
             "exec strace -f -qq -o ../trace -e 'trace=%s' -e 'inject=%s:error=%s:when=%s' "
             "env LD_PRELOAD=$BUILD/libetxtbsy.so ETXTBSY_LOG=%s ETXTBSY_SYNC=none %s %s",
             calls, calls, error, when, place.log, environment ? environment : "", command);
    return status_code(run_shell(&place, WITHOUT_SHIM, NULL, line));
}

static struct json_object *only_line(void)
{
    struct json_object *lines = log_lines(&place);
    cr_assert_eq(json_object_array_length(lines), 1, "%zu lines", json_object_array_length(lines));
    return json_object_get(json_object_array_get_idx(lines, 0));
}

/* ---- programs ---- */

static const char *const commands[] = {
    "mv $TARGET moved",
    "sh -c 'cp $NEW old; exec mv -f $TARGET old'",
    "ln $TARGET other",
    "rm $TARGET",
    "sh -c 'mkdir d; exec rmdir d'",
    "sh -c 'mkdir d; : > d/f; exec rm -r d'",
    "python3 -c 'import os; os.rename(os.environ[\"TARGET\"], \"moved\")'",
    ("python3 -c 'import os; os.link(os.environ[\"TARGET\"], \"other\"); os.replace(\"other\", \"third\"); "
     "os.mkdir(\"d\"); os.rmdir(\"d\"); os.remove(\"third\")'"),
    "perl -e 'rename $ENV{TARGET}, \"moved\" or die $!; link \"moved\", \"other\" or die $!; unlink \"moved\" or die $!'",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void play_all(enum shim shim, char *tree[COUNT(commands)], char *said[COUNT(commands)])
{
    for (size_t i = 0; i < COUNT(commands); i++) {
        place_reset(&place);
        int status = status_code(run_shell(&place, shim, NULL, commands[i]));
        said[i] = read_file(place.err, NULL);
        cr_expect_eq(status, 0, "%s: %s", commands[i], said[i]);
        tree[i] = tree_text(place.directory);
        cr_expect_neq(access(place.log, F_OK), 0, "%s: an idle file is logged", commands[i]);
    }
}

Test(renaming, is_as_without_the_library_on_an_ordinary_file_system)
{
    char *without[COUNT(commands)], *with[COUNT(commands)], *said[2][COUNT(commands)];
    play_all(WITHOUT_SHIM, without, said[0]);
    play_all(WITH_SHIM, with, said[1]);
    for (size_t i = 0; i < COUNT(commands); i++) {
        cr_expect_str_eq(with[i], without[i], "%s", commands[i]);
        cr_expect_str_eq(said[1][i], said[0][i], "%s", commands[i]);
    }
}

Test(renaming, real_programs_wait_until_the_file_is_free)
{
    for (size_t i = 0; i < COUNT(commands); i++) {
        place_reset(&place);
        cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, commands[i])), 0, "%s", commands[i]);
        char *expected = tree_text(place.directory);
        place_reset(&place);
        int status = run_refused(NULL, CHANGES, "ETXTBSY", "1..3", commands[i]);
        char *tree = tree_text(place.directory), *err = read_file(place.err, NULL);
        cr_expect_eq(status, 0, "%s: %s", commands[i], err);
        cr_expect_str_eq(err, "", "%s: %s", commands[i], err);
        cr_expect_str_eq(tree, expected, "%s: %s instead of %s", commands[i], tree, expected);
        cr_expect_gt(log_count(&place, "outcome", "succeeded"), 0, "%s", commands[i]);
        cr_expect_eq(log_count(&place, "outcome", "succeeded"), log_count(&place, "event", "wait"), "%s", commands[i]);
        free(expected);
        free(tree);
        free(err);
    }
}

/* ---- bounds ---- */

Test(renaming, ends_at_the_deadline_with_the_kernels_answer)
{
    char *before = tree_text(place.directory);
    cr_expect_eq(run_refused("ETXTBSY_RENAME_MAX_WAIT=100ms", CHANGES, "ETXTBSY", "1+", "$BUILD/tests/victim-plain rename $TARGET"),
                 1);
    char *err = read_file(place.err, NULL), *after = tree_text(place.directory);
    cr_expect_str_eq(err, "rename: Text file busy (26)\n", "%s", err);
    cr_expect_str_eq(after, before);
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "op"), "rename");
    cr_expect_str_eq(line_string(line, "outcome"), "gave-up");
    cr_expect_str_eq(line_string(line, "verdict"), "persistent");
    cr_expect_str_eq(line_string(line, "action"), "retry");
    cr_expect_str_eq(line_string(line, "target"), place.target);
    cr_expect_geq(atof(line_string(line, "waited_ms")), 100.0);
    cr_expect_gt(line_number(line, "attempts"), 5);
}

Test(renaming, ends_after_so_many_attempts)
{
    cr_expect_eq(run_refused("ETXTBSY_RENAME_MAX_ATTEMPTS=3", CHANGES, "ETXTBSY", "1+", "$BUILD/tests/victim-plain unlink $TARGET"),
                 1);
    cr_expect_eq(line_number(only_line(), "attempts"), 3);
}

Test(renaming, passes_other_errors_on_at_once)
{
    static const char *const errors[][2] = { { "EBUSY", "Device or resource busy (16)" },
                                             { "EXDEV", "Invalid cross-device link (18)" },
                                             { "EROFS", "Read-only file system (30)" } };
    static const char *const entries[] = { "rename", "renameat2", "link", "unlinkat", "rmdir", "remove", "syscall-renameat2" };
    for (size_t i = 0; i < COUNT(errors); i++)
        for (size_t j = 0; j < COUNT(entries); j++) {
            char command[200], expected[100], trace[PATH_MAX];
            place_reset(&place);
            snprintf(command, sizeof command, "$BUILD/tests/victim-plain %s $TARGET", entries[j]);
            snprintf(expected, sizeof expected, "%s: %s\n", entries[j], errors[i][1]);
            cr_expect_eq(run_refused(NULL, CHANGES, errors[i][0], "1+", command), 1);
            char *err = read_file(place.err, NULL);
            cr_expect_str_eq(err, expected, "%s", err);
            snprintf(trace, sizeof trace, "%s/trace", place.root);
            char *calls = read_file(trace, NULL), *newline = strchr(calls, '\n');
            cr_expect(newline && !newline[1], "%s is tried again: %s", entries[j], calls);
            cr_expect_neq(access(place.log, F_OK), 0);
        }
}

/* mv asks with RENAME_NOREPLACE, and counts on EEXIST. */
Test(renaming, another_error_ends_the_wait_and_is_the_answer)
{
    cr_expect_eq(run_refused(NULL, CHANGES, "ETXTBSY", "1..3", "$BUILD/tests/victim-plain rename $TARGET-that-is-missing"), 1);
    char *err = read_file(place.err, NULL);
    cr_expect_str_eq(err, "rename: No such file or directory (2)\n", "%s", err);
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "error"), "ETXTBSY");
    cr_expect_str_eq(line_string(line, "outcome"), "succeeded");
    cr_expect_eq(line_number(line, "attempts"), 4);
}

/* ---- actions ---- */

Test(renaming, observes_and_is_off)
{
    static const char command[] = "$BUILD/tests/victim-plain rename $TARGET";
    cr_expect_eq(run_refused("ETXTBSY_RENAME=observe", CHANGES, "ETXTBSY", "1+", command), 1);
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "event"), "observe");
    cr_expect_str_eq(line_string(line, "outcome"), "observed");
    char *err = read_file(place.err, NULL);
    cr_expect_str_eq(err, "rename: Text file busy (26)\n", "%s", err);
    unlink(place.log);
    cr_expect_eq(run_refused("ETXTBSY_RENAME=off", CHANGES, "ETXTBSY", "1+", command), 1);
    cr_expect_eq(run_refused("ETXTBSY_DISABLE=1", CHANGES, "ETXTBSY", "1+", command), 1);
    cr_expect_neq(access(place.log, F_OK), 0);
}

Test(renaming, goes_by_the_rule_for_the_file_that_would_lose_its_name)
{
    char conf[PATH_MAX], text[2 * PATH_MAX], environment[PATH_MAX + 20];
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    snprintf(text, sizeof text, "[rename]\naction = off\n[rule]\npath = %s\nrename = observe\n", place.target);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    write_file(conf, text, 0644);
    cr_expect_neq(run_refused(environment, CHANGES, "ETXTBSY", "1+", "sh -c 'cp $NEW beside; exec mv -f beside $TARGET'"), 0);
    cr_expect_eq(log_count(&place, "target", place.target), log_count(&place, "outcome", "observed"));
    cr_expect_gt(log_count(&place, "target", place.target), 0);
    unlink(place.log);
    cr_expect_neq(run_refused(environment, CHANGES, "ETXTBSY", "1+", "sh -c 'cp $NEW beside; exec mv -f beside third'"), 0);
    cr_expect_neq(access(place.log, F_OK), 0);
}

/* ---- the library's own rename ---- */

/* The first rename of all is the trial when the stage is made, for which this error means nothing. */

Test(renaming, a_finished_stage_is_tried_again)
{
    run_busy(place.target);
    cr_expect_eq(run_refused(NULL, RENAMES, "ETXTBSY", "1..4", "cp $NEW $TARGET"), 0);
    cr_expect(same_content(place.target, place.new));
    cr_expect_eq(litter_count(&place), 0);
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "outcome"), "replaced");
    cr_expect_str_eq(line_string(line, "action"), "redirect");
    cr_expect_eq(line_number(line, "attempts"), 4);
}

Test(renaming, a_stage_that_never_gets_its_name_is_kept_and_the_program_told)
{
    run_busy(place.target);
    /* The sixth rename is the one that keeps it. */
    cr_expect_eq(run_refused("ETXTBSY_RENAME_MAX_ATTEMPTS=4", RENAMES, "ETXTBSY", "1..5", "cp $NEW $TARGET"), 1);
    char *err = read_file(place.err, NULL);
    cr_expect_not_null(strstr(err, "Text file busy"), "%s", err);
    cr_expect(same_content(place.target, TARGET_PROGRAM));
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "outcome"), "failed");
    cr_expect_str_eq(line_string(line, "error"), "ETXTBSY");
    cr_expect_eq(line_number(line, "attempts"), 4);
    cr_expect_not_null(strstr(line_string(line, "stage"), ".etxtbsy-kept-"));
    cr_expect(same_content(line_string(line, "stage"), place.new), "%s", line_string(line, "stage"));
    cr_expect_eq(litter_count(&place), 1);
    /* The next one's sweep leaves it. */
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, "cp $NEW $TARGET")), 0);
    cr_expect_eq(litter_count(&place), 1);
}

Test(renaming, a_finished_stage_is_tried_once_where_the_action_is_off)
{
    run_busy(place.target);
    cr_expect_eq(run_refused("ETXTBSY_RENAME=off", RENAMES, "ETXTBSY", "1..2", "cp $NEW $TARGET"), 1);
    struct json_object *line = only_line();
    cr_expect_str_eq(line_string(line, "outcome"), "failed");
    cr_expect_eq(line_number(line, "attempts"), 1);
    cr_expect(same_content(line_string(line, "stage"), place.new));
}

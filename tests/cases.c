/*
 * Every scene of tests/programs/cases.c on a busy file under the shim, compared with the same scene on an idle file without.
 */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

/* Where a mapping keeps a lock after close (not on overlay), the shim can tell that the file may still be written to. */
#define BY_MAPPING "published-early or replaced"

/* A child that may end before its parent asks, while that writes that it has to wait for it, or later. */
#define BY_EITHER "replaced, and pending or not"

/* Who is refused, and finds the file replaced when it looks, has waited. */
#define BY_MANY "replaced, and waits"

/* A scene, and the outcomes that the log must have, in this order. */
static const struct scene {
    const char *name, *outcomes;
} scenes[] = {
    { "append", "replaced" },
    { "read_write", "replaced" },
    { "reader_truncates", "replaced" },
    { "flags_and_number", "replaced" },
    { "relative_and_chdir", "replaced" },
    { "directory_descriptor", "replaced" },
    { "symbolic_link", "replaced" },
    { "two_opens", "replaced" },
    { "opened_again_when_nobody_runs_it", "replaced" },
    { "threads_open_at_once", "replaced" },
    { "threads_open_and_close", BY_MANY },
    { "handlers_open_and_close", BY_MANY },
    { "by_its_descriptor", "replaced" },
    { "openat2_of_nonsense", "replaced" },
    { "duplicates", "replaced" },
    { "child_is_last", "pending replaced" },
    { "child_is_last_without_links", "pending replaced" },
    { "parent_is_last", "replaced" },
    { "child_is_killed", "pending replaced" },
    { "child_is_waited_for_by_number", "replaced" },
    { "child_is_told_of_by_number", "replaced" },
    { "exec_closes", "replaced" },
    { "exec_fails", "replaced" },
    { "starts_from_bad_addresses", "replaced" },
    { "asks_by_bad_paths", "replaced" },
    { "exec_keeps", "replaced" },
    { "exec_of_a_static_program", "published-early" },
    { "vfork_child_writes", "replaced" },
    { "vfork_child_opens", "replaced" },
    { "passed_descriptor", "pending replaced" },
    { "mapping_kept", BY_MAPPING },
    { "mapping_written_after_close", BY_MAPPING },
    { "last_thread_ends", "replaced" },
    { "buffered_until_exit", "replaced" },
    { "close_everything", "replaced" },
    { "close_ranges", "pending replaced" },
    { "no_descriptor_left", "" }, /* nor one for the log */
    { "no_descriptor_left_at_exit", "" },
    { "locks_it", "replaced" },
    { "locks_it_twice_opened", "replaced" },
    { "locks_it_in_no_known_way", "replaced" },
    { "errno_stays", "replaced" },
    { "restricted_by_landlock", "published-early" },
    { "restricted_by_seccomp", "published-early" },
    { "restricted_by_prctl", "published-early" },
    { "restricted_strictly", "published-early" },
    { "in_a_user_namespace_of_its_own", "published-early" },
    { "without_capabilities", "published-early" },
    { "asks_seccomp", "replaced" },
    { "append_stream", "replaced" },
    { "converting_stream", "replaced" },
    { "closes_all_streams", "replaced" },
    { "reopened_mode", "replaced" },
    { "stream_of_a_stream", "replaced" },
    { "stream_with_one_number_left", "" }, /* nor one for the log */
    { "stream_reopened_with_one_number_left", "" },
    { "longer_than_may_be_written", "succeeded" },
    { "stream_reopened_beside_an_open", "succeeded" },
    { "spawn_never", "" },
    { "spawn_with_few_descriptors", "replaced" },
    { "spawn_twice", "replaced" },
    { "spawn_static_programs", "published-early" },
    { "spawn_and_forget", "replaced" },
    { "spawn_in_another_directory", "replaced" },
    { "spawn_leaves_locks_alone", "replaced" },
    { "spawn_makes_another_file", "replaced" },
    { "spawn_opens_what_is_its_own", "waiting gave-up replaced" },
    { "spawn_with_other_opens", "replaced" },
    { "spawns_beside_a_writer", BY_MANY },
    { "spawn_fails_before", "" },
    { "spawn_passes_by_dup2", BY_EITHER },
    { "extended_attributes", "replaced" },
    { "directory_with_a_default_acl", "replaced" },
    { "set_id_bits", "replaced" },
    { "security_attributes", "replaced" },
    { "flags_and_project", "replaced" },
    { "opened_only", "unchanged" },
    { "first_byte_again", "unchanged" },
    { "truncated_to_its_own_length", "unchanged" },
    { "same_bytes", "unchanged" },
    { "touched", "unchanged" },
    { "owner_and_times_changed_meanwhile", "replaced" },
    { "replaced_meanwhile", "pending discarded" },
    { "renamed_meanwhile", "replaced" },
    { "unlinked_meanwhile", "discarded" },
    { "mode_changed_meanwhile", "replaced" },
    { "attributes_changed_meanwhile", "replaced" },
    { "capability_set_meanwhile", "replaced" },
    { "attributes_changed_around_an_exec", "replaced" },
    { "attributes_changed_before_an_exec", "replaced" },
    { "mode_changed_by_descriptor_before_an_exec", "replaced" },
    { "mode_changed_by_descriptor", "replaced" },
    { "directory_moved", "replaced" },
    { "somebody_elses_stderr", "replaced" },
};

#define SCENES (sizeof scenes / sizeof *scenes)

#define LACKED 77 /* a scene says so of its kernel */

struct result {
    int status;
    char *tree, *out, *err;
};

static struct result play(const struct place *place, enum shim shim, const char *environment, const char *scene)
{
    const char *const argv[] = { BUILD_DIR "/tests/cases", scene, place->target, NULL };
    struct result result = { .status = status_code(run_program_with(place, shim, environment, argv)) };
    result.tree = tree_text(place->directory);
    result.out = read_file(place->out, NULL);
    result.err = read_file(place->err, NULL);
    return result;
}

static void expect_same(const struct result *expected, const struct result *actual, const char *scene, const char *how)
{
    cr_expect_eq(actual->status, expected->status, "%s, %s: status %d instead of %d: %s", scene, how, actual->status,
                 expected->status, actual->err);
    cr_expect_str_eq(actual->tree, expected->tree, "%s, %s: the files are\n%s instead of\n%s", scene, how, actual->tree,
                     expected->tree);
    cr_expect_str_eq(actual->out, expected->out, "%s, %s: said %s instead of %s", scene, how, actual->out, expected->out);
    cr_expect_str_eq(actual->err, expected->err, "%s, %s: complained %s", scene, how, actual->err);
}

static void expect_outcomes(const struct place *place, const struct scene *scene)
{
    char said[500] = "";
    struct json_object *lines = log_lines(place);
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        strcat(said, i ? " " : "");
        strcat(said, line_string(json_object_array_get_idx(lines, i), "outcome"));
    }
    const char *expected = scene->outcomes;
    if (!strcmp(expected, BY_MAPPING))
        expected = mapping_holds_lock(place->directory) ? "published-early" : "replaced";
    if (!strcmp(expected, BY_EITHER) &&
        (!strcmp(said, "replaced") || !strcmp(said, "pending replaced") || !strcmp(said, "replaced pending")))
        expected = said;
    if (!strcmp(expected, BY_MANY) && count_of(said, "succeeded") + count_of(said, "replaced") == json_object_array_length(lines) &&
        count_of(said, "replaced"))
        expected = said;
    cr_expect_str_eq(said, expected, "%s: the log has \"%s\" instead of \"%s\"", scene->name, said, expected);
    json_object_put(lines);
}

ParameterizedTestParameters(cases, a_busy_file_ends_as_an_idle_one)
{
    static int numbers[SCENES];
    for (size_t i = 0; i < SCENES; i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, SCENES);
}

ParameterizedTest(int *number, cases, a_busy_file_ends_as_an_idle_one, .timeout = 30)
{
    const struct scene *scene = &scenes[*number];
    struct place place;
    place_make(&place);
    struct result expected = play(&place, WITHOUT_SHIM, NULL, scene->name);
    if (expected.status == LACKED) {
        place_remove(&place);
        cr_skip_test("%s: this kernel hasn't got it", scene->name);
    }
    cr_assert_eq(expected.status, 0, "%s: idle: %s", scene->name, expected.err);

    place_reset(&place);
    struct result idle = play(&place, WITH_SHIM, NULL, scene->name);
    expect_same(&expected, &idle, scene->name, "idle with the shim");
    cr_expect_neq(access(place.log, F_OK), 0, "%s: an idle file is logged", scene->name);

    place_reset(&place);
    struct result atomic = play(&place, WITH_SHIM, ATOMIC, scene->name);
    expect_same(&expected, &atomic, scene->name, "idle, atomic");
    cr_expect_eq(log_count(&place, "error", "ETXTBSY"), 0, "%s: an idle file is called busy", scene->name);
    cr_expect_eq(litter_count(&place), 0, "%s: atomic: a stage is left", scene->name);

    place_reset(&place);
    run_busy(place.target);
    struct result busy = play(&place, WITH_SHIM, NULL, scene->name);
    expect_same(&expected, &busy, scene->name, "busy");
    expect_outcomes(&place, scene);
    place_remove(&place);
}

/* ---- rights that are given up past libc, by number ---- */

Test(cases, who_gives_up_rights_by_number_has_his_file_in_place_before, .timeout = 60)
{
    static const struct {
        int number;
        long first, second;
        const char *outcome;
    } rows[] = {
#define SETTLES "published-early"
        { SYS_setuid, -1, 0, SETTLES },
        { SYS_setreuid, -1, -1, SETTLES },
        { SYS_setresuid, -1, -1, SETTLES },
        { SYS_setfsuid, -1, 0, SETTLES },
        { SYS_setgid, -1, 0, SETTLES },
        { SYS_setregid, -1, -1, SETTLES },
        { SYS_setresgid, -1, -1, SETTLES },
        { SYS_setfsgid, -1, 0, SETTLES },
        { SYS_setgroups, -1, 0, SETTLES },
#ifdef __i386__
        { SYS_setuid32, -1, 0, SETTLES },
        { SYS_setreuid32, -1, -1, SETTLES },
        { SYS_setresuid32, -1, -1, SETTLES },
        { SYS_setfsuid32, -1, 0, SETTLES },
        { SYS_setgid32, -1, 0, SETTLES },
        { SYS_setregid32, -1, -1, SETTLES },
        { SYS_setresgid32, -1, -1, SETTLES },
        { SYS_setfsgid32, -1, 0, SETTLES },
        { SYS_setgroups32, -1, 0, SETTLES },
#endif
        { SYS_capset, 0, 0, SETTLES },
        { SYS_chroot, 0, 0, SETTLES },
        { SYS_pivot_root, 0, 0, SETTLES },
        { SYS_unshare, CLONE_NEWUSER | 1, 0, SETTLES },
        { SYS_unshare, CLONE_FILES, 0, "replaced" },
        { SYS_setns, -1, 0, SETTLES },
        { SYS_setns, -1, CLONE_NEWNS | CLONE_NEWNET, SETTLES },
        { SYS_setns, -1, CLONE_NEWNET, "replaced" },
        { SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, SETTLES },
        { SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_DISABLED, "replaced" },
        { SYS_prctl, PR_SET_DUMPABLE, 1, "replaced" },
    };
    struct place place;
    char environment[100];
    place_make(&place);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        place_reset(&place);
        run_busy(place.target);
        snprintf(environment, sizeof environment, "CALL=%d,%ld,%ld", rows[i].number, rows[i].first, rows[i].second);
        struct result result = play(&place, WITH_SHIM, environment, "gives_up_rights_by_number");
        char *content = read_file(place.target, NULL);
        cr_expect_eq(result.status, 0, "%s: %s", environment, result.err);
        cr_expect_str_eq(content, "text", "%s: %s", environment, content);
        cr_expect_eq(log_count(&place, "outcome", rows[i].outcome), 1, "%s: not %s", environment, rows[i].outcome);
    }
    place_remove(&place);
}

/* ---- set-id bits, which writes leave or take away according to who writes ---- */

static char *result_of(const struct place *place, enum shim shim, const char *prepare, const char *command)
{
    cr_assert_eq(status_code(run_shell(place, WITHOUT_SHIM, NULL, prepare)), 0, "%s", prepare);
    pid_t running = shim == WITH_SHIM ? run_busy(place->target) : 0;
    int status = run_shell(place, shim, NULL, command);
    char *err = read_file(place->err, NULL);
    cr_expect_eq(status_code(status), 0, "%s: %s", command, err);
    free(err);
    if (running)
        stop(running);
    return tree_text(place->directory);
}

Test(cases, set_id_bits_are_kept_or_stripped_as_the_kernel_does_for_this_writer, .timeout = 120)
{
    static const char *const writers[] = { "", "setpriv --bounding-set=-fsetid --inh-caps=-fsetid",
                                           "setpriv --reuid=65534 --regid=65534 --clear-groups" };
    static const char *const ways[] = { "only_opens", "only_truncates", "appends_a_byte", "truncates_and_writes",
                                        "truncates_by_path" };
    static const char *const modes[] = { "4755", "2755", "2745", "6711", "7777" };
    struct place place;
    char prepare[200], command[300], missing[100];
    place_make(&place);
    if (geteuid() != 0 || !have_programs("setpriv", missing)) {
        place_remove(&place);
        cr_skip_test("needs root and setpriv");
    }
    place_share_build(&place);
    for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++)
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
            for (size_t writer = 0; writer < sizeof writers / sizeof *writers; writer++) {
                if (!take_all() && (mode + way + writer) % (sizeof modes / sizeof *modes)) /* each of them with one mode */
                    continue;
                snprintf(prepare, sizeof prepare, "chown 65534:65534 . $TARGET; chmod %s $TARGET", modes[mode]);
                snprintf(command, sizeof command, "%s $BUILD/tests/cases %s $TARGET", writers[writer], ways[way]);
                place_reset(&place);
                char *expected = result_of(&place, WITHOUT_SHIM, prepare, command);
                place_reset(&place);
                write_file(place.log, "", 0666);
                char *actual = result_of(&place, WITH_SHIM, prepare, command);
                cr_expect_str_eq(actual, expected, "%s of %s: %s instead of %s", command, modes[mode], actual, expected);
                cr_expect_eq(log_count(&place, "event", "redirect"), 1, "%s of %s", command, modes[mode]);
                free(expected);
                free(actual);
            }
    place_remove(&place);
}

/* ---- what happens to those who are killed, and to those who write at once ---- */

Test(cases, a_killed_writer_leaves_the_old_file_and_the_next_one_sweeps)
{
    struct place place;
    place_make(&place);
    char *before = tree_text(place.directory);
    run_busy(place.target);
    run_shell(&place, WITH_SHIM, NULL, "(echo half; exec sleep 60) > $TARGET & p=$!; sleep .3; kill -9 $p; wait");
    cr_expect_eq(litter_count(&place), 1);
    cr_expect(same_content(place.target, TARGET_PROGRAM));
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, "cp $NEW $TARGET")), 0);
    cr_expect_eq(litter_count(&place), 0);
    cr_expect(same_content(place.target, place.new));
    cr_expect_neq(strlen(before), 0);
    place_remove(&place);
}

Test(cases, a_held_stage_survives_the_next_one)
{
    struct place place;
    place_make(&place);
    run_busy(place.target);
    int status = run_shell(&place, WITH_SHIM, NULL,
                           "mkfifo ../go; { echo slow; read x; echo end; } > $TARGET < ../go & exec 3> ../go;"
                           "until ls -a | grep -q etxtbsy; do sleep .02; done; cp $NEW $TARGET; echo >&3; wait");
    char *content = read_file(place.target, NULL);
    cr_expect_eq(status_code(status), 0);
    cr_expect_str_eq(content, "slow\nend\n", "%s", content);
    cr_expect_eq(log_count(&place, "reason", "target-replaced"), 1);
    cr_expect_eq(litter_count(&place), 0);
    place_remove(&place);
}

Test(cases, concurrent_deployers_leave_one_whole_file, .timeout = 60)
{
    struct place place;
    char command[600];
    place_make(&place);
    run_busy(place.target);
    /* All of them open it while it is busy: behind the first commit it isn't any more. */
    snprintf(
        command, sizeof command,
        "cd ..; all='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20'; for i in $all; do yes $i | head -c 100000 > f$i; done;"
        "for i in $all; do (exec 3>$TARGET; : > ready$i; until test -e go; do sleep .02; done; cat f$i >&3) & done;"
        "for i in $all; do until test -e ready$i; do sleep .02; done; done; : > go; wait");
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0);
    size_t length;
    char *content = read_file(place.target, &length);
    cr_expect_eq(length, 100000);
    bool one_of_them = false;
    for (int i = 1; i <= 20; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/f%d", place.root, i);
        one_of_them |= same_content(path, place.target);
    }
    cr_expect(one_of_them, "a mixture: %.20s", content);
    cr_expect_eq(litter_count(&place), 0);
    place_remove(&place);
}

/*
 * The scenes of tests/programs/storms.c, and many deployers of one running program. In short here; `make prove-storm` gives
 * them time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#include <criterion/parameterized.h>

static const struct storm {
    const char *scene, *environment;
    int rounds, all_rounds;
} storms[] = {
    { "fresh_programs", "", 640, 10048 },
    { "copies_closed_at_once", ATOMIC, 100, 4000 },
    { "forks_in_every_state", ATOMIC, 100, 4000 },
    { "vfork_children_write", ATOMIC, 25, 1000 },
    { "among_signals", ATOMIC, 200, 4000 },
    { "cancelled_threads", ATOMIC, 100, 3000 },
    { "cancelled_waiters", "ETXTBSY_WRITE=retry", 50, 1000 },
};

#define STORMS (sizeof storms / sizeof *storms)

ParameterizedTestParameters(storm, loses_nothing)
{
    static int numbers[STORMS];
    for (size_t i = 0; i < STORMS; i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, STORMS);
}

ParameterizedTest(int *number, storm, loses_nothing, .timeout = 600)
{
    const struct storm *storm = &storms[*number];
    const char *const argv[] = { BUILD_DIR "/tests/storms", storm->scene, NULL, NULL };
    struct place place;
    char environment[200], *out, *err;
    place_make(&place);
    snprintf(environment, sizeof environment, "ROUNDS=%d %s", take_all() ? storm->all_rounds : storm->rounds, storm->environment);
    int status = run_program_with(&place, WITH_SHIM, environment, (const char *const[]){ argv[0], argv[1], place.target, NULL });
    out = read_file(place.out, NULL);
    err = read_file(place.err, NULL);
    cr_expect_eq(status_code(status), 0, "%s: status %d: %s", storm->scene, status_code(status), err);
    cr_expect_str_eq(err, "", "%s complained: %s", storm->scene, err);
    cr_expect_eq(litter_count(&place), 0, "%s: a stage is left", storm->scene);
    cr_expect_eq(log_count(&place, "verdict", "failed"), 0);
    cr_expect_eq(log_count(&place, "outcome", "gave-up"), 0);
    cr_expect_eq(log_count(&place, "outcome", "in-place"), 0, "%s: a file was written in place", storm->scene);
    printf("%s: %s", storm->scene, out);
    place_remove(&place);
}

/* ---- two hundred who replace one running program ---- */

static int number_of_whole_input(const struct place *place, int inputs)
{
    for (int i = 1; i <= inputs; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/in%d", place->root, i);
        if (same_content(path, place->target))
            return i;
    }
    return 0;
}

Test(storm, two_hundred_deployers_leave_one_whole_file, .timeout = 600)
{
    struct place place;
    place_make(&place);
    int rounds = take_all() ? 20 : 1;
    for (int round = 0; round < rounds; round++) {
        place_reset(&place);
        pid_t running = run_busy(place.target);
        /* Contents of different lengths, so that a mixture shows whoever comes last. */
        int status = run_shell(&place, WITH_SHIM, ATOMIC,
                               "cd ..; all=$(seq 200);"
                               "for i in $all; do yes $i | head -c $((1000 + i * 700)) > in$i; done;"
                               "for i in $all; do case $((i % 4)) in 0) cat in$i > $TARGET;; 1) dd if=in$i of=$TARGET status=none;;"
                               "*) cp in$i $TARGET;; esac & done; wait");
        char *err = read_file(place.err, NULL);
        cr_expect_eq(status_code(status), 0);
        cr_expect_str_eq(err, "", "%s", err);
        cr_expect_neq(number_of_whole_input(&place, 200), 0, "a mixture, or nothing");
        cr_expect_eq(litter_count(&place), 0);
        cr_expect_eq(log_count(&place, "outcome", "in-place"), 0);
        cr_expect_eq(log_count(&place, "verdict", "failed"), 0);
        free(err);
        stop(running);
    }
    printf("%d times 200 deployers\n", rounds);
    place_remove(&place);
}

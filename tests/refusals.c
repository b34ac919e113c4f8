/*
 * Files that can't be replaced faithfully: each is refused for its own reason, the program gets the kernel's ETXTBSY after
 * the bounded wait, nothing is written and nothing is left behind. Reasons that no file system here can be brought to give are
 * tested in unit_stage.c with system calls that fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "harness.h"

#define BOUND "ETXTBSY_WRITE_MAX_WAIT=50ms ETXTBSY_TRUNCATE_MAX_WAIT=50ms"

/* What a shell does before, as root, and after; empty for nothing. */
struct refusal {
    const char *reason, *prepare, *command, *undo;
};

/* The only line of the log must say that it was refused for this reason, behind a wait. */
static void expect_reason_said(const struct place *place, const struct refusal *refusal)
{
    struct json_object *lines = log_lines(place);
    size_t count = json_object_array_length(lines);
    cr_expect_eq(count, 1, "%s, %s: %zu lines", refusal->reason, refusal->command, count);
    if (count != 1) /* no assertion: there may be something to undo */
        return;
    struct json_object *line = json_object_array_get_idx(lines, 0);
    cr_expect_str_eq(line_string(line, "reason"), refusal->reason, "%s, %s: \"%s\"", refusal->reason, refusal->command,
                     line_string(line, "reason"));
    cr_expect_str_eq(line_string(line, "verdict"), "refused");
    cr_expect_str_eq(line_string(line, "outcome"), "gave-up");
    cr_expect_str_eq(line_string(line, "error"), "ETXTBSY");
    cr_expect_gt(line_number(line, "attempts"), 1, "%s: nobody waited", refusal->reason);
    json_object_put(lines);
}

/* With the target busy already; in a place that has been prepared. */
static void expect_failure(const struct place *place, const struct refusal *refusal)
{
    char *before = tree_text(place->directory);
    int status = run_shell(place, WITH_SHIM, BOUND, refusal->command);
    char *now = tree_text(place->directory), *err = read_file(place->err, NULL);
    cr_expect_neq(status_code(status), 0, "%s, %s: succeeded", refusal->reason, refusal->command);
    cr_expect_not_null(strstr(err, "Text file busy"), "%s, %s: %s", refusal->reason, refusal->command, err);
    cr_expect_str_eq(now, before, "%s, %s: the files are\n%s instead of\n%s", refusal->reason, refusal->command, now, before);
    expect_reason_said(place, refusal);
    free(before);
    free(now);
    free(err);
}

static bool prepare(const struct place *place, const struct refusal *refusal)
{
    unlink(place->log);
    write_file(place->log, "", 0666); /* for whoever runs the command */
    if (status_code(run_shell(place, WITHOUT_SHIM, NULL, refusal->prepare)) == 0)
        return true;
    char *err = read_file(place->err, NULL);
    fprintf(stderr, "skipped: refusal for %s (can't be prepared here: %s)\n", refusal->reason, strtok(err, "\n"));
    free(err);
    return false;
}

static void expect_refusal(const struct place *place, const struct refusal *refusal)
{
    if (prepare(place, refusal)) {
        pid_t running = run_busy(place->target);
        expect_failure(place, refusal);
        stop(running);
    }
    if (refusal->undo)
        run_shell(place, WITHOUT_SHIM, NULL, refusal->undo);
}

static void expect_refusals(const struct refusal *refusals, size_t count)
{
    struct place place;
    place_make(&place);
    place_share_build(&place);
    for (size_t i = 0; i < count; i++) {
        expect_refusal(&place, &refusals[i]);
        place_reset(&place);
    }
    place_remove(&place);
}

#define EXPECT_REFUSALS(refusals) expect_refusals(refusals, sizeof(refusals) / sizeof *(refusals))
#define AS_NOBODY "setpriv --reuid=65534 --regid=65534 --clear-groups "

Test(refusals, of_other_names, .timeout = 60)
{
    static const struct refusal refusals[] = {
        { "hard-links", "ln $TARGET other", "cp $NEW $TARGET" },
        { "hard-links", "ln $TARGET other", "truncate -s 5 $TARGET" },
        { "hard-links", "ln $TARGET other", "echo more >> $TARGET" },
        { "hard-links", "ln $TARGET other", "$BUILD/tests/cases spawn_twice $TARGET" },
    };
    EXPECT_REFUSALS(refusals);
}

Test(refusals, of_owners_and_directories, .timeout = 60)
{
    static const struct refusal refusals[] = {
        { "owner", "chmod 757 $TARGET; chmod 777 .", AS_NOBODY "cp $NEW $TARGET" },
        /* A member of the group may write, and can't give a file to another owner. */
        { "owner", "chown 65533:65534 $TARGET; chmod 775 $TARGET; chmod 777 .", AS_NOBODY "cp $NEW $TARGET" },
        /* The owner can't give it to a group that isn't theirs. */
        { "owner", "chown 65534:65533 $TARGET; chmod 777 .", AS_NOBODY "cp $NEW $TARGET" },
        { "directory", "chmod 777 $TARGET; chown 65534 $TARGET", AS_NOBODY "cp $NEW $TARGET" },
        { "sticky-directory", "chmod 777 $TARGET; chmod 1777 .", AS_NOBODY "cp $NEW $TARGET" },
        /* root, as in many a container */
        { "sticky-directory", "chown 65533 $TARGET; chown 65532 .; chmod 1777 .",
          "setpriv --bounding-set=-fowner --inh-caps=-fowner cp $NEW $TARGET" },
        { "unreadable", "chown 65534:65534 . $TARGET; chmod 300 $TARGET", AS_NOBODY "sh -c 'cat $NEW > $TARGET'" },
    };
    char missing[100];
    if (geteuid() != 0 || !have_programs("setpriv", missing))
        cr_skip_test("needs root and setpriv");
    EXPECT_REFUSALS(refusals);
}

Test(refusals, of_what_chattr_has_set, .timeout = 60)
{
    static const struct refusal refusals[] = {
        { "immutable", "chattr +a $TARGET", "cat $NEW >> $TARGET", "chattr -a $TARGET" },
        { "immutable-directory", "chattr +a .", "cp $NEW $TARGET", "chattr -a ." },
        { "immutable-directory", "chattr +i .", "cp $NEW $TARGET", "chattr -i ." },
    };
    char missing[100];
    if (geteuid() != 0 || !have_programs("chattr", missing))
        cr_skip_test("needs root and chattr");
    EXPECT_REFUSALS(refusals);
}

/* The file systems are mounted on the place's directory: the log is outside, and there is room for it. */
#define MOUNTED(type, options) "mount -t " type " -o " options " none $PWD && cp $BUILD/tests/target $TARGET && "
#define UNMOUNT "cd /; umount ${TARGET%/*}"

Test(refusals, of_full_file_systems_and_mounted_files, .timeout = 60)
{
    static const struct refusal refusals[] = {
        { "mount-point", "cp $TARGET other; mount --bind other $TARGET", "cp $NEW $TARGET", "umount $TARGET" },
        { "no-space", MOUNTED("tmpfs", "size=100k") "! head -c 1m /dev/zero > $PWD/rest", "echo more >> $TARGET", UNMOUNT },
        { "no-space", MOUNTED("tmpfs", "nr_inodes=3") "> $PWD/rest", "cp $NEW $TARGET", UNMOUNT },
    };
    char missing[100];
    if (!have_programs("mount", missing) || !have_own_mounts())
        cr_skip_test("can't mount");
    EXPECT_REFUSALS(refusals);
}

Test(refusals, of_a_read_only_file_system_are_the_kernels_own, .timeout = 60)
{
    struct place place;
    place_make(&place);
    if (!have_own_mounts() || mount(place.directory, place.directory, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, place.directory, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0) {
        place_remove(&place);
        cr_skip_test("can't mount");
    }
    pid_t running = run_busy(place.target);
    char *said[2];
    for (enum shim shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
        cr_expect_neq(status_code(run_shell(&place, shim, NULL, "cp $NEW $TARGET")), 0);
        said[shim] = read_file(place.err, NULL);
        cr_expect_not_null(strstr(said[shim], "Read-only file system"), "%s", said[shim]);
    }
    cr_expect_str_eq(said[WITH_SHIM], said[WITHOUT_SHIM]);
    cr_expect_neq(access(place.log, F_OK), 0, "an error that isn't ours is logged");
    stop(running);
    umount(place.directory);
    place_remove(&place);
}

/* The kernel opens a swap file for writing, and refuses to truncate it. */
Test(refusals, of_swap_files, .timeout = 60)
{
#define SWAP "\"my swap\\\\file\t\""
    static const struct refusal refusals[] = {
        { "swap-file", "true", ": > " SWAP },
        { "swap-file", "true", "$BUILD/tests/cases truncates_by_path " SWAP },
        { "swap-file", "true", "cp $NEW " SWAP },
    };
    struct place place;
    char missing[100];
    if (geteuid() != 0 || !have_programs("mkswap swapon swapoff", missing))
        cr_skip_test("needs root, mkswap and swapon");
    place_make(&place);
    static const struct refusal on = { "swap-file", "head -c 65536 /dev/zero > " SWAP "; chmod 600 " SWAP "; mkswap " SWAP
                                                    "; swapon $PWD/" SWAP };
    if (!prepare(&place, &on)) {
        place_remove(&place);
        cr_skip_test("can't swap to a file here");
    }
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (prepare(&place, &refusals[i]))
            expect_failure(&place, &refusals[i]);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "swapoff $PWD/" SWAP)), 0);

    /* Swapped off it is a file as any other, and an idle one. */
    unlink(place.log);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, "cp $NEW " SWAP)), 0);
    cr_expect_neq(access(place.log, F_OK), 0);
    place_remove(&place);
}

Test(refusals, for_want_of_descriptors_are_the_kernels_own, .timeout = 60)
{
    static const char *const argv[] = { BUILD_DIR "/tests/cases", "few_descriptors", NULL, NULL };
    struct place place;
    place_make(&place);
    const char *with_target[] = { argv[0], argv[1], place.target, NULL };
    bool refused = false, opened = false;
    for (int count = 0; count < 9; count++) {
        char environment[100];
        snprintf(environment, sizeof environment, "COUNT=%d " BOUND, count);
        place_reset(&place);
        cr_assert_eq(status_code(run_program_with(&place, WITHOUT_SHIM, environment, with_target)), 0);
        char *idle = read_file(place.out, NULL);

        place_reset(&place);
        char *before = tree_text(place.directory);
        pid_t running = run_busy(place.target);
        run_program_with(&place, WITHOUT_SHIM, environment, with_target);
        char *alone = read_file(place.out, NULL);
        cr_expect_eq(status_code(run_program_with(&place, WITH_SHIM, environment, with_target)), 0);
        char *busy = read_file(place.out, NULL), *after = tree_text(place.directory);
        bool succeeded = !strcmp(busy, idle) && strstr(idle, "opened");
        cr_expect(succeeded || !strcmp(busy, alone), "%d descriptors: %s instead of %s or %s", count, busy, idle, alone);
        cr_expect_eq(litter_count(&place), 0, "%d descriptors", count);
        if (!succeeded)
            cr_expect_str_eq(after, before, "%d descriptors: refused, and something has changed", count);
        if (strstr(busy, "busy")) {
            expect_reason_said(&place, &(struct refusal){ .reason = "descriptors", .command = argv[1] });
            refused = true;
        }
        opened |= succeeded;
        stop(running);
        free(idle);
        free(before);
        free(alone);
        free(busy);
        free(after);
    }
    cr_expect(refused && opened, "the limit was never between the two");
    place_remove(&place);
}

/*
 * File systems other than the one that the tests are on. Each is mounted in a mount namespace of the test's own, so nothing
 * is seen elsewhere and nothing stays; there the suites that depend on the file system are run once more, and those compare with
 * writing in place on it. Where mounting isn't allowed, or a file system can't be made, that is said.
 *
 * `make test` leaves out the one that the tests are on anyway, and takes a sample of the tools; `make prove-tools` takes all.
 */
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

#define SUITES "tools|cases|refusals|generations|stage"
/* What doesn't depend on the file system is run on one more. */
#define MORE_SUITES "atomic|renaming|locks_respected|serialised|rollback|sweep"
#define TOOLS                                                                                                                      \
    "cp,dd,fallocate,truncate,rsync --inplace,tar x --overwrite,python mmap,python os.sendfile,python os.copy_file_range,"         \
    "vim append,touch,shred,mold -o,install,c open,strip"

/* `mount` is for a shell, with $IMAGE, the directory $BASE and the mount point $MOUNTED; TOOLS and SUITES are run with TMPDIR
 * there. */
static const struct filesystem {
    const char *name, *needs, *mount, *more;
    long magic; /* statfs(2) */
} filesystems[] = {
    { "ext4", "mkfs.ext4", "truncate -s 256M $IMAGE && mkfs.ext4 -q -F $IMAGE && mount -o loop $IMAGE $MOUNTED",
      .magic = EXT4_SUPER_MAGIC },
    { "xfs", "mkfs.xfs", "truncate -s 320M $IMAGE && mkfs.xfs -q -f $IMAGE && mount -o loop $IMAGE $MOUNTED",
      .magic = XFS_SUPER_MAGIC },
    { "btrfs", "mkfs.btrfs", "truncate -s 256M $IMAGE && mkfs.btrfs -q -f $IMAGE && mount -o loop $IMAGE $MOUNTED",
      .magic = BTRFS_SUPER_MAGIC },
    { "tmpfs", "mount", "mount -t tmpfs -o size=256m,mode=755 none $MOUNTED", "|" MORE_SUITES, TMPFS_MAGIC },
    { "overlay", "mount",
      "mount -t tmpfs -o size=256m,mode=755 none $BASE && mkdir $BASE/lower $BASE/upper $BASE/work && "
      "mount -t overlay -o lowerdir=$BASE/lower,upperdir=$BASE/upper,workdir=$BASE/work none $MOUNTED",
      .magic = OVERLAYFS_SUPER_MAGIC },
};

#define FILESYSTEMS (sizeof filesystems / sizeof *filesystems)

/* A directory with a mounted file system in it, and whatever is said about it. */
struct mounted {
    struct place place; /* without files; its directory is the mount point */
    char image[PATH_MAX / 3], base[PATH_MAX / 3];
};

static char *shell(const struct mounted *mounted, const char *command, int *status)
{
    setenv("IMAGE", mounted->image, 1);
    setenv("BASE", mounted->base, 1);
    setenv("MOUNTED", mounted->place.directory, 1);
    char in_root[2000];
    snprintf(in_root, sizeof in_root, "cd / && { %s\n}", command); /* not in what is to be unmounted */
    *status = status_code(run_shell(&mounted->place, WITHOUT_SHIM, NULL, in_root));
    return read_file(mounted->place.err, NULL);
}

static void unmount(struct mounted *mounted)
{
    umount2(mounted->place.directory, MNT_DETACH);
    umount2(mounted->base, MNT_DETACH);
    place_remove(&mounted->place);
}

static const struct filesystem *named(const char *name)
{
    size_t i = 0;
    while (strcmp(filesystems[i].name, name))
        i++;
    return &filesystems[i];
}

/* Ends the test as skipped where that can't be. */
static void mount_one(struct mounted *mounted, const struct filesystem *filesystem)
{
    char missing[100];
    int status;
    place_make(&mounted->place);
    snprintf(mounted->image, sizeof mounted->image, "%s/image", mounted->place.root);
    snprintf(mounted->base, sizeof mounted->base, "%s/base", mounted->place.root);
    cr_assert_eq(mkdir(mounted->base, 0755), 0);
    bool have = have_programs(filesystem->needs, missing);
    char *said = have && have_own_mounts() ? shell(mounted, filesystem->mount, &status) : NULL;
    if (said && status == 0) {
        free(said);
        return;
    }
    fprintf(stderr, "skipped: %s (%s %s)\n", filesystem->name, have ? "can't mount it here:" : "there is no",
            have ? (said ? said : "no namespace of our own") : missing);
    free(said);
    unmount(mounted);
    cr_skip_test("can't have %s here", filesystem->name);
}

/* Passes on what the inner run has skipped, and how many tests there were. */
static long report(const char *name, char *said)
{
    long tested = 0, passing = -1;
    for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n")) {
        const char *summary = strstr(line, "Tested: ");
        if (summary)
            sscanf(summary, "Tested: %ld | Passing: %ld", &tested, &passing);
        if (summary || strstr(line, "skipped: ") || strstr(line, "SKIP"))
            fprintf(stderr, "%s: %s\n", name, line);
    }
    return tested == passing ? passing : -1;
}

ParameterizedTestParameters(filesystems, end_as_in_place)
{
    static int numbers[FILESYSTEMS];
    for (size_t i = 0; i < FILESYSTEMS; i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, FILESYSTEMS);
}

ParameterizedTest(int *number, filesystems, end_as_in_place, .timeout = 300)
{
    const struct filesystem *filesystem = &filesystems[*number];
    struct mounted mounted;
    char command[2000];
    int status;
    struct statfs here;
    mount_one(&mounted, filesystem);
    if (!take_all() && statfs(mounted.place.root, &here) == 0 && here.f_type == filesystem->magic) {
        fprintf(stderr, "skipped: %s (all tests are on one; make prove-tools has it)\n", filesystem->name);
        unmount(&mounted);
        return;
    }
    snprintf(command, sizeof command,
             "export TMPDIR=$MOUNTED; unset TARGET NEW PROGRAM BXFI_MAP; %sTOOLS_TO_TEST='" TOOLS "' " BUILD_DIR
             "/tests/run -j4 --filter '@(" SUITES "%s)/*'",
             take_all() ? "ETXTBSY_TEST_ALL=1 " : "", filesystem->more ? filesystem->more : "");
    char *said = shell(&mounted, command, &status);
    char *copy = strdup(said);
    long passing = report(filesystem->name, copy);
    cr_expect_eq(status, 0, "%s:\n%s", filesystem->name, said);
    cr_expect_gt(passing, 100, "%s: only %ld tests have passed", filesystem->name, passing);
    free(copy);
    free(said);
    unmount(&mounted);
}

/* ---- what only one of them has ---- */

/*
 * Prepares the target by a shell; runs it, if `busy`; then the command, which may print what is to be compared. Returns its
 * output and all files.
 */
static char *outcome_of(const struct mounted *mounted, const char *prepare, enum shim shim, const char *command)
{
    int status;
    char *said = shell(mounted, prepare, &status), *result = NULL;
    cr_assert_eq(status, 0, "%s: %s", prepare, said);
    unlink(mounted->place.log);
    pid_t running = shim == WITH_SHIM ? run_busy(mounted->place.target) : 0;
    int exit_status = status_code(run_shell(&mounted->place, shim, "ETXTBSY_MAX_WAIT=50ms", command));
    if (running)
        stop(running);
    char *out = read_file(mounted->place.out, NULL), *err = read_file(mounted->place.err, NULL);
    char *tree = tree_text(mounted->place.directory);
    cr_assert_geq(asprintf(&result, "status %d\n%s%s%s", exit_status, out, err, tree), 0);
    free(said);
    free(out);
    free(err);
    free(tree);
    return result;
}

static void expect_as_in_place(const struct mounted *mounted, const char *prepare, const char *command, const char *outcome)
{
    char *expected = outcome_of(mounted, prepare, WITHOUT_SHIM, command);
    char *actual = outcome_of(mounted, prepare, WITH_SHIM, command);
    cr_expect_eq(strncmp(expected, "status 0\n", 9), 0, "%s: idle: %s", command, expected);
    cr_expect_str_eq(actual, expected, "%s:\n%s instead of\n%s", command, actual, expected);
    cr_expect_eq(log_count(&mounted->place, "outcome", outcome), 1, "%s isn't in the log: %s", outcome, command);
    cr_expect_eq(litter_count(&mounted->place), 0);
    free(expected);
    free(actual);
}

static void expect_refused(const struct mounted *mounted, const char *prepare, const char *command, const char *reason)
{
    char *result = outcome_of(mounted, prepare, WITH_SHIM, command);
    cr_expect_not_null(strstr(result, "Text file busy"), "%s: %s", command, result);
    cr_expect_eq(log_count(&mounted->place, "reason", reason), 1, "%s isn't in the log", reason);
    cr_expect_eq(litter_count(&mounted->place), 0);
    cr_expect(same_content(mounted->place.target, TARGET_PROGRAM), "%s: refused, and the target has changed", reason);
    free(result);
}

#define FRESH "rm -rf $MOUNTED/*; cp -p $BUILD/tests/target $TARGET"

Test(filesystems, xfs_has_projects, .timeout = 60)
{
    struct mounted mounted;
    mount_one(&mounted, named("xfs"));
    expect_as_in_place(&mounted, FRESH "; chattr -p 4711 $TARGET", "cp $NEW $TARGET; lsattr -p $TARGET", "replaced");
    expect_as_in_place(
        &mounted, FRESH "; xfs_io -c 'extsize 64k' $TARGET || :", "echo more >> $TARGET; xfs_io -r -c extsize $TARGET", "replaced");
    /* A directory whose files are a project's takes none of another project: that is known before a byte is written. */
    expect_refused(&mounted, FRESH "; chattr -p 7 $TARGET; chattr -p 5 $MOUNTED; chattr +P $MOUNTED", "cp $NEW $TARGET",
                   "attributes");
    unmount(&mounted);
}

Test(filesystems, btrfs_has_files_without_copy_on_write_shared_blocks_and_its_own_quota, .timeout = 60)
{
    struct mounted mounted;
    char trace[PATH_MAX], command[PATH_MAX + 200];
    mount_one(&mounted, named("btrfs"));
    expect_as_in_place(&mounted,
                       "rm -rf $MOUNTED/*; : > $TARGET; chattr +C $TARGET; cat $BUILD/tests/target > $TARGET; chmod 755 $TARGET",
                       "echo more >> $TARGET; lsattr $TARGET", "replaced");
    expect_as_in_place(&mounted, FRESH "; chattr +c $TARGET", "cp $NEW $TARGET; lsattr $TARGET", "replaced");

    /* The old content isn't copied. */
    char missing[100];
    if (have_programs("strace", missing)) {
        snprintf(trace, sizeof trace, "%s/trace", mounted.place.root);
        snprintf(command, sizeof command, "strace -f -qq -e trace=ioctl,copy_file_range -o %s sh -c 'echo more >> $TARGET'", trace);
        free(outcome_of(&mounted, FRESH, WITH_SHIM, command));
        char *calls = read_file(trace, NULL);
        cr_expect_not_null(strstr(calls, "FICLONE"), "%s", calls);
        cr_expect_null(strstr(calls, "copy_file_range"), "%s", calls);
        free(calls);
    } else {
        fprintf(stderr, "skipped: whether blocks are shared (there is no strace here)\n");
    }

    /* Other file systems' quotas need a kernel that is built with them. */
    int status;
    char *said =
        shell(&mounted, FRESH "; btrfs -q quota enable $MOUNTED && sync -f $TARGET && btrfs qgroup limit 200k $MOUNTED", &status);
    if (status == 0) {
        expect_refused(&mounted, "! head -c 1m /dev/zero > $MOUNTED/rest; sync -f $TARGET", "cp $NEW $TARGET", "quota");
        expect_refused(&mounted, ":", "echo more >> $TARGET", "quota");
    } else {
        fprintf(stderr, "skipped: a quota on btrfs: %s\n", said);
    }
    free(said);
    unmount(&mounted);
}

/*
 * A busy file that is in overlay's lower layer only: it is looked at there, and its successor is in the upper one. Layers can't
 * be put back while they are mounted, so each comparison has a mount of its own.
 */
static char *outcome_in_the_lower_layer(const char *prepare, enum shim shim, const char *command, const char *outcome)
{
    static const char mount_layers[] =
        "umount $MOUNTED $BASE 2>&-; mount -t tmpfs -o size=64m,mode=755 none $BASE && mkdir $BASE/lower $BASE/upper $BASE/work && "
        "cp -p $BUILD/tests/target $BASE/lower/target && ";
    struct mounted mounted;
    char all[2000];
    mount_one(&mounted, named("overlay"));
    snprintf(all, sizeof all,
             "%s ( cd $BASE/lower; %s ) && mount -t overlay -o lowerdir=$BASE/lower,upperdir=$BASE/upper,workdir=$BASE/work none "
             "$MOUNTED",
             mount_layers, prepare);
    char *result = outcome_of(&mounted, all, shim, command);
    if (shim == WITH_SHIM && outcome)
        cr_expect_eq(log_count(&mounted.place, "outcome", outcome), 1, "%s isn't in the log: %s", outcome, command);
    cr_expect_eq(litter_count(&mounted.place), 0);
    /* The next one has another name. */
    for (char *at; (at = strstr(result, mounted.place.root));)
        memset(at, '-', strlen(mounted.place.root));
    unmount(&mounted);
    return result;
}

Test(filesystems, overlay_has_a_lower_layer, .timeout = 120)
{
    static const struct {
        const char *prepare, *command, *outcome;
    } rows[] = {
        { ":", "cp $NEW $TARGET", "replaced" },
        { ":", "echo more >> $TARGET", "replaced" },
        { ":", "truncate -s 10 $TARGET", "replaced" },
        { ":", "$BUILD/tests/cases reader_truncates $TARGET", NULL }, /* the kernel says ETXTBSY, and truncates the upper file */
        { ":", "$BUILD/tests/cases opened_only $TARGET", "unchanged" },
        { "chmod 6755 target", "$BUILD/tests/cases only_opens $TARGET", "unchanged" },
        { "chattr +dA target || :", "$BUILD/tests/cases security_attributes $TARGET", "replaced" },
        { ":", "$BUILD/tests/cases mapping_written_after_close $TARGET", "replaced" },
        { ":", "$BUILD/tests/cases two_opens $TARGET", "replaced" },
        { ":", "$BUILD/tests/cases attributes_changed_meanwhile $TARGET", "replaced" },
        { ":", "$BUILD/tests/cases unlinked_meanwhile $TARGET", "discarded" },
        { ":", "$BUILD/tests/cases renamed_meanwhile $TARGET", "replaced" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *expected = outcome_in_the_lower_layer(rows[i].prepare, WITHOUT_SHIM, rows[i].command, rows[i].outcome);
        char *actual = outcome_in_the_lower_layer(rows[i].prepare, WITH_SHIM, rows[i].command, rows[i].outcome);
        cr_expect_eq(strncmp(expected, "status 0\n", 9), 0, "%s: idle: %s", rows[i].command, expected);
        cr_expect_str_eq(actual, expected, "%s:\n%s instead of\n%s", rows[i].command, actual, expected);
        free(expected);
        free(actual);
    }
}

/* ---- a file system that does things its own way ---- */

/* Whoever asks first what a file system can do has to be told by trying: its name, FUSE, says nothing. */
static const struct odd {
    const char *oddity, *name, *outcome, *reason;
} odd_ones[] = {
    { "none", "target", "replaced", "" },
    { "flock", "target", "published-early", "not-trackable" },
    { "rename", "target", "gave-up", "rename" },
    { "names", "target", "replaced", "" },
    { "names", "target-with-a-name-that-leaves-no-room-for-a-longer-one", "gave-up", "name-too-long" },
};

static void try_odd_one(struct mounted *mounted, const struct odd *odd)
{
    char path[PATH_MAX], command[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", mounted->place.directory, odd->name);
    snprintf(command, sizeof command, "cp $NEW %s", path);
    cr_assert_eq(rename(mounted->place.target, path) < 0 && strcmp(odd->oddity, "rename"), 0);
    unlink(mounted->place.log);
    pid_t running = run_busy(path);
    int status = status_code(run_shell(&mounted->place, WITH_SHIM, "ETXTBSY_MAX_WAIT=50ms", command));
    stop(running);
    bool refused = !strcmp(odd->outcome, "gave-up");
    cr_expect_eq(status != 0, refused, "%s", odd->oddity);
    cr_expect(same_content(path, refused ? TARGET_PROGRAM : mounted->place.new), "%s: the wrong content", odd->oddity);
    cr_expect_eq(litter_count(&mounted->place), 0, "%s: litter", odd->oddity);
    cr_expect_eq(log_count(&mounted->place, "outcome", odd->outcome), 1, "%s: no %s", odd->oddity, odd->outcome);
    cr_expect_eq(log_count(&mounted->place, "reason", odd->reason), 1, "%s: not for %s", odd->oddity, odd->reason);
}

Test(filesystems, that_are_odd_are_found_out_by_trying, .timeout = 60)
{
    for (size_t i = 0; i < sizeof odd_ones / sizeof *odd_ones; i++) {
        char mount_it[300];
        snprintf(mount_it, sizeof mount_it,
                 "cp $BUILD/tests/target $BASE; { $BUILD/tests/odd_filesystem $BASE %s $MOUNTED > /dev/null 2>&1 & }; "
                 "for i in $(seq 100); do mountpoint -q $MOUNTED && exit; sleep .05; done; exit 1",
                 odd_ones[i].oddity);
        const struct filesystem fuse = { "fuse", BUILD_DIR "/tests/odd_filesystem", mount_it };
        struct mounted mounted;
        mount_one(&mounted, &fuse);
        try_odd_one(&mounted, &odd_ones[i]);
        unmount(&mounted);
    }
}

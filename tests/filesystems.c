/*
 * File systems other than the one that the tests are on. Each is mounted in a mount namespace of the test's own, so nothing
 * is seen elsewhere and nothing stays; there the suites that depend on the file system are run once more, and those compare with
 * writing in place on it. Where mounting isn't allowed, or a file system can't be made, that is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

#define SUITES "@(tools|cases|refusals|generations|stage|stage_fault)/*"
#define TOOLS                                                                                                                      \
    "cp,dd,fallocate,truncate,rsync --inplace,tar x --overwrite,python mmap,python os.sendfile,python os.copy_file_range,"         \
    "vim backupcopy,touch,shred,mold -o,install,c open,strip"

/* `mount` is for a shell, with $IMAGE, the directory $BASE and the mount point $MOUNTED; TOOLS and SUITES are run with TMPDIR
 * there. */
static const struct filesystem {
    const char *name, *needs, *mount;
} filesystems[] = {
    { "ext4", "mkfs.ext4", "truncate -s 256M $IMAGE && mkfs.ext4 -q -F $IMAGE && mount -o loop $IMAGE $MOUNTED" },
    { "xfs", "mkfs.xfs", "truncate -s 320M $IMAGE && mkfs.xfs -q -f $IMAGE && mount -o loop $IMAGE $MOUNTED" },
    { "btrfs", "mkfs.btrfs", "truncate -s 256M $IMAGE && mkfs.btrfs -q -f $IMAGE && mount -o loop $IMAGE $MOUNTED" },
    { "tmpfs", "mount", "mount -t tmpfs -o size=256m,mode=755 none $MOUNTED" },
    { "overlay", "mount",
      "mount -t tmpfs -o size=256m,mode=755 none $BASE && mkdir $BASE/lower $BASE/upper $BASE/work && "
      "mount -t overlay -o lowerdir=$BASE/lower,upperdir=$BASE/upper,workdir=$BASE/work none $MOUNTED" },
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
    int status;
    mount_one(&mounted, filesystem);
    char *said = shell(&mounted,
                       "export TMPDIR=$MOUNTED; unset TARGET NEW PROGRAM BXFI_MAP; TOOLS_TO_TEST='" TOOLS "' " BUILD_DIR
                       "/tests/run -j4 --filter '" SUITES "'",
                       &status);
    char *copy = strdup(said);
    long passing = report(filesystem->name, copy);
    cr_expect_eq(status, 0, "%s:\n%s", filesystem->name, said);
    cr_expect_gt(passing, 100, "%s: only %ld tests have passed", filesystem->name, passing);
    free(copy);
    free(said);
    unmount(&mounted);
}

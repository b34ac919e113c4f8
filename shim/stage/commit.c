#include <string.h>

#include "../sys/text.h"
#include "stage.h"

/* The directory that both names are in, or -1. Takes the path of the report apart for the call. */
static int open_directory(struct stage_report *report, const char *base)
{
    size_t length = (size_t)(base - report->path) - 1;
    report->path[length] = '\0';
    int dirfd = sys_openat(AT_FDCWD, length ? report->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dirfd < 0 && errno == EACCES)
        dirfd = sys_openat(AT_FDCWD, length ? report->path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    report->path[length] = '/';
    return dirfd;
}

/* A chmod of the target by path since the stage was made would have reached the writer's file in place: it carries over. */
static void carry_mode(int fd, const struct stage_known *known, const struct statx *target, const struct statx *stage)
{
    if (known->target_mode && target->stx_mode != known->target_mode && stage->stx_mode == known->target_mode)
        sys_fchmod(fd, target->stx_mode & 07777);
}

enum stage_outcome stage_commit(struct stage_release *release, enum stage_sync sync, struct stage_report *report)
{
    const struct stage_known *known = release->known.slot;
    enum stage_outcome outcome = STAGE_FAILED;
    const char *stage_base = text_base(report->path), *target_base = text_base(report->target);
    struct statx stage, target;

    int dirfd = open_directory(report, stage_base);
    if (dirfd < 0)
        goto out;
    if (sys_statx(dirfd, stage_base, AT_SYMLINK_NOFOLLOW, &stage) < 0)
        goto out;
    if (stage.stx_ino != known->inode || sys_device(&stage) != known->device) {
        errno = ESTALE; /* somebody put another file under the stage's name */
        goto out;
    }
    report->bytes = stage.stx_size;
    if (sys_statx(dirfd, target_base, AT_SYMLINK_NOFOLLOW, &target) < 0) {
        if (errno == ENOENT && sys_unlinkat(dirfd, stage_base) == 0)
            outcome = STAGE_DISCARDED;
        goto out;
    }
    report->target_inode = target.stx_ino;
    carry_mode(release->asker, known, &target, &stage);
    if (sync != STAGE_SYNC_NONE && (sync == STAGE_SYNC_DATA ? sys_fdatasync : sys_fsync)(release->asker) < 0 && errno != EINVAL &&
        errno != EROFS)
        goto out;
    if (sys_renameat(dirfd, stage_base, dirfd, target_base) < 0)
        goto out;
    if (sync == STAGE_SYNC_FULL)
        sys_fsync(dirfd);
    outcome = STAGE_REPLACED;
out:
    sys_close_quietly(dirfd);
    if (outcome != STAGE_FAILED)
        known_forget(release->known);
    stage_release_finish(release);
    return outcome;
}

#include <poll.h>
#include <sys/file.h>

#include "../sys/clock.h"
#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "name.h"
#include "own.h"
#include "stage.h"

#define BIRTH_SECONDS 60
#define ELSEWHERE_SECONDS 3600

static bool is_young(const struct statx *file, int64_t seconds)
{
    int64_t now = (int64_t)(clock_ns(CLOCK_REALTIME) / CLOCK_SECOND);
    return file->stx_ctime.tv_sec > now - seconds;
}

/* Ended, but nobody has waited for it: where process 1 doesn't, as in many a container, for good. */
static bool is_zombie(pid_t pid)
{
    int pidfd = (int)sys_call(SYS_pidfd_open, pid, 0L);
    struct pollfd poll_for = { .fd = pidfd, .events = POLLIN };
    struct timespec at_once = { 0 };
    bool ended = pidfd >= 0 && sys_call(SYS_ppoll, &poll_for, 1L, &at_once, NULL, 0L) == 1;
    sys_close_quietly(pidfd);
    return ended;
}

static bool is_alive(pid_t pid)
{
    return (sys_call(SYS_kill, pid, 0L) == 0 || errno != ESRCH) && !is_zombie(pid);
}

static enum stage_litter fail(struct stage_finding *finding)
{
    finding->error = errno;
    return errno == ENOENT ? LITTER_GONE : LITTER_FAILED;
}

/*
 * Removes one if nobody holds it. The exclusive lock can't be had while a writer, or somebody who is about to commit, has the
 * stage; and whoever could ask for the stage later would have to hold it now.
 */
static enum stage_litter remove_opened(struct stage_finding *finding, int dirfd, int fd, bool dry_run)
{
    struct statx now;
    if (sys_fstat(fd, &now) < 0)
        return fail(finding);
    if (!sys_same_file(&now, &finding->file))
        return LITTER_GONE;
    if (sys_flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? LITTER_HELD : fail(finding);
    /* After the lock: whoever had it before us may have been committing. */
    if (sys_statx(dirfd, finding->name, AT_SYMLINK_NOFOLLOW, &now) < 0)
        return fail(finding);
    if (!sys_same_file(&now, &finding->file))
        return LITTER_GONE;
    return dry_run || sys_unlinkat(dirfd, finding->name) == 0 ? LITTER_REMOVED : fail(finding);
}

/* The name is looked at first: behind a FIFO that somebody has put there, an open could do harm. */
static enum stage_litter sweep_one(struct stage_finding *finding, int dirfd, bool alive, bool born_locked, bool dry_run)
{
    if (sys_statx(dirfd, finding->name, AT_SYMLINK_NOFOLLOW, &finding->file) < 0)
        return fail(finding);
    if (!S_ISREG(finding->file.stx_mode) || finding->file.stx_nlink != 1)
        return LITTER_FOREIGN;
    if (alive)
        return LITTER_AWAITED;
    if (!born_locked && is_young(&finding->file, BIRTH_SECONDS))
        return LITTER_YOUNG;
    /* Another container's: whether its creator lives can't be seen from here. */
    if (!own_is_number(&finding->parsed) && is_young(&finding->file, ELSEWHERE_SECONDS))
        return LITTER_YOUNG;
    int fd = sys_openat(dirfd, finding->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return fail(finding);
    enum stage_litter what = remove_opened(finding, dirfd, fd, dry_run);
    sys_close(fd);
    return what;
}

static void look_at(const char *name, int dirfd, bool born_locked, const struct stage_listener *listener)
{
    struct stage_finding finding = { .name = name };
    if (stage_name_parse(name, &finding.parsed)) {
        bool alive = is_alive(finding.parsed.creator);
        if (listener || !alive)
            finding.what = sweep_one(&finding, dirfd, alive, born_locked, listener && listener->dry_run);
    } else if (listener && stage_name_is_kept(name) && sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, &finding.file) == 0) {
        finding.what = LITTER_KEPT;
    }
    if (listener && finding.what != LITTER_GONE)
        listener->found(listener->context, &finding);
}

int stage_sweep(int dirfd, bool born_locked, const struct stage_listener *listener)
{
    int saved = errno, result = -1;
    struct directory *directory = scratch_map(sizeof *directory);
    const char *name;
    if (directory && (result = directory_open(directory, dirfd, ".")) == 0)
        while ((name = directory_next(directory)))
            look_at(name, dirfd, born_locked, listener);
    if (directory)
        directory_close(directory);
    scratch_unmap(directory, sizeof *directory);
    if (!listener)
        errno = saved;
    return result;
}

#include <sys/file.h>

#include "../remedy/release.h"
#include "entries.h"

ASIDE int watch_close(int fd)
{
    struct stage_release release;
    if (!stage_known_count) /* the first call */
        return NEXT(close)(fd);
    stage_release_begin(&release, fd);
    return release_end(&release, "close", NEXT(close)(fd));
}

int wrap_close(int fd)
{
    return likely(!stage_known_count && next.close) ? next.close(fd) : watch_close(fd);
}

ASIDE int watch___close(int fd)
{
    struct stage_release release;
    if (!stage_known_count) /* the first call */
        return NEXT(__close)(fd);
    stage_release_begin(&release, fd);
    return release_end(&release, "__close", NEXT(__close)(fd));
}

int wrap___close(int fd)
{
    return likely(!stage_known_count && next.__close) ? next.__close(fd) : watch___close(fd);
}

ASIDE int watch_dup2(int oldfd, int newfd)
{
    struct stage_release release;
    if (!stage_known_count) /* the first call */
        return NEXT(dup2)(oldfd, newfd);
    stage_release_begin(&release, newfd);
    return release_over(&release, "dup2", NEXT(dup2)(oldfd, newfd));
}

int wrap_dup2(int oldfd, int newfd)
{
    return likely(!stage_known_count && next.dup2) ? next.dup2(oldfd, newfd) : watch_dup2(oldfd, newfd);
}

ASIDE int watch___dup2(int oldfd, int newfd)
{
    struct stage_release release;
    if (!stage_known_count) /* the first call */
        return NEXT(__dup2)(oldfd, newfd);
    stage_release_begin(&release, newfd);
    return release_over(&release, "__dup2", NEXT(__dup2)(oldfd, newfd));
}

int wrap___dup2(int oldfd, int newfd)
{
    return likely(!stage_known_count && next.__dup2) ? next.__dup2(oldfd, newfd) : watch___dup2(oldfd, newfd);
}

ASIDE int watch_dup3(int oldfd, int newfd, int flags)
{
    struct stage_release release;
    if (!stage_known_count) /* the first call */
        return NEXT(dup3)(oldfd, newfd, flags);
    stage_release_begin(&release, newfd);
    return release_over(&release, "dup3", NEXT(dup3)(oldfd, newfd, flags));
}

int wrap_dup3(int oldfd, int newfd, int flags)
{
    return likely(!stage_known_count && next.dup3) ? next.dup3(oldfd, newfd, flags) : watch_dup3(oldfd, newfd, flags);
}

#if __GLIBC_PREREQ(2, 34)
int wrap_close_range(unsigned first, unsigned last, int flags)
{
    if (unlikely(stage_known_count))
        release_range("close_range", first, last, flags);
    return NEXT(close_range)(first, last, flags);
}

void wrap_closefrom(int lowest)
{
    if (unlikely(stage_known_count))
        release_range("closefrom", lowest < 0 ? 0 : (unsigned)lowest, ~0U, 0);
    NEXT(closefrom)(lowest);
}
#endif

/* Anything else is refused, or by newer kernels (LOCK_MAND) ignored. */
static bool is_lock(int operation)
{
    int kind = operation & ~LOCK_NB;
    return kind == LOCK_SH || kind == LOCK_EX || kind == LOCK_UN || kind & LOCK_MAND;
}

/*
 * A program that unlocks its own descriptor must not take the stage's lock away, and one that wants an exclusive lock would wait
 * for its own second descriptor. Nobody else can open a stage, so the shared lock is as good.
 */
int wrap_flock(int fd, int operation)
{
    if (unlikely(stage_known_count) && is_lock(operation) && stage_is(fd))
        operation = LOCK_SH | LOCK_NB;
    return NEXT(flock)(fd, operation);
}

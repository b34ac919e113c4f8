#include <sys/file.h>

#include "../remedy/release.h"
#include "entries.h"

int wrap_close(int fd)
{
    if (likely(!stage_known_count))
        return NEXT(close)(fd);
    struct stage_release release;
    stage_release_begin(&release, fd);
    return release_end(&release, "close", NEXT(close)(fd));
}

int wrap___close(int fd)
{
    if (likely(!stage_known_count))
        return NEXT(__close)(fd);
    struct stage_release release;
    stage_release_begin(&release, fd);
    return release_end(&release, "__close", NEXT(__close)(fd));
}

int wrap_dup2(int oldfd, int newfd)
{
    if (likely(!stage_known_count))
        return NEXT(dup2)(oldfd, newfd);
    struct stage_release release;
    stage_release_begin(&release, newfd);
    return release_over(&release, "dup2", NEXT(dup2)(oldfd, newfd));
}

int wrap___dup2(int oldfd, int newfd)
{
    if (likely(!stage_known_count))
        return NEXT(__dup2)(oldfd, newfd);
    struct stage_release release;
    stage_release_begin(&release, newfd);
    return release_over(&release, "__dup2", NEXT(__dup2)(oldfd, newfd));
}

int wrap_dup3(int oldfd, int newfd, int flags)
{
    if (likely(!stage_known_count))
        return NEXT(dup3)(oldfd, newfd, flags);
    struct stage_release release;
    stage_release_begin(&release, newfd);
    return release_over(&release, "dup3", NEXT(dup3)(oldfd, newfd, flags));
}

#if __GLIBC_PREREQ(2, 34)
int wrap_close_range(unsigned first, unsigned last, int flags)
{
    if (unlikely(stage_known_count) && !flags && first <= last)
        release_range("close_range", first, last);
    return NEXT(close_range)(first, last, flags);
}

void wrap_closefrom(int lowest)
{
    if (unlikely(stage_known_count))
        release_range("closefrom", lowest < 0 ? 0 : (unsigned)lowest, ~0U);
    NEXT(closefrom)(lowest);
}
#endif

/*
 * A program that unlocks its own descriptor must not take the stage's lock away, and one that wants an exclusive lock would wait
 * for its own second descriptor. Nobody else can open a stage, so the shared lock is as good.
 */
int wrap_flock(int fd, int operation)
{
    if (unlikely(stage_known_count) && stage_is(fd))
        operation = LOCK_SH | LOCK_NB;
    return NEXT(flock)(fd, operation);
}

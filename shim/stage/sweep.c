#include <sys/file.h>

#include "../sys/clock.h"
#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "name.h"
#include "stage.h"

#define BIRTH_LIMIT_SECONDS 60

static bool is_young(const struct statx *file)
{
    int64_t now = (int64_t)(clock_ns(CLOCK_REALTIME) / CLOCK_SECOND);
    return file->stx_ctime.tv_sec > now - BIRTH_LIMIT_SECONDS;
}

static bool is_alive(pid_t pid)
{
    return sys_call(SYS_kill, pid, 0L) == 0 || errno != ESRCH;
}

/*
 * Removes one if nobody holds it. The exclusive lock can't be had while a writer, or somebody who is about to commit, has the
 * stage; and whoever could ask for the stage later would have to hold it now.
 */
static void sweep_one(int dirfd, const char *name, bool born_locked)
{
    struct statx opened, named;
    int fd = sys_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (sys_fstat(fd, &opened) == 0 && S_ISREG(opened.stx_mode) && opened.stx_nlink == 1 && (born_locked || !is_young(&opened)) &&
        sys_flock(fd, LOCK_EX | LOCK_NB) == 0 && sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, &named) == 0 &&
        sys_same_file(&opened, &named))
        sys_unlinkat(dirfd, name);
    sys_close(fd);
}

void stage_sweep(int dirfd, bool born_locked)
{
    int saved = errno;
    struct directory *directory = scratch_map(sizeof *directory);
    struct stage_name parsed;
    const char *name;
    if (!directory) {
        errno = saved;
        return;
    }
    if (directory_open(directory, dirfd, ".") == 0)
        while ((name = directory_next(directory)))
            if (stage_name_parse(name, &parsed) && !is_alive(parsed.creator))
                sweep_one(dirfd, name, born_locked);
    directory_close(directory);
    scratch_unmap(directory, sizeof *directory);
    errno = saved;
}

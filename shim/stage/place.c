#include "place.h"

#include "../sys/text.h"

struct place place_open(struct stage_report *report)
{
    const char *stage = text_base(report->path);
    size_t length = (size_t)(stage - report->path) - 1;
    report->path[length] = '\0'; /* the directory, for the call */
    int dirfd = sys_openat(AT_FDCWD, length ? report->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dirfd < 0 && errno == EACCES)
        dirfd = sys_openat(AT_FDCWD, length ? report->path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    report->path[length] = '/';
    if (dirfd < 0)
        return (struct place){ AT_FDCWD, report->path, report->target };
    return (struct place){ dirfd, stage, text_base(report->target) };
}

bool place_was_taken(int dirfd, const char *name, uint64_t device, uint64_t inode)
{
    int saved = errno;
    struct statx file;
    bool taken = errno != ENOENT && sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_ino == inode &&
                 sys_device(&file) == device;
    errno = saved;
    return taken;
}

bool place_rename(int dirfd, const char *stage, const char *over, uint64_t device, uint64_t inode)
{
    return sys_renameat(dirfd, stage, dirfd, over) == 0 || place_was_taken(dirfd, over, device, inode);
}

void place_close(struct place *place)
{
    if (place->dirfd != AT_FDCWD)
        sys_close_quietly(place->dirfd);
}

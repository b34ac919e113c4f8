#include <linux/openat2.h>
#include <string.h>

#include "../sys/directory.h"
#include "../sys/text.h"
#include "stage.h"

static int open_path(int dirfd, const char *path, int flags, uint64_t resolve)
{
    if (!resolve)
        return sys_openat(dirfd, path, flags, 0);
    struct open_how how = { .flags = (uint64_t)flags, .resolve = resolve };
    return (int)sys_call(SYS_openat2, dirfd, path, &how, sizeof how);
}

int stage_resolve(struct stage_target *target, int dirfd, const char *path, int flags, uint64_t resolve)
{
    int fd = open_path(dirfd, path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW), resolve);
    if (fd < 0)
        return -1;
    bool found = sys_fstat(fd, &target->file) == 0 && descriptor_path(fd, target->path, sizeof target->path);
    sys_close_quietly(fd);
    if (!found)
        return -1;
    if (target->path[0] != '/') { /* "(unreachable)/…", "pipe:[…]" */
        errno = ENOENT;
        return -1;
    }
    target->directory_length = (size_t)(text_base(target->path) - target->path) - 1;
    return 0;
}

#include "../sys/call.h"
#include "../sys/directory.h"
#include "wait.h"

int wait_self_held(uint64_t device, uint64_t inode)
{
    int saved = errno, holder = -1, fd;
    struct descriptors own;
    descriptors_open(&own);
    while (holder < 0 && (fd = descriptors_next(&own)) >= 0) {
        struct statx file;
        if (sys_fstat(fd, &file) == 0 && file.stx_ino == inode && sys_device(&file) == device &&
            (sys_fcntl(fd, F_GETFL, 0) & O_ACCMODE) != O_RDONLY)
            holder = fd;
    }
    descriptors_close(&own);
    errno = saved;
    return holder;
}

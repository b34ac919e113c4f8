#include "copy.h"

#include <linux/fs.h>

#include "../sys/call.h"
#include "../sys/scratch.h"

#define BUFFER_SIZE 65536

static int copy_by_hand(int from, int to, int64_t length)
{
    char *buffer = scratch_map(BUFFER_SIZE);
    if (!buffer)
        return -1;
    int result = 0;
    while (length > 0) {
        ssize_t got = sys_read(from, buffer, length < BUFFER_SIZE ? (size_t)length : BUFFER_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            result = (int)got;
            break;
        }
        length -= got;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = sys_write(to, buffer + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR) {
                result = -1;
                goto out;
            }
            if (put > 0)
                done += put;
        }
    }
out:
    scratch_unmap(buffer, BUFFER_SIZE);
    return result;
}

int stage_copy(int from, int to, int64_t length)
{
    if (length == INT64_MAX && sys_ioctl(to, FICLONE, from) == 0)
        return 0;
    while (length > 0) {
        ssize_t copied = sys_copy_file_range(from, to, length < (1 << 30) ? (size_t)length : 1 << 30);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied == 0)
            return 0;
        if (copied < 0)
            /* EINVAL, EXDEV, EOPNOTSUPP, ENOSYS: not here. What was copied before stays, both offsets have moved on. */
            return errno == ENOSPC || errno == EDQUOT || errno == EIO ? -1 : copy_by_hand(from, to, length);
        length -= copied;
    }
    return 0;
}

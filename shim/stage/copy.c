#include "copy.h"

#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

#include "../sys/call.h"
#include "../sys/scratch.h"
#include "../sys/signals.h"

#define BUFFER_SIZE 65536
#define SMALL_PIECE 4096
#define BLOCK_SIZE_OF_STATX 512

int copy_open(int dirfd, const char *name)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    int fd = sys_openat(dirfd, name, flags | O_NOATIME, 0);
    return fd < 0 && errno == EPERM ? sys_openat(dirfd, name, flags, 0) : fd;
}

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

/* `length` bytes, or what there is, from where both descriptors are. */
static int copy_piece(int from, int to, int64_t length)
{
    while (length > 0) {
        ssize_t copied = sys_copy_file_range(from, to, length < (1 << 30) ? (size_t)length : 1 << 30);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied == 0)
            return 0;
        if (copied < 0)
            /* EINVAL, EXDEV, EOPNOTSUPP, ENOSYS: not here. What was copied before stays, both offsets have moved on. */
            return errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG ? -1 : copy_by_hand(from, to, length);
        length -= copied;
    }
    return 0;
}

/*
 * Where the next data is, and the hole behind it. False: there is no more. Where nobody can tell, or what is told leads nowhere,
 * all of it is data.
 */
static bool find_data(int fd, int64_t at, int64_t *data, int64_t *hole)
{
    *data = sys_lseek(fd, at, SEEK_DATA);
    if (*data < 0 && errno == ENXIO)
        return false;
    if (*data < at)
        *data = at;
    *hole = sys_lseek(fd, *data, SEEK_HOLE);
    if (*hole <= *data)
        *hole = INT64_MAX;
    return true;
}

/* copy_file_range fills the holes (ext4, tmpfs; measured on 6.18): so piece by piece, and a hole at the end by the length. */
static int copy_between_holes(int from, int64_t size, int to, int64_t length)
{
    int64_t end = 0, data, hole;
    while (end < length && find_data(from, end, &data, &hole) && data < length) {
        end = hole < length ? hole : length;
        if (sys_lseek(from, data, SEEK_SET) < 0 || sys_lseek(to, data, SEEK_SET) < 0 || copy_piece(from, to, end - data) < 0)
            return -1;
    }
    size = size < length ? size : length;
    return end < size ? sys_ftruncate(to, size) : 0;
}

static int copy(int from, const struct statx *file, int to, int64_t length)
{
    if (length == INT64_MAX && sys_ioctl(to, FICLONE, from) == 0)
        return 0;
    bool sparse = file->stx_blocks < file->stx_size / BLOCK_SIZE_OF_STATX;
    return sparse ? copy_between_holes(from, (int64_t)file->stx_size, to, length) : copy_piece(from, to, length);
}

/* A file that is longer than the process may write is no reason to kill it: it wants to write a part of it, or none. */
int stage_copy(int from, const struct statx *file, int to, int64_t length)
{
    struct signals_held held;
    if (!signals_hold(&held, SIGNAL_BIT(SIGXFSZ)))
        return -1;
    int result = copy(from, file, to, length);
    signals_release(&held, result < 0 && errno == EFBIG ? SIGNAL_BIT(SIGXFSZ) : 0);
    return result;
}

/* As much as there is, up to `size`; -1 for an error. */
static ssize_t read_whole(int fd, char *buffer, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        ssize_t got = sys_read(fd, buffer + filled, size - filled);
        if (got == 0)
            break;
        if (got > 0)
            filled += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)filled;
}

/*
 * Two builds of a program mostly differ at its start, and of a small one each page of the buffer would be touched for the first
 * time, which can cost more than reading it: so there the pieces are small.
 */
bool copy_is_equal(int a, int b)
{
    char *buffer = scratch_map(2 * (size_t)BUFFER_SIZE);
    if (!buffer)
        return false;
    ssize_t from_a, from_b;
    bool equal = sys_lseek(a, 0, SEEK_SET) == 0 && sys_lseek(b, 0, SEEK_SET) == 0, whole;
    size_t size, done = 0;
    do {
        size = done < BUFFER_SIZE ? SMALL_PIECE : BUFFER_SIZE;
        from_a = equal ? read_whole(a, buffer, size) : -1;
        from_b = equal ? read_whole(b, buffer + size, size) : -1;
        equal = from_a >= 0 && from_a == from_b && !memcmp(buffer, buffer + size, (size_t)from_a);
        whole = (size_t)from_a < size;
        done += size;
    } while (equal && !whole);
    scratch_unmap(buffer, 2 * (size_t)BUFFER_SIZE);
    return equal;
}

#include <fcntl.h>
#include <stdarg.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "../remedy/failure.h"
#include "entries.h"
#include "streams.h"

/*
 * What changes a file behind a descriptor, and may leave half of it behind when it fails.
 *
 * These are the calls that programs make most, so a wrapper without a stage must be a load, a branch and a jump, and keep nothing
 * on the stack; a compiler gives it that only when all else is a function of its own. Each row therefore stands for two:
 *
 *     WRITER(result, name, (parameters), (arguments), fd)
 *
 * the wrapper, and behind it the call that is watched for a failure of the file behind `fd`.
 */
#define WRITER(result, name, parameters, arguments, fd) WATCHED(result, name, parameters, arguments, fd, answer)
#define WATCHED(result, name, parameters, arguments, file, answer)                                                                 \
    ASIDE result watch_##name parameters                                                                                           \
    {                                                                                                                              \
        return (result)answer(NEXT(name) arguments, #name, file);                                                                  \
    }                                                                                                                              \
    result wrap_##name parameters                                                                                                  \
    {                                                                                                                              \
        return likely(!stage_known_count && next.name) ? next.name arguments : watch_##name arguments;                             \
    }

static ssize_t answer(ssize_t result, const char *op, int fd)
{
    if (unlikely(result < 0 && stage_known_count))
        failure_of_write(op, fd, errno);
    return result;
}

/* Some return the errno. */
static int answer_error(int error, const char *op, int fd)
{
    if (unlikely(error && stage_known_count))
        failure_of_write(op, fd, error);
    return error;
}

static int answer_flush(int result, const char *op, FILE *stream)
{
    if (unlikely(result && stage_known_count)) {
        if (stream)
            failure_of_write(op, stream->_fileno, errno);
        else
            streams_failed(op);
    }
    return result;
}

WRITER(ssize_t, write, (int fd, const void *buffer, size_t size), (fd, buffer, size), fd)
WRITER(ssize_t, __write, (int fd, const void *buffer, size_t size), (fd, buffer, size), fd)
WRITER(ssize_t, pwrite, (int fd, const void *buffer, size_t size, off_t at), (fd, buffer, size, at), fd)
WRITER(ssize_t, pwrite64, (int fd, const void *buffer, size_t size, off64_t at), (fd, buffer, size, at), fd)
WRITER(ssize_t, __pwrite64, (int fd, const void *buffer, size_t size, off64_t at), (fd, buffer, size, at), fd)
WRITER(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), fd)
WRITER(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at), fd)
WRITER(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at), fd)
WRITER(ssize_t, pwritev2, (int fd, const struct iovec *parts, int count, off_t at, int flags), (fd, parts, count, at, flags), fd)
WRITER(ssize_t, pwritev64v2, (int fd, const struct iovec *parts, int count, off64_t at, int flags), (fd, parts, count, at, flags),
       fd)

WRITER(ssize_t, copy_file_range, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags),
       (from, from_at, to, to_at, size, flags), to)
WRITER(ssize_t, sendfile, (int to, int from, off_t *from_at, size_t size), (to, from, from_at, size), to)
WRITER(ssize_t, sendfile64, (int to, int from, off64_t *from_at, size_t size), (to, from, from_at, size), to)
WRITER(ssize_t, splice, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags),
       (from, from_at, to, to_at, size, flags), to)

WRITER(int, ftruncate, (int fd, off_t length), (fd, length), fd)
WRITER(int, ftruncate64, (int fd, off64_t length), (fd, length), fd)
WATCHED(int, posix_fallocate, (int fd, off_t at, off_t length), (fd, at, length), fd, answer_error)
WATCHED(int, posix_fallocate64, (int fd, off64_t at, off64_t length), (fd, at, length), fd, answer_error)

/* Room that was to be kept behind the end, and isn't to be had, leaves the file as it was: a program may go on without. */
#define UNLESS_KEPT(fd, mode) ((mode) == FALLOC_FL_KEEP_SIZE ? -1 : (fd))
WRITER(int, fallocate, (int fd, int mode, off_t at, off_t length), (fd, mode, at, length), UNLESS_KEPT(fd, mode))
WRITER(int, fallocate64, (int fd, int mode, off64_t at, off64_t length), (fd, mode, at, length), UNLESS_KEPT(fd, mode))

/* The kernel tells of a failed write-back once: a commit that syncs later wouldn't hear of it. */
WRITER(int, fsync, (int fd), (fd), fd)
WRITER(int, fdatasync, (int fd), (fd), fd)
WRITER(int, sync_file_range, (int fd, off64_t at, off64_t length, unsigned flags), (fd, at, length, flags), fd)

WRITER(int, vdprintf, (int fd, const char *format, va_list arguments), (fd, format, arguments), fd)
WRITER(int, __vdprintf_chk, (int fd, int flag, const char *format, va_list arguments), (fd, flag, format, arguments), fd)

WATCHED(int, fflush, (FILE * stream), (stream), stream, answer_flush)
WATCHED(int, fflush_unlocked, (FILE * stream), (stream), stream, answer_flush)

int wrap_dprintf(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = (int)answer(NEXT(vdprintf)(fd, format, arguments), "dprintf", fd);
    va_end(arguments);
    return result;
}

int wrap___dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = (int)answer(NEXT(__vdprintf_chk)(fd, flag, format, arguments), "__dprintf_chk", fd);
    va_end(arguments);
    return result;
}

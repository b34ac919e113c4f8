#include <fcntl.h>
#include <string.h>

#include "../policy/policy.h"
#include "../remedy/release.h"
#include "../remedy/write.h"
#include "../sys/directory.h"
#include "../sys/process.h"
#include "entries.h"
#include "streams.h"

/* The open flags that a mode string stands for, as in fopen(3); what follows a comma isn't about them. */
static int mode_flags(const char *mode)
{
    int flags = mode[0] == 'r' ? O_RDONLY : mode[0] == 'w' ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY | O_CREAT | O_APPEND;
    for (const char *letter = mode + 1; *letter && *letter != ','; letter++) {
        if (*letter == '+')
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        else if (*letter == 'x')
            flags |= O_EXCL;
        else if (*letter == 'e')
            flags |= O_CLOEXEC;
    }
    return flags;
}

static struct write_open request(const char *op, const char *path, const char *mode)
{
    return (struct write_open){ .op = op, .dirfd = AT_FDCWD, .path = path, .flags = mode_flags(mode), .mode = 0666 };
}

static int open_instead(const char *op, const char *path, const char *mode)
{
    struct write_open open = request(op, path, mode);
    return write_open(&open);
}

/*
 * Before the real call: -1 unless there is a stage for this file, or the policy wants one, busy or not. What is in the buffer of
 * the stream that is to be opened again goes out before, as freopen would do it. A NULL path is freopen's, too.
 */
static int forestall(FILE *stream, const char *op, const char *path, const char *mode)
{
    if (likely((mode[0] != 'w' && !stage_known_count) || !path || !write_is_foreseen(mode_flags(mode))))
        return -1;
    if (stream)
        fflush(stream);
    struct write_open open = request(op, path, mode);
    return write_open_forestalled(&open);
}

/* The stream could not be made after all: nothing was written. */
static void drop(int fd)
{
    int saved = errno;
    struct stage_release release;
    bool is = stage_release_begin(&release, fd);
    sys_close(fd);
    if (is)
        stage_discard(&release);
    errno = saved;
}

/*
 * Lets a real open of a stage's descriptor, by its name in /proc, end at the number where the program's own open would have
 * put it. The mode is the program's: what it truncates is empty, what it appends to has the old content, and ",ccs=" is heard.
 * A number that isn't `ours` another thread may have been given meanwhile: then the stream stays where it is.
 */
static FILE *move_stream(FILE *stream, int number, bool ours, const char *mode)
{
    int now = stream->_fileno, cloexec = mode_flags(mode) & O_CLOEXEC;
    stage_join_opened(now);
    if (number < 0 || number == now)
        return stream;
    int moved = ours ? sys_dup3(now, number, cloexec) : sys_fcntl(now, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, number);
    sys_close_quietly(moved == number ? now : moved);
    if (moved == number)
        stream->_fileno = number;
    return stream;
}

typedef FILE *open_stream(const char *path, const char *mode);

/*
 * A stream on a stage's descriptor, or that of a file which isn't busy any more; it becomes the stream's. Where it can't be opened
 * again (no number is left, no /proc, a mode that keeps even its creator out) the descriptor itself will do: the file may have
 * been emptied already.
 */
static FILE *open_on(int fd, open_stream *real, const char *mode)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int cancellation = process_hold_cancellation();
    FILE *stream = real(descriptor_link(link, fd), mode);
    process_let_cancellation(cancellation);
    if (stream)
        return move_stream(stream, fd, true, mode);
    if ((stream = fdopen(fd, mode)))
        return stream;
    drop(fd);
    return NULL;
}

static FILE *open_as(open_stream *real, const char *op, const char *path, const char *mode)
{
    int before = errno, fd = forestall(NULL, op, path, mode);
    if (unlikely(fd >= 0))
        return open_on(fd, real, mode);
    FILE *stream = real(path, mode);
    if (likely(stream)) {
        if (unlikely(stage_known_count) && (mode_flags(mode) & O_ACCMODE) != O_RDONLY)
            stage_join_opened(stream->_fileno);
        return stream;
    }
    if (likely(errno != ETXTBSY))
        return NULL;
    fd = open_instead(op, path, mode);
    stream = fd < 0 ? NULL : open_on(fd, real, mode);
    if (stream)
        errno = before;
    return stream;
}

FILE *wrap_fopen(const char *path, const char *mode)
{
    return open_as(NEXT(fopen), "fopen", path, mode);
}

FILE *wrap_fopen64(const char *path, const char *mode)
{
    return open_as(NEXT(fopen64), "fopen64", path, mode);
}

typedef FILE *reopen(const char *path, const char *mode, FILE *stream);

/*
 * When freopen can't open the new file it has closed the old one, and the stream is closed, but glibc takes it a second time, and a
 * third (measured on 2.36). The descriptor must have the number that the stream had before, where freopen would have put it.
 *
 * Where a file that isn't busy any more can't be opened again (no number is left, no /proc) it is opened by its own name instead of
 * the descriptor: it may have been emptied already.
 */
static FILE *reopen_on(int fd, reopen *real, const char *path, const char *mode, FILE *stream, int number)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int cancellation = process_hold_cancellation();
    FILE *reopened = real(descriptor_link(link, fd), mode, stream);
    if (!reopened && !stage_is(fd)) {
        sys_close(fd);
        fd = -1;
        reopened = real(path, mode, stream);
    }
    process_let_cancellation(cancellation);
    if (!reopened) {
        if (fd >= 0)
            drop(fd);
        return NULL;
    }
    move_stream(reopened, number, fd == number, mode);
    if (fd != number)
        sys_close_quietly(fd);
    return reopened;
}

static FILE *reopen_stream(reopen *real, const char *op, const char *path, const char *mode, FILE *stream)
{
    int saved = errno, number = fileno(stream);
    struct stage_release release = { .asker = -1 };
    if (unlikely(stage_known_count) && stage_release_begin(&release, number))
        stream_finish(op, stream); /* as it will do itself; it doesn't say how that went */
    errno = saved;
    int fd = forestall(stream, op, path, mode);
    FILE *reopened = unlikely(fd >= 0) ? reopen_on(fd, real, path, mode, stream, number) : real(path, mode, stream);
    if (unlikely(stage_known_count) && reopened) /* the same file again, perhaps: freopen(NULL, …) */
        stage_join_opened(reopened->_fileno);
    if (unlikely(release.known.slot != NULL))
        release_end(&release, op, 0);
    if (likely(reopened || fd >= 0 || !path || errno != ETXTBSY))
        return reopened;
    fd = open_instead(op, path, mode);
    reopened = fd < 0 ? NULL : reopen_on(fd, real, path, mode, stream, number);
    if (reopened)
        errno = saved;
    return reopened;
}

FILE *wrap_freopen(const char *path, const char *mode, FILE *stream)
{
    return reopen_stream(NEXT(freopen), "freopen", path, mode, stream);
}

FILE *wrap_freopen64(const char *path, const char *mode, FILE *stream)
{
    return reopen_stream(NEXT(freopen64), "freopen64", path, mode, stream);
}

static void forgive(const char *op, FILE *stream)
{
    if (unlikely(stage_known_count))
        stream_forgive(op, stream);
}

void wrap_clearerr(FILE *stream)
{
    forgive("clearerr", stream);
    NEXT(clearerr)(stream);
}

void wrap_clearerr_unlocked(FILE *stream)
{
    forgive("clearerr_unlocked", stream);
    NEXT(clearerr_unlocked)(stream);
}

void wrap_rewind(FILE *stream)
{
    forgive("rewind", stream);
    NEXT(rewind)(stream);
}

int wrap_fclose(FILE *stream)
{
    if (likely(!stage_known_count))
        return NEXT(fclose)(stream);
    int saved = errno, finished = 0, error = 0;
    struct stage_release release;
    if (stage_release_begin(&release, fileno(stream)) && (finished = stream_finish("fclose", stream)))
        error = errno;
    errno = saved;
    int result = NEXT(fclose)(stream);
    if (finished && !result) {
        errno = error;
        result = finished;
    }
    return release_end(&release, "fclose", result);
}

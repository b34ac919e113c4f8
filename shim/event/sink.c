#include <linux/limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "event.h"

#define FULL_PIPE_WAIT_NS (100 * CLOCK_MS)
#define SIGPIPE_BIT (UINT64_C(1) << (SIGPIPE - 1))

/*
 * Whether a write of so many bytes would neither block nor meet a pipe whose reader is gone. For a pipe, poll answers for
 * PIPE_BUF bytes only (pipe(7)); a longer line has to find room for itself, in pages that are wholly free.
 */
static bool is_writable(int fd, size_t length)
{
    struct pollfd poll = { .fd = fd, .events = POLLOUT };
    struct timespec at_once = { 0 };
    if (sys_call(SYS_ppoll, &poll, 1L, &at_once, 0L, 8L) != 1 || (poll.revents & (POLLOUT | POLLERR | POLLNVAL)) != POLLOUT)
        return false;
    long size = length > PIPE_BUF ? sys_fcntl(fd, F_GETPIPE_SZ, 0) : -1;
    int unread = 0;
    return size < 0 || (sys_ioctl(fd, FIONREAD, (long)&unread) == 0 && (long)length + unread + 2 * PIPE_BUF <= size);
}

/* The same, given a little time. */
static bool becomes_writable(int fd, size_t length)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    struct timespec pause = { .tv_nsec = CLOCK_MS };
    while (!is_writable(fd, length)) {
        if (clock_ns(CLOCK_MONOTONIC) - start >= FULL_PIPE_WAIT_NS)
            return false;
        sys_call(SYS_nanosleep, &pause, 0L);
    }
    return true;
}

/*
 * One write. The reader of a pipe may still go between the poll and the write, so SIGPIPE is held back meanwhile, and taken
 * away if this write raised it; one that was pending before stays.
 */
static void write_line(int fd, const char *line, size_t length)
{
    uint64_t pipe_signal = SIGPIPE_BIT, mask, pending = 0;
    if (!becomes_writable(fd, length) || sys_call(SYS_rt_sigprocmask, SIG_BLOCK, &pipe_signal, &mask, 8L) < 0)
        return;
    sys_call(SYS_rt_sigpending, &pending, 8L);
    if (sys_write(fd, line, length) < 0 && errno == EPIPE && !(pending & SIGPIPE_BIT)) {
        struct timespec at_once = { 0 };
        sys_call(SYS_rt_sigtimedwait, &pipe_signal, 0L, &at_once, 8L);
    }
    sys_call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0L, 8L);
}

static struct statx stderr_then;

void event_remember_stderr(void)
{
    int saved = errno;
    if (sys_fstat(2, &stderr_then) < 0)
        stderr_then = (struct statx){ .stx_mode = S_IFREG }; /* closed: whatever file comes there isn't a log */
    errno = saved;
}

/* A program that has closed stderr may have something of its own under number 2 by now: a data file, a connection. */
static bool is_somebodys_data(void)
{
    struct statx now;
    if (sys_fstat(2, &now) < 0)
        return true;
    bool may_be_data = S_ISREG(now.stx_mode) || S_ISSOCK(now.stx_mode) || S_ISBLK(now.stx_mode);
    return stderr_then.stx_mode && may_be_data && !sys_same_file(&now, &stderr_then);
}

static void send_to_descriptor(int fd, const struct event *event, const char *line, size_t length)
{
    struct statx file;
    if (sys_fstat(fd, &file) < 0)
        return;
    if (event->avoid_inode == file.stx_ino && event->avoid_device == sys_device(&file))
        return;
    write_line(fd, line, length);
}

/* Opened for each line, so that a rotated log just goes on; never through a symbolic link that somebody left there. */
static void send_to_file(const char *path, const struct event *event, const char *line, size_t length)
{
    int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return;
    send_to_descriptor(fd, event, line, length);
    sys_close(fd);
}

static void send_to(const char *sink, size_t length, const struct event *event, const char *line, size_t line_length)
{
    uint64_t fd;
    if (length == 6 && !memcmp(sink, "stderr", 6)) {
        if (is_somebodys_data())
            return;
        send_to_descriptor(2, event, line, line_length);
    } else if (length > 3 && !memcmp(sink, "fd:", 3)) {
        if (text_to_number(sink + 3, length - 3, &fd))
            send_to_descriptor((int)fd, event, line, line_length);
    } else if (length && sink[0] == '/' && length < PATH_MAX) {
        char *path = scratch_map(PATH_MAX);
        if (!path)
            return;
        memcpy(path, sink, length);
        path[length] = '\0';
        send_to_file(path, event, line, line_length);
        scratch_unmap(path, PATH_MAX);
    }
}

void event_send(const char *sinks, const struct event *event, const char *line, size_t length)
{
    int saved = errno;
    for (const char *at = sinks; *at;) {
        at += strspn(at, " ,");
        size_t item = strcspn(at, ",");
        size_t trimmed = item;
        while (trimmed && at[trimmed - 1] == ' ')
            trimmed--;
        send_to(at, trimmed, event, line, length);
        at += item;
    }
    errno = saved;
}

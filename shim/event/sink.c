#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/scratch.h"
#include "../sys/signals.h"
#include "../sys/text.h"
#include "datagram.h"
#include "event.h"

#define FULL_PIPE_WAIT_NS (100 * CLOCK_MS)
#define SINK_PATH_SIZE 1024 /* as long as the policy's value may be */

/* One line under way to its sinks. */
struct delivery {
    const struct event *event;
    const char *line;
    size_t length;
    char *cut; /* the same in EVENT_SHORT_SIZE; NULL: not made yet */
    size_t cut_length;
};

/* What poll says at once; POLLOUT means for a pipe that it takes PIPE_BUF bytes (pipe(7)). */
static int poll_at_once(int fd)
{
    struct pollfd poll = { .fd = fd, .events = POLLOUT };
    struct timespec at_once = { 0 };
    return sys_call(SYS_ppoll, &poll, 1L, &at_once, 0L, 8L) < 0 ? POLLERR : poll.revents;
}

/* Without blocking, where the kernel can: another writer may have filled the pipe since the poll. */
static ssize_t write_at_once(int fd, const char *line, size_t length)
{
    struct iovec content = { (void *)line, length };
    ssize_t written = sys_call(SYS_pwritev2, fd, &content, 1L, -1L, -1L, RWF_NOWAIT);
    return written < 0 && errno != EAGAIN && errno != EPIPE ? sys_write(fd, line, length) : written;
}

/* One write, all or nothing, given a little time. Returns its errno, or 0. */
static int write_patiently(int fd, const char *line, size_t length)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    do {
        int ready = poll_at_once(fd);
        if (ready & (POLLERR | POLLNVAL))
            return EIO;
        if (ready & POLLOUT) {
            if (write_at_once(fd, line, length) >= 0)
                return 0;
            if (errno != EAGAIN)
                return errno;
        }
        clock_rest(CLOCK_MS);
    } while (clock_ns(CLOCK_MONOTONIC) - start < FULL_PIPE_WAIT_NS);
    return EAGAIN;
}

/*
 * A full disk may take a part of a line. It is ended where it stands, so that the next process's line doesn't become a part of it:
 * the last byte that was written is this line's own, whatever others append meanwhile.
 */
static int write_to_file(int fd, const char *line, size_t length)
{
    ssize_t written = sys_write(fd, line, length);
    if (written <= 0 || (size_t)written == length)
        return written < 0 ? errno : 0;
    int64_t end = sys_lseek(fd, 0, SEEK_CUR);
    struct iovec newline = { "\n", 1 };
    int flags = sys_fcntl(fd, F_GETFL, 0);
    sys_fcntl(fd, F_SETFL, flags & ~O_APPEND);
    sys_call(SYS_pwritev, fd, &newline, 1L, (long)(end - 1), (long)((end - 1) >> 31 >> 1));
    sys_fcntl(fd, F_SETFL, flags);
    return ENOSPC;
}

/* A terminal with tostop stops a job in the background by SIGTTOU; of one that holds it back it takes the line. */
static void write_silently(int fd, const struct statx *file, const char *line, size_t length)
{
    struct signals_held held;
    if (!signals_hold(&held, SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ) | SIGNAL_BIT(SIGTTOU)))
        return;
    int error = S_ISREG(file->stx_mode) ? write_to_file(fd, line, length) : write_patiently(fd, line, length);
    signals_release(&held, error == EPIPE ? SIGNAL_BIT(SIGPIPE) : error == EFBIG ? SIGNAL_BIT(SIGXFSZ) : 0);
}

/*
 * The same line with less in it. What others write to a pipe, a socket or a terminal may come between the parts of a longer one;
 * false where it can't be made, and then it isn't written.
 */
static bool shorten(struct delivery *delivery)
{
    if (!delivery->cut && (delivery->cut = scratch_map(EVENT_SHORT_SIZE)) && delivery->event->event)
        delivery->cut_length = event_format(delivery->event, delivery->cut, EVENT_SHORT_SIZE);
    return delivery->cut_length > 0;
}

/* What stderr was when the process started. */
static struct {
    bool known, closed;
    uint64_t device, inode;
} stderr_then;

AT_START void event_remember_stderr(void)
{
    struct statx file = { 0 };
    stderr_then.closed = false;
    if (sys_fstat(2, &file) < 0) {
        stderr_then.closed = errno == EBADF;
        errno = 0; /* as a program finds it (errno(3)) */
    }
    stderr_then.known = true;
    stderr_then.device = sys_device(&file);
    stderr_then.inode = file.stx_ino;
}

/*
 * A program that has closed stderr may have something of its own under number 2 by now: a data file, a connection. Where it was
 * closed from the start whatever has come there is such a thing, even a pipe or a terminal.
 */
static bool is_somebodys_data(void)
{
    struct statx now;
    if (stderr_then.closed || sys_fstat(2, &now) < 0)
        return true;
    bool may_be_data = S_ISREG(now.stx_mode) || S_ISSOCK(now.stx_mode) || S_ISBLK(now.stx_mode);
    bool same = now.stx_ino == stderr_then.inode && sys_device(&now) == stderr_then.device;
    return stderr_then.known && may_be_data && !same;
}

static void send_to_opened(int fd, const struct statx *file, struct delivery *delivery)
{
    if (delivery->event->avoid_inode == file->stx_ino && delivery->event->avoid_device == sys_device(file))
        return;
    if (S_ISREG(file->stx_mode) || delivery->length <= EVENT_SHORT_SIZE)
        write_silently(fd, file, delivery->line, delivery->length);
    else if (shorten(delivery))
        write_silently(fd, file, delivery->cut, delivery->cut_length);
}

static void send_to_descriptor(int fd, struct delivery *delivery)
{
    struct statx file;
    if (sys_fstat(fd, &file) == 0)
        send_to_opened(fd, &file, delivery);
}

/* What the directory is; asked without a descriptor, of which there may be few. */
static bool find_directory(struct statx *directory, char *path)
{
    char *base = (char *)text_base(path), first = *base;
    *base = '\0';
    bool found = sys_statx(AT_FDCWD, path, 0, directory) == 0;
    *base = first;
    return found;
}

/*
 * In a directory where anybody may make files only our own file is taken, or one of the directory's owner, and none that has
 * another name: it would be somebody's trap (the kernel's fs.protected_regular and protected_hardlinks, which may be off).
 */
static bool is_trap(char *path, const struct statx *file, const struct event *event)
{
    struct statx directory;
    bool ours = file->stx_uid == (event->host ? event->host->user : sys_geteuid());
    bool has_other_names = S_ISREG(file->stx_mode) && file->stx_nlink > 1;
    if (S_ISBLK(file->stx_mode) || S_ISDIR(file->stx_mode))
        return true;
    if (S_ISCHR(file->stx_mode) || (ours && !has_other_names))
        return false;
    return !find_directory(&directory, path) ||
           (directory.stx_mode & S_IWOTH && (has_other_names || (!ours && file->stx_uid != directory.stx_uid)));
}

/* Opened for each line, so that a rotated log just goes on; never through a symbolic link that somebody left there. */
static void send_to_file(char *path, struct delivery *delivery)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct statx file;
    int fd = sys_openat(AT_FDCWD, path, flags, 0640);
    if (fd >= 0 && sys_fstat(fd, &file) == 0 && !is_trap(path, &file, delivery->event))
        send_to_opened(fd, &file, delivery);
    sys_close_quietly(fd);
}

static bool is_word(const char *sink, size_t length, const char *word)
{
    return length == strlen(word) && !memcmp(sink, word, length);
}

static void send_to(const char *sink, size_t length, struct delivery *delivery)
{
    uint64_t fd;
    if (is_word(sink, length, "stderr")) {
        if (!is_somebodys_data())
            send_to_descriptor(2, delivery);
    } else if (is_word(sink, length, "journal")) {
        journal_send(delivery->line, delivery->length);
    } else if (is_word(sink, length, "syslog")) {
        syslog_send(delivery->line, delivery->length);
    } else if (length > 3 && !memcmp(sink, "fd:", 3)) {
        if (text_to_number(sink + 3, length - 3, &fd))
            send_to_descriptor((int)fd, delivery);
    } else if (length && sink[0] == '/' && length < SINK_PATH_SIZE) {
        char path[SINK_PATH_SIZE];
        memcpy(path, sink, length);
        path[length] = '\0';
        send_to_file(path, delivery);
    }
}

bool event_is_wanted(const char *sinks)
{
    return strcmp(sinks, "none") != 0;
}

void event_send(const char *sinks, const struct event *event, const char *line, size_t length)
{
    int saved = errno;
    struct delivery delivery = { .event = event, .line = line, .length = length };
    for (const char *at = sinks; *at;) {
        at += strspn(at, " ,");
        size_t item = strcspn(at, ",");
        size_t trimmed = item;
        while (trimmed && at[trimmed - 1] == ' ')
            trimmed--;
        send_to(at, trimmed, &delivery);
        at += item;
    }
    scratch_unmap(delivery.cut, EVENT_SHORT_SIZE);
    errno = saved;
}

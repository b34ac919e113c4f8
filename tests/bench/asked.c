/*
 * What a redirect is asked for, by hand: the system calls that the library makes for `cp` over a program that runs, one after the
 * other, each with its reason, and nothing else: no decision, no error, no memory, no text. What is faster than this leaves
 * something out.
 */
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "by_hand.h"

#define FIRST_NAME ".asked.first"
#define NAME ".asked.new"

static char buffer[4096], other[4096];

static const char *link_of(int fd)
{
    static char link[40];
    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", fd);
    return link;
}

static void look(int dirfd, const char *path, int flags)
{
    struct statx file;
    statx(dirfd, path, flags, STATX_BASIC_STATS | STATX_BTIME, &file);
}

static void look_at(int fd)
{
    look(fd, "", AT_EMPTY_PATH);
}

static void try_open(const char *path, int flags)
{
    int fd = libcs_openat(AT_FDCWD, path, flags | O_CLOEXEC);
    if (fd >= 0)
        libcs_close(fd);
}

/* The file is small, and all is there in one piece; that it was all says another read. */
static void read_file(const char *path)
{
    int fd = libcs_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    while (read(fd, buffer, sizeof buffer) > 0)
        ;
    libcs_close(fd);
}

/* Who asks, for rules and for the line. */
static void who(void)
{
    prctl(PR_GET_NAME, buffer);
    readlink("/proc/self/exe", buffer, sizeof buffer);
}

/* The name that the kernel knows the file by, whatever links lead there. */
static void resolve(const char *path)
{
    int fd = libcs_openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
    readlink(link_of(fd), buffer, sizeof buffer);
    look_at(fd);
    libcs_close(fd);
}

static void copy_flags_and_project(int from, int to)
{
    struct fsxattr attributes;
    int flags, readable = libcs_openat(AT_FDCWD, link_of(from), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ioctl(to, FS_IOC_GETFLAGS, &flags);
    ioctl(readable, FS_IOC_GETFLAGS, &flags);
    ioctl(to, FS_IOC_FSGETXATTR, &attributes);
    ioctl(readable, FS_IOC_FSGETXATTR, &attributes);
    libcs_close(readable);
}

static void copy_attributes(int from, int to)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
    look_at(from); /* owner, mode, times */
    look_at(to);
    flistxattr(to, buffer, sizeof buffer); /* those that a new file is given */
    listxattr(link_of(from), buffer, sizeof buffer);
    look_at(to); /* what the owner's change has left of the mode */
    fchmod(to, 0755);
    futimens(to, times);
}

/* What writers that were killed have left. */
static void sweep(int directory)
{
    int fd = libcs_openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0)
        ;
    libcs_close(fd);
}

static int make_stage(const char *path)
{
    who();
    resolve(path);
    try_open("/etc/etxtbsy.conf", O_RDONLY);
    try_open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK); /* busy under that name, and no swap file */

    int directory = libcs_openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    look(directory, path, AT_SYMLINK_NOFOLLOW); /* still the one: links, type */
    look_at(directory);                         /* sticky, or another's */
    geteuid();
    int old = libcs_openat(directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    look_at(old);

    int fd = libcs_openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    flock(fd, LOCK_SH | LOCK_NB);
    copy_flags_and_project(old, fd);
    copy_attributes(old, fd);
    sweep(directory);
    getrandom(buffer, 8, GRND_NONBLOCK);
    linkat(AT_FDCWD, link_of(fd), directory, FIRST_NAME, AT_SYMLINK_FOLLOW);
    getrandom(buffer, 8, GRND_NONBLOCK);
    renameat(directory, FIRST_NAME, directory, NAME); /* where that can't be done the program must hear it now */
    look_at(fd);

    int named = libcs_openat(directory, NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    look_at(named);
    int caller = libcs_openat(AT_FDCWD, link_of(named), O_WRONLY); /* with the caller's flags */
    libcs_close(named);
    flock(caller, LOCK_SH | LOCK_NB);
    int asker = libcs_openat(AT_FDCWD, link_of(fd), O_RDONLY | O_CLOEXEC);
    flock(asker, LOCK_EX | LOCK_NB); /* whether locks exclude here */
    libcs_close(asker);
    int lowest = dup3(caller, directory, 0);
    libcs_close(caller);
    libcs_close(fd);
    libcs_close(old);
    return lowest;
}

static void compare(int a, const char *path)
{
    int b = libcs_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    ssize_t got;
    fcntl(a, F_SETFL, fcntl(a, F_GETFL) | O_NOATIME);
    look_at(b);
    look_at(a);
    do {
        got = read(a, buffer, sizeof buffer);
        read(b, other, sizeof other);
    } while (got == sizeof buffer && !memcmp(buffer, other, sizeof buffer));
    libcs_close(b);
}

static void write_line(void)
{
    static const char *const facts[] = { "/proc/sys/kernel/random/boot_id", "/proc/self/cgroup", "/proc/self/environ" };
    struct utsname machine;
    struct timespec now;
    struct pollfd poll_for = { .events = POLLOUT };
    char ancestor[40];
    uname(&machine);
    for (int i = 0; i < 3; i++)
        read_file(facts[i]);
    snprintf(ancestor, sizeof ancestor, "/proc/%d/stat", getppid());
    for (int i = 0; i < 4; i++)
        read_file(ancestor);
    look(AT_FDCWD, "/proc/self/ns/cgroup", 0);
    clock_gettime(CLOCK_REALTIME, &now);
    poll_for.fd = libcs_openat(AT_FDCWD, "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
    look_at(poll_for.fd);
    poll(&poll_for, 1, 0);
    write(poll_for.fd, buffer, 740);
    libcs_close(poll_for.fd);
}

static int commit(int fd)
{
    struct statfs system;
    int asker = libcs_openat(AT_FDCWD, link_of(fd), O_RDONLY | O_CLOEXEC);
    look_at(asker);
    flock(asker, LOCK_SH | LOCK_NB);
    look_at(fd);
    libcs_close(fd);
    who();
    flock(asker, LOCK_EX | LOCK_NB); /* the last one */
    readlink(link_of(asker), buffer, sizeof buffer);
    try_open("/etc/etxtbsy.conf", O_RDONLY);
    int old = libcs_openat(AT_FDCWD, target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    look_at(old);
    int directory = libcs_openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    look(directory, NAME, AT_SYMLINK_NOFOLLOW);
    look(directory, target, AT_SYMLINK_NOFOLLOW);
    compare(asker, target);
    int result = renameat(directory, NAME, directory, target);
    libcs_close(directory);
    libcs_close(asker);
    fstatfs(old, &system);
    look_at(old);
    try_open(link_of(old), O_WRONLY); /* whether somebody runs the old one */
    libcs_close(old);
    write_line();
    return result;
}

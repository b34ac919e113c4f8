/*
 * Calls one libc entry point on one file, as a program that knows nothing of the shim would.
 *
 *     victim ENTRY TARGET
 *
 * Entries that write leave "ENTRY\n" in TARGET; truncate leaves its first 5 bytes; entries that change names do it to TARGET, or to
 * "TARGET.new" beside it; entries that start a program run TARGET with the argument ENTRY and end with its status. Exit status 0:
 * done; 1: the call failed, and stderr has its errno by name and number; 77: this libc doesn't have it. Compiled plain, fortified,
 * with 64-bit offsets and as C++, so C++ it must be, too.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif
int __open(const char *, int, ...);
int __open64(const char *, int, ...);
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
int __close(int);
int __dup2(int, int);
pid_t __wait(int *);
pid_t __waitpid(pid_t, int *, int);
ssize_t __write(int, const void *, size_t);
ssize_t __pwrite64(int, const void *, size_t, off64_t);
#ifndef _FORTIFY_SOURCE
int __dprintf_chk(int, int, const char *, ...);
int __vdprintf_chk(int, int, const char *, va_list);
#endif
int capset(void *, const void *);
int pivot_root(const char *, const char *);
int __fxstat(int, int, struct stat *);
int __fxstat64(int, int, struct stat64 *);
int __fxstatat(int, int, const char *, struct stat *, int);
int __fxstatat64(int, int, const char *, struct stat64 *, int);
#if __GLIBC_PREREQ(2, 34) && __TIMESIZE == 32
#define HAS_TIME64_NAMES
int __fstat64_time64(int, void *);
int __fstatat64_time64(int, const char *, void *, int);
int __prctl_time64(int, ...);
pid_t __wait3_time64(int *, int, void *);
pid_t __wait4_time64(pid_t, int *, int, void *);
#endif
#ifdef __cplusplus
}
#endif

/* The layouts that __fxstat knows; the names are older than 64-bit times, which have none of these. */
#ifdef __i386__
#define STAT_VERSION 3
#elif defined __aarch64__
#define STAT_VERSION 0
#else
#define STAT_VERSION 1
#endif
#if defined __USE_TIME_BITS64 && __TIMESIZE == 32
#define __fxstat(version, fd, file) fstat(fd, file)
#define __fxstat64(version, fd, file) fstat64(fd, file)
#define __fxstatat(version, fd, path, file, flags) fstatat(fd, path, file, flags)
#define __fxstatat64(version, fd, path, file, flags) fstatat64(fd, path, file, flags)
#elif defined __USE_FILE_OFFSET64 && defined __i386__ /* where the plain names fill in the short layout */
#define __fxstat(version, fd, file) __fxstat64(version, fd, (struct stat64 *)(file))
#define __fxstatat(version, fd, path, file, flags) __fxstatat64(version, fd, path, (struct stat64 *)(file), flags)
#endif

#ifndef SYS_openat2 /* glibc 2.31 */
#define SYS_openat2 437
#define SYS_close_range 436
#endif

extern char **environ;

static const char *entry, *target;

static bool is(const char *name)
{
    return strcmp(entry, name) == 0;
}

static int fail(void)
{
    fprintf(stderr, "%s: %s (%d)\n", entry, strerror(errno), errno);
    return 1;
}

static bool say(int fd)
{
    char text[200];
    int length = snprintf(text, sizeof text, "%s\n", entry);
    return write(fd, text, (size_t)length) == length;
}

static int check(bool good)
{
    return good ? 0 : fail();
}

/* A call that succeeds leaves errno as it was. */
#define UNTOUCHED 4711

static int check_untouched(bool good)
{
    if (good && errno != UNTOUCHED)
        return fprintf(stderr, "%s: succeeded, with errno %d\n", entry, errno), 1;
    return check(good);
}

static const int writing = O_WRONLY | O_CREAT | O_TRUNC;

/* The entries that open. Returns -2 for any other. */
static int open_by_entry(void)
{
    volatile int flags = O_WRONLY | O_TRUNC; /* not a constant: the fortified names take over where the compiler can't see it */
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = O_WRONLY | O_TRUNC;
    if (is("open"))
        return open(target, writing, 0644);
    if (is("open64"))
        return open64(target, writing, 0644);
    if (is("openat"))
        return openat(AT_FDCWD, target, writing, 0644);
    if (is("openat64"))
        return openat64(AT_FDCWD, target, writing, 0644);
    if (is("creat"))
        return creat(target, 0644);
    if (is("creat64"))
        return creat64(target, 0644);
    if (is("__open"))
        return __open(target, writing, 0644);
    if (is("__open64"))
        return __open64(target, writing, 0644);
    if (is("__open_2"))
        return __open_2(target, flags);
    if (is("__open64_2"))
        return __open64_2(target, flags);
    if (is("__openat_2"))
        return __openat_2(AT_FDCWD, target, flags);
    if (is("__openat64_2"))
        return __openat64_2(AT_FDCWD, target, flags);
    if (is("fortified-open"))
        return open(target, flags);
    if (is("fortified-openat"))
        return openat(AT_FDCWD, target, flags);
#ifdef SYS_open
    if (is("syscall-open"))
        return (int)syscall(SYS_open, target, writing, 0644);
    if (is("syscall-creat"))
        return (int)syscall(SYS_creat, target, 0644);
#endif
    if (is("syscall-openat"))
        return (int)syscall(SYS_openat, AT_FDCWD, target, writing, 0644);
    if (is("syscall-openat2"))
        return (int)syscall(SYS_openat2, AT_FDCWD, target, &how, sizeof how);
    return -2;
}

/* The entries that let go of a descriptor. */
static int close_by_entry(void)
{
    int fd = open(target, writing, 0644), other = open("/dev/null", O_RDONLY);
    if (fd < 0 || other < 0 || !say(fd))
        return fail();
    errno = UNTOUCHED;
    if (is("close"))
        return check_untouched(close(fd) == 0);
    if (is("__close"))
        return check_untouched(__close(fd) == 0);
    if (is("dup2"))
        return check_untouched(dup2(other, fd) == fd);
    if (is("__dup2"))
        return check_untouched(__dup2(other, fd) == fd);
    if (is("dup3"))
        return check_untouched(dup3(other, fd, O_CLOEXEC) == fd);
#if __GLIBC_PREREQ(2, 34)
    if (is("close_range"))
        return check_untouched(close_range(3, ~0U, 0) == 0);
    if (is("closefrom"))
        return closefrom(3), 0;
#endif
    if (is("flock"))
        return check(flock(fd, LOCK_EX) == 0 && flock(fd, LOCK_UN) == 0 && close(fd) == 0);
    if (is("_exit"))
        _exit(0);
    if (is("_Exit"))
        _Exit(0);
    if (is("quick_exit"))
        quick_exit(0);
    if (is("exit"))
        exit(0);
    if (is("return"))
        return 0;
    if (is("daemon"))
        return check(daemon(1, 1) == 0);
    if (is("setuid") || is("setgid"))
        return check((is("setuid") ? setuid(getuid()) : setgid(getgid())) == 0 && close(fd) == 0);
    if (is("seteuid") || is("setegid"))
        return check((is("seteuid") ? seteuid(getuid()) : setegid(getgid())) == 0 && close(fd) == 0);
    if (is("setreuid") || is("setregid"))
        return check((is("setreuid") ? setreuid(-1, getuid()) : setregid(-1, getgid())) == 0 && close(fd) == 0);
    if (is("setresuid") || is("setresgid"))
        return check((is("setresuid") ? setresuid(-1, getuid(), -1) : setresgid(-1, getgid(), -1)) == 0 && close(fd) == 0);
    if (is("setgroups") || is("initgroups"))
        return check((is("setgroups") ? setgroups(0, NULL) : initgroups("root", 0)) == 0 && close(fd) == 0);
    if (is("setfsuid") || is("setfsgid"))
        return check((is("setfsuid") ? setfsuid(getuid()) : setfsgid(getgid())) >= 0 && close(fd) == 0);
    if (is("chroot"))
        return check(chroot("/proc/self/fdinfo") == 0 && close(fd) == 0); /* where no path of ours leads anywhere */
    /* These go wrong, where they are allowed: it is before them that something is done. */
    if (is("pivot_root"))
        return check(pivot_root("/nowhere", "/nowhere") == -1 && close(fd) == 0);
    if (is("unshare") || is("setns"))
        return check((is("unshare") ? unshare(CLONE_NEWUSER | 1) : setns(-1, 0)) == -1 && close(fd) == 0);
    if (is("capset"))
        return check(capset(NULL, NULL) == -1 && close(fd) == 0);
    if (is("prctl"))
        return check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && close(fd) == 0);
#ifdef HAS_TIME64_NAMES
    if (is("__prctl_time64"))
        return check(__prctl_time64(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && close(fd) == 0);
#endif
    if (is("syscall-exit"))
        return (int)syscall(SYS_exit, 0);
    if (is("syscall-close"))
        return check_untouched(syscall(SYS_close, fd) == 0);
    if (is("syscall-close_range"))
        return check_untouched(syscall(SYS_close_range, 3, ~0U, 0) == 0);
#ifdef SYS_dup2
    if (is("syscall-dup2"))
        return check_untouched(syscall(SYS_dup2, other, fd) == fd);
#endif
    if (is("syscall-dup3"))
        return check_untouched(syscall(SYS_dup3, other, fd, 0) == fd);
    if (is("syscall-exit_group"))
        return (int)syscall(SYS_exit_group, 0);
    return -2;
}

static int print(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = is("vdprintf") ? vdprintf(fd, format, arguments) : __vdprintf_chk(fd, 1, format, arguments);
    va_end(arguments);
    return result;
}

/* The entries that put the text into the file from somewhere else. Returns -2 for any other. */
static ssize_t transfer_by_entry(int fd, size_t size)
{
    int ends[2];
    FILE *other = tmpfile();
    if (!other || !say(fileno(other)) || lseek(fileno(other), 0, SEEK_SET) < 0 || pipe(ends) < 0 || !say(ends[1]))
        return -1;
    int from = fileno(other);
    return is("copy_file_range") ? copy_file_range(from, NULL, fd, NULL, size, 0)
           : is("sendfile")      ? sendfile(fd, from, NULL, size)
           : is("sendfile64")    ? sendfile64(fd, from, NULL, size)
           : is("splice")        ? splice(ends[0], NULL, fd, NULL, size, 0)
                                 : -2;
}

/* The entries that write, or make room, or sync what is written. Returns -2 for any other. */
static int write_by_entry(void)
{
    char text[200];
    const size_t size = (size_t)snprintf(text, sizeof text, "%s\n", entry), half = size / 2;
    struct iovec parts[2] = { { text, half }, { text + half, size - half } };
    int fd = open(target, writing, 0644);
    if (fd < 0)
        return fail();
    ssize_t done = is("write")             ? write(fd, text, size)
                   : is("__write")         ? __write(fd, text, size)
                   : is("pwrite")          ? pwrite(fd, text, size, 0)
                   : is("pwrite64")        ? pwrite64(fd, text, size, 0)
                   : is("__pwrite64")      ? __pwrite64(fd, text, size, 0)
                   : is("writev")          ? writev(fd, parts, 2)
                   : is("pwritev")         ? pwritev(fd, parts, 2, 0)
                   : is("pwritev64")       ? pwritev64(fd, parts, 2, 0)
                   : is("pwritev2")        ? pwritev2(fd, parts, 2, 0, 0)
                   : is("pwritev64v2")     ? pwritev64v2(fd, parts, 2, 0, 0)
                   : is("dprintf")         ? dprintf(fd, "%s\n", entry)
                   : is("__dprintf_chk")   ? __dprintf_chk(fd, 1, "%s\n", entry)
                   : strstr(entry, "vdpr") ? print(fd, "%s\n", entry)
                   : is("syscall-write")   ? syscall(SYS_write, fd, text, size)
                                           : transfer_by_entry(fd, size);
    if (done != -2)
        return check(done == (ssize_t)size && close(fd) == 0);
    if (!say(fd))
        return fail();
    return is("fsync")               ? check(fsync(fd) == 0 && close(fd) == 0)
           : is("fdatasync")         ? check(fdatasync(fd) == 0 && close(fd) == 0)
           : is("sync_file_range")   ? check(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) == 0 && close(fd) == 0)
           : is("fallocate")         ? check(fallocate(fd, 0, 0, (off_t)size) == 0 && close(fd) == 0)
           : is("fallocate64")       ? check(fallocate64(fd, 0, 0, (off64_t)size) == 0 && close(fd) == 0)
           : is("posix_fallocate")   ? check(!(errno = posix_fallocate(fd, 0, (off_t)size)) && close(fd) == 0)
           : is("posix_fallocate64") ? check(!(errno = posix_fallocate64(fd, 0, (off64_t)size)) && close(fd) == 0)
                                     : -2;
}

/* The entries that ask what a descriptor is: the same file as the path leads to, while it is open. */
static int stat_by_entry(void)
{
    struct stat path, opened;
    struct stat64 opened64;
    struct {
        uint64_t st_dev, st_ino;
        char rest[512];
    } opened_time64 = { 0, 0, "" };
    struct statx extended;
    int fd = open(target, writing, 0644);
    if (fd < 0 || !say(fd) || stat(target, &path) < 0)
        return fail();
    int result = is("fstat")        ? fstat(fd, &opened)
                 : is("fstat64")    ? fstat64(fd, &opened64)
                 : is("fstatat")    ? fstatat(fd, "", &opened, AT_EMPTY_PATH)
                 : is("fstatat64")  ? fstatat64(fd, "", &opened64, AT_EMPTY_PATH)
                 : is("__fxstat")   ? __fxstat(STAT_VERSION, fd, &opened)
                 : is("__fxstat64") ? __fxstat64(STAT_VERSION, fd, &opened64)
                 : is("__fxstatat") ? __fxstatat(STAT_VERSION, fd, "", &opened, AT_EMPTY_PATH)
#ifdef HAS_TIME64_NAMES
                 : is("__fstat64_time64")   ? __fstat64_time64(fd, &opened_time64)
                 : is("__fstatat64_time64") ? __fstatat64_time64(fd, "", &opened_time64, AT_EMPTY_PATH)
#endif
                 : is("__fxstatat64") ? __fxstatat64(STAT_VERSION, fd, "", &opened64, AT_EMPTY_PATH)
                                      : statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended);
    ino_t inode = is("statx")                ? (ino_t)extended.stx_ino
                  : strstr(entry, "_time64") ? (ino_t)opened_time64.st_ino
                  : strstr(entry, "64")      ? opened64.st_ino
                                             : opened.st_ino;
    if (result < 0 || inode != path.st_ino)
        return fprintf(stderr, "%s: inode %lu, by path %lu\n", entry, (unsigned long)inode, (unsigned long)path.st_ino), 1;
    return check(close(fd) == 0);
}

static int stdio_by_entry(void)
{
    errno = UNTOUCHED;
    FILE *stream = is("fopen") || is("fclose") ? fopen(target, "w")
                   : is("fopen64")             ? fopen64(target, "w")
                   : is("freopen")             ? freopen(target, "w", stdout)
                   : is("freopen64")           ? freopen64(target, "w", stdout)
                   : strstr(entry, "fflush")   ? fopen(target, "w")
                   : strstr(entry, "clear")    ? fopen(target, "w")
                   : is("rewind")              ? fopen(target, "w")
                                               : NULL;
    if (!stream)
        return fail();
    if (errno != UNTOUCHED)
        return check_untouched(true);
    if ((is("freopen") || is("freopen64")) && fileno(stream) != 1)
        return fprintf(stderr, "stdout moved to descriptor %d\n", fileno(stream)), 1;
    fprintf(stream, "%s\n", entry);
    if (strstr(entry, "fflush"))
        return check((is("fflush") ? fflush(stream) : fflush_unlocked(stream)) == 0 && fclose(stream) == 0);
    if (strstr(entry, "clear") || is("rewind")) {
        is("rewind") ? rewind(stream) : is("clearerr") ? clearerr(stream) : clearerr_unlocked(stream);
        return check(fclose(stream) == 0);
    }
    return is("fclose") ? check(fclose(stream) == 0) : 0; /* the others: exit's last flush */
}

static int wait_for(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* `pid` by its address: it is set while the other argument is evaluated. */
static int spawned(int error, const pid_t *pid)
{
    errno = error;
    return error ? fail() : wait_for(*pid);
}

static int spawn_by_entry(void)
{
    char *const argv[] = { (char *)target, (char *)entry, NULL };
    char *const writer[] = { (char *)"echo", (char *)entry, NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int result;
    posix_spawn_file_actions_init(&actions);
    if (is("posix_spawn"))
        return spawned(posix_spawn(&pid, target, NULL, NULL, argv, environ), &pid);
    if (is("posix_spawnp"))
        return spawned(posix_spawnp(&pid, target, NULL, NULL, argv, environ), &pid);
#if __GLIBC_PREREQ(2, 39)
    if (is("pidfd_spawn") || is("pidfd_spawnp")) {
        int pidfd, error = (is("pidfd_spawn") ? pidfd_spawn : pidfd_spawnp)(&pidfd, target, NULL, NULL, argv, environ);
        siginfo_t info;
        errno = error;
        return error ? fail() : check(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_status == 0);
    }
#endif
    if (is("posix_spawn_file_actions_addchdir_np")) {
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        posix_spawn_file_actions_addchdir_np(&actions, "/");
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
    } else if (is("posix_spawn_file_actions_addfchdir_np")) {
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        posix_spawn_file_actions_addfchdir_np(&actions, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
#if __GLIBC_PREREQ(2, 34)
    } else if (is("posix_spawn_file_actions_addclosefrom_np")) {
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
#endif
    } else if (is("posix_spawn_file_actions_addopen")) {
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
    } else if (is("posix_spawn_file_actions_adddup2")) {
        posix_spawn_file_actions_addopen(&actions, 9, target, writing, 0644);
        posix_spawn_file_actions_adddup2(&actions, 9, 1);
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
    } else if (is("posix_spawn_file_actions_addclose")) {
        posix_spawn_file_actions_addclose(&actions, 1);
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
    } else if (is("exclusive")) { /* a second spawn would find the file that the first one made */
        char name[4096];
        snprintf(name, sizeof name, "%s.exclusive", target);
        posix_spawn_file_actions_addopen(&actions, 3, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        result = spawned(posix_spawn(&pid, target, &actions, NULL, argv, environ), &pid);
        unlink(name);
    } else {
        result = -2;
    }
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

/* Shells that write into a descriptor of ours: nothing that they write may be lost. */
static int shell_by_entry(void)
{
    char command[300];
    int fd = open(target, writing, 0644);
    if (fd < 0)
        return fail();
    snprintf(command, sizeof command, "echo %s >&%d", entry, fd);
    if (is("system"))
        return check(system(command) == 0 && close(fd) == 0);
    FILE *shell = popen(command, "r");
    return check(shell && pclose(shell) == 0 && close(fd) == 0);
}

static int name_by_entry(void)
{
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.new", target);
    if (is("rename"))
        return check(rename(target, beside) == 0);
    if (is("renameat"))
        return check(renameat(AT_FDCWD, target, AT_FDCWD, beside) == 0);
    if (is("renameat2"))
        return check(renameat2(AT_FDCWD, target, AT_FDCWD, beside, 1 /* RENAME_NOREPLACE */) == 0);
    if (is("link"))
        return check(link(target, beside) == 0);
    if (is("linkat"))
        return check(linkat(AT_FDCWD, target, AT_FDCWD, beside, 0) == 0);
    if (is("unlink"))
        return check(unlink(target) == 0);
    if (is("unlinkat"))
        return check(unlinkat(AT_FDCWD, target, 0) == 0);
    if (is("remove"))
        return check(remove(target) == 0);
    if (is("rmdir"))
        return check(mkdir(beside, 0755) == 0 && rmdir(beside) == 0);
    if (is("remove-directory"))
        return check(mkdir(beside, 0755) == 0 && remove(beside) == 0);
#ifdef SYS_rename
    if (is("syscall-rename"))
        return check(syscall(SYS_rename, target, beside) == 0);
    if (is("syscall-link"))
        return check(syscall(SYS_link, target, beside) == 0);
    if (is("syscall-unlink"))
        return check(syscall(SYS_unlink, target) == 0);
    if (is("syscall-rmdir"))
        return check(mkdir(beside, 0755) == 0 && syscall(SYS_rmdir, beside) == 0);
#endif
#ifdef SYS_renameat
    if (is("syscall-renameat"))
        return check(syscall(SYS_renameat, AT_FDCWD, target, AT_FDCWD, beside) == 0);
#endif
    if (is("syscall-renameat2"))
        return check(syscall(SYS_renameat2, AT_FDCWD, target, AT_FDCWD, beside, 0) == 0);
    if (is("syscall-linkat"))
        return check(syscall(SYS_linkat, AT_FDCWD, target, AT_FDCWD, beside, 0) == 0);
    if (is("syscall-unlinkat"))
        return check(syscall(SYS_unlinkat, AT_FDCWD, target, 0) == 0);
    return -2;
}

/* A child writes, and its parent asks how it ended. */
static int wait_by_entry(void)
{
    int status = 1, fd = open(target, writing, 0644);
    siginfo_t info;
    pid_t pid = fd < 0 ? -1 : fork();
    if (pid == 0)
        _exit(say(fd) ? 0 : 1);
    if (pid < 0)
        return fail();
    pid_t ended = is("wait")        ? wait(&status)
                  : is("__wait")    ? __wait(&status)
                  : is("waitpid")   ? waitpid(pid, &status, 0)
                  : is("__waitpid") ? __waitpid(pid, &status, 0)
                  : is("wait3")     ? wait3(&status, 0, NULL)
                  : is("wait4")     ? wait4(pid, &status, 0, NULL)
#ifdef HAS_TIME64_NAMES
                  : is("__wait3_time64") ? __wait3_time64(&status, 0, NULL)
                  : is("__wait4_time64") ? __wait4_time64(pid, &status, 0, NULL)
#endif
#ifdef SYS_waitpid
                  : is("syscall-waitpid") ? (pid_t)syscall(SYS_waitpid, pid, &status, 0)
#endif
                                          : -2;
    if (ended == -2 && waitid(P_PID, (id_t)pid, &info, WEXITED) == 0) {
        ended = info.si_pid;
        status = info.si_status;
    }
    return check(ended == pid && status == 0 && close(fd) == 0);
}

/* A child that was only to wait, and was the last to be heard of. */
static int kill_by_entry(void)
{
    int status, ends[2], fd = open(target, writing, 0644);
    char byte;
    pid_t pid = fd < 0 || !say(fd) || pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
    if (pid == 0) {
        dup2(fd, 1);
        setpgid(0, 0);
        execl("/proc/self/exe", "victim", "sleeper", target, (char *)NULL);
        _exit(1);
    }
    if (pid < 0)
        return fail();
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 0) /* until it has become another program */
        return fail();
    int result = is("kill") ? kill(pid, SIGTERM) : is("killpg") ? killpg(pid, SIGTERM) : (int)syscall(SYS_kill, pid, SIGTERM);
    return check(result == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && close(fd) == 0);
}

static int exec_by_entry(void)
{
    char *const argv[] = { (char *)target, (char *)entry, NULL };
    if (is("execve"))
        execve(target, argv, environ);
    else if (is("execv"))
        execv(target, argv);
    else if (is("execvp"))
        execvp(target, argv);
    else if (is("execvpe"))
        execvpe(target, argv, environ);
    else if (is("execl"))
        execl(target, target, entry, (char *)NULL);
    else if (is("execle"))
        execle(target, target, entry, (char *)NULL, environ);
    else if (is("execlp"))
        execlp(target, target, entry, (char *)NULL);
    else if (is("fexecve"))
        fexecve(open(target, O_RDONLY | O_CLOEXEC), argv, environ);
#if __GLIBC_PREREQ(2, 34)
    else if (is("execveat"))
        execveat(AT_FDCWD, target, argv, environ, 0);
#endif
    else if (is("syscall-execve"))
        syscall(SYS_execve, target, argv, environ);
    else if (is("syscall-execveat"))
        syscall(SYS_execveat, AT_FDCWD, target, argv, environ, 0);
    else
        return 77;
    return fail();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    entry = argv[1];
    target = argv[2];

    errno = UNTOUCHED;
    int result = open_by_entry();
    if (result != -2)
        return check_untouched(result >= 0 && say(result) && close(result) == 0);
    if (is("truncate"))
        return check_untouched(truncate(target, 5) == 0);
    if (is("truncate64"))
        return check_untouched(truncate64(target, 5) == 0);
    if (is("syscall-truncate"))
        return check_untouched(syscall(SYS_truncate, target, 5) == 0);
#ifdef SYS_truncate64
    if (is("syscall-truncate64"))
        return check_untouched(syscall(SYS_truncate64, target, 5, 0) == 0);
#endif
    if ((result = name_by_entry()) != -2)
        return result;
    if (is("syscall-flock"))
        entry = "flock";
    if (is("ftruncate") || is("ftruncate64")) {
        char first[10];
        int old = open(target, O_RDONLY), fd = read(old, first, sizeof first) == sizeof first ? open(target, writing, 0644) : -1;
        return check(fd >= 0 && write(fd, first, sizeof first) == sizeof first &&
                     (is("ftruncate") ? ftruncate(fd, 5) : ftruncate64(fd, 5)) == 0 && close(fd) == 0);
    }
    if (strstr(entry, "wait"))
        return wait_by_entry();
    if (strstr(entry, "kill"))
        return kill_by_entry();
    if (is("sleeper"))
        return (int)sleep(60);
    if (strstr(entry, "fopen") || strstr(entry, "freopen") || is("fclose") || strstr(entry, "fflush") || strstr(entry, "clear") ||
        is("rewind"))
        return stdio_by_entry();
    if (strstr(entry, "stat"))
        return stat_by_entry();
    if (is("system") || is("popen"))
        return shell_by_entry();
    if (strstr(entry, "spawn") || is("exclusive"))
        return (result = spawn_by_entry()) == -2 ? 77 : result;
    if (strstr(entry, "exec"))
        return exec_by_entry();
    if ((result = write_by_entry()) != -2)
        return result;
    return (result = close_by_entry()) == -2 ? 77 : result;
}

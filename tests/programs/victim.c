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
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
int __fxstat(int, int, struct stat *);
int __fxstat64(int, int, struct stat64 *);
int __fxstatat(int, int, const char *, struct stat *, int);
int __fxstatat64(int, int, const char *, struct stat64 *, int);
#ifdef __cplusplus
}
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
    if (is("syscall-open"))
        return (int)syscall(SYS_open, target, writing, 0644);
    if (is("syscall-creat"))
        return (int)syscall(SYS_creat, target, 0644);
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
    if (is("close"))
        return check(close(fd) == 0);
    if (is("__close"))
        return check(__close(fd) == 0);
    if (is("dup2"))
        return check(dup2(other, fd) == fd);
    if (is("__dup2"))
        return check(__dup2(other, fd) == fd);
    if (is("dup3"))
        return check(dup3(other, fd, O_CLOEXEC) == fd);
#if __GLIBC_PREREQ(2, 34)
    if (is("close_range"))
        return check(close_range(3, ~0U, 0) == 0);
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
    if (is("syscall-exit"))
        return (int)syscall(SYS_exit, 0);
    if (is("syscall-close"))
        return check(syscall(SYS_close, fd) == 0);
    if (is("syscall-close_range"))
        return check(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    if (is("syscall-dup2"))
        return check(syscall(SYS_dup2, other, fd) == fd);
    if (is("syscall-dup3"))
        return check(syscall(SYS_dup3, other, fd, 0) == fd);
    if (is("syscall-exit_group"))
        return (int)syscall(SYS_exit_group, 0);
    return -2;
}

/* The entries that ask what a descriptor is: the same file as the path leads to, while it is open. */
static int stat_by_entry(void)
{
    struct stat path, opened;
    struct stat64 opened64;
    struct statx extended;
    int fd = open(target, writing, 0644);
    if (fd < 0 || !say(fd) || stat(target, &path) < 0)
        return fail();
    int result = is("fstat")          ? fstat(fd, &opened)
                 : is("fstat64")      ? fstat64(fd, &opened64)
                 : is("fstatat")      ? fstatat(fd, "", &opened, AT_EMPTY_PATH)
                 : is("fstatat64")    ? fstatat64(fd, "", &opened64, AT_EMPTY_PATH)
                 : is("__fxstat")     ? __fxstat(1, fd, &opened)
                 : is("__fxstat64")   ? __fxstat64(1, fd, &opened64)
                 : is("__fxstatat")   ? __fxstatat(1, fd, "", &opened, AT_EMPTY_PATH)
                 : is("__fxstatat64") ? __fxstatat64(1, fd, "", &opened64, AT_EMPTY_PATH)
                                      : statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended);
    ino_t inode = is("statx") ? (ino_t)extended.stx_ino : strstr(entry, "64") ? opened64.st_ino : opened.st_ino;
    if (result < 0 || inode != path.st_ino)
        return fprintf(stderr, "%s: inode %lu, by path %lu\n", entry, (unsigned long)inode, (unsigned long)path.st_ino), 1;
    return check(close(fd) == 0);
}

static int stdio_by_entry(void)
{
    FILE *stream = is("fopen") || is("fclose") ? fopen(target, "w")
                   : is("fopen64")             ? fopen64(target, "w")
                   : is("freopen")             ? freopen(target, "w", stdout)
                   : is("freopen64")           ? freopen64(target, "w", stdout)
                                               : NULL;
    if (!stream)
        return fail();
    if ((is("freopen") || is("freopen64")) && fileno(stream) != 1)
        return fprintf(stderr, "stdout moved to descriptor %d\n", fileno(stream)), 1;
    fprintf(stream, "%s\n", entry);
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
    if (is("posix_spawn_file_actions_addopen") || is("posix_spawn_file_actions_destroy") || is("posix_spawn_file_actions_init")) {
        posix_spawn_file_actions_addopen(&actions, 1, target, writing, 0644);
        result = spawned(posix_spawnp(&pid, "echo", &actions, NULL, writer, environ), &pid);
    } else if (is("posix_spawn_file_actions_addchdir_np")) {
        posix_spawn_file_actions_addchdir_np(&actions, "/");
        result = spawned(posix_spawn(&pid, target, &actions, NULL, argv, environ), &pid);
    } else if (is("posix_spawn_file_actions_addfchdir_np")) {
        int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        posix_spawn_file_actions_addfchdir_np(&actions, root);
        result = spawned(posix_spawn(&pid, target, &actions, NULL, argv, environ), &pid);
#if __GLIBC_PREREQ(2, 34)
    } else if (is("posix_spawn_file_actions_addclosefrom_np")) {
        posix_spawn_file_actions_addclosefrom_np(&actions, 100);
        result = spawned(posix_spawn(&pid, target, &actions, NULL, argv, environ), &pid);
#endif
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

    int result = open_by_entry();
    if (result != -2)
        return check(result >= 0 && say(result) && close(result) == 0);
    if (is("truncate"))
        return check(truncate(target, 5) == 0);
    if (is("truncate64"))
        return check(truncate64(target, 5) == 0);
    if (is("syscall-truncate"))
        return check(syscall(SYS_truncate, target, 5) == 0);
    if ((result = name_by_entry()) != -2)
        return result;
    if (is("syscall-flock"))
        entry = "flock";
    if (strstr(entry, "fopen") || strstr(entry, "freopen") || is("fclose"))
        return stdio_by_entry();
    if (strstr(entry, "stat"))
        return stat_by_entry();
    if (is("system") || is("popen"))
        return shell_by_entry();
    if (strstr(entry, "spawn") || is("exclusive"))
        return (result = spawn_by_entry()) == -2 ? 77 : result;
    if (strstr(entry, "exec"))
        return exec_by_entry();
    return (result = close_by_entry()) == -2 ? 77 : result;
}

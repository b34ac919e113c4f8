#include "enforce.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * libc's own definition: this command may itself run under the library, and what the kernel does is asked here, not what the
 * library makes of it.
 */
static void *libc_function(const char *name)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return libc ? dlsym(libc, name) : NULL;
}

static int kernel_open(const char *path)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))libc_function("open");
    return (real ? real : open)(path, O_WRONLY | O_CLOEXEC);
}

static void kernel_exec(const char *path)
{
    char *const argv[] = { "sh", NULL };
    int (*real)(const char *, char *const *) = (int (*)(const char *, char *const *))libc_function("execv");
    (real ? real : execv)(path, argv);
}

/* The shell, as itself: what a path in /bin leads to may be one program of many names. */
static int copy_shell(const char *path)
{
    char buffer[1 << 14];
    ssize_t got = -1;
    int from = open("/bin/sh", O_RDONLY | O_CLOEXEC), to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    while (from >= 0 && to >= 0 && (got = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, (size_t)got) != got) {
            got = -1;
            break;
        }
    int error = errno;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    errno = error;
    return got < 0 ? -1 : 0;
}

/*
 * Starts it with a pipe as its standard input, from which it reads commands until the pipe is closed. Returns its pid when it has
 * come to its exec, or -1 with the exec's errno.
 */
static pid_t start(const char *path, int *input)
{
    int commands[2], failed[2], error = 0;
    if (pipe2(commands, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(commands[0], 0);
        kernel_exec(path);
        error = errno;
        _exit(write(failed[1], &error, sizeof error) < 0);
    }
    close(commands[0]);
    close(failed[1]);
    if (pid > 0 && read(failed[0], &error, sizeof error) == sizeof error) {
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(failed[0]);
    if (pid < 0)
        close(commands[1]);
    else
        *input = commands[1];
    errno = error;
    return pid;
}

static void stop(pid_t pid, int input)
{
    close(input);
    waitpid(pid, NULL, 0);
}

static enum enforcement probe_write(const char *path, int *error)
{
    int input;
    pid_t pid = start(path, &input);
    if (pid < 0) {
        *error = errno;
        return ENFORCEMENT_UNKNOWN;
    }
    int fd = kernel_open(path);
    enum enforcement found = fd >= 0 ? NOT_ENFORCED : errno == ETXTBSY ? ENFORCED : ENFORCEMENT_UNKNOWN;
    *error = errno;
    if (fd >= 0)
        close(fd);
    stop(pid, input);
    return found;
}

static enum enforcement probe_exec(const char *path, int *error)
{
    int input, writer = kernel_open(path);
    if (writer < 0) {
        *error = errno;
        return ENFORCEMENT_UNKNOWN;
    }
    pid_t pid = start(path, &input);
    enum enforcement found = pid >= 0 ? NOT_ENFORCED : errno == ETXTBSY ? ENFORCED : ENFORCEMENT_UNKNOWN;
    if (found == ENFORCEMENT_UNKNOWN)
        *error = errno;
    close(writer);
    if (pid >= 0)
        stop(pid, input);
    return found;
}

struct enforce enforce_probe(const char *directory)
{
    struct enforce probe = { ENFORCEMENT_UNKNOWN, ENFORCEMENT_UNKNOWN, 0 };
    char own[PATH_MAX], path[PATH_MAX + 8];
    if (snprintf(own, sizeof own, "%s/.etxtbsy-doctor-XXXXXX", directory) >= (int)sizeof own || !mkdtemp(own)) {
        probe.error = errno;
        return probe;
    }
    snprintf(path, sizeof path, "%s/sh", own);
    if (copy_shell(path) < 0) {
        probe.error = errno;
    } else {
        probe.write = probe_write(path, &probe.error);
        probe.exec = probe_exec(path, &probe.error);
    }
    unlink(path);
    rmdir(own);
    return probe;
}

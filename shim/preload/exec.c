#include <stdarg.h>
#include <unistd.h>

#include "../remedy/run.h"
#include "entries.h"

static int attempt_exec(const struct run *run)
{
    if (run->searches)
        NEXT(execvpe)(run->path, run->argv, run->envp);
    else
        NEXT(execve)(run->path, run->argv, run->envp);
    return errno;
}

static int attempt_fexecve(const struct run *run)
{
    NEXT(fexecve)(run->dirfd, run->argv, run->envp);
    return errno;
}

static int start(struct run run, run_attempt *attempt)
{
    errno = run_program(&run, attempt);
    return -1;
}

static int start_path(const char *op, const char *path, char *const argv[], char *const envp[])
{
    return start((struct run){ .op = op, .dirfd = AT_FDCWD, .path = path, .argv = argv, .envp = envp }, attempt_exec);
}

static int start_search(const char *op, const char *file, char *const argv[], char *const envp[])
{
    return start((struct run){ .op = op, .dirfd = AT_FDCWD, .path = file, .searches = true, .argv = argv, .envp = envp },
                 attempt_exec);
}

int wrap_execve(const char *path, char *const argv[], char *const envp[])
{
    return start_path("execve", path, argv, envp);
}

int wrap_execv(const char *path, char *const argv[])
{
    return start_path("execv", path, argv, environ);
}

int wrap_execvp(const char *file, char *const argv[])
{
    return start_search("execvp", file, argv, environ);
}

int wrap_execvpe(const char *file, char *const argv[], char *const envp[])
{
    return start_search("execvpe", file, argv, envp);
}

int wrap_fexecve(int fd, char *const argv[], char *const envp[])
{
    return start((struct run){ .op = "fexecve", .dirfd = fd, .path = "", .flags = AT_EMPTY_PATH, .argv = argv, .envp = envp },
                 attempt_fexecve);
}

#if __GLIBC_PREREQ(2, 34)
static int attempt_execveat(const struct run *run)
{
    NEXT(execveat)(run->dirfd, run->path, run->argv, run->envp, run->flags);
    return errno;
}

int wrap_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
    return start((struct run){ .op = "execveat", .dirfd = dirfd, .path = path, .flags = flags, .argv = argv, .envp = envp },
                 attempt_execveat);
}
#endif

/* The lists of execl and its like end with a null pointer; behind that, execle has the environment. */
static size_t list_length(const char *arg, va_list rest)
{
    size_t length = 0;
    for (; arg; arg = va_arg(rest, const char *))
        length++;
    return length;
}

static void list_copy(char **argv, size_t length, const char *arg, va_list *rest)
{
    for (size_t i = 0; i < length; i++, arg = va_arg(*rest, const char *))
        argv[i] = (char *)arg;
    argv[length] = NULL;
}

int wrap_execl(const char *path, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    size_t length = list_length(arg, rest);
    va_end(rest);
    char *argv[length + 1];
    va_start(rest, arg);
    list_copy(argv, length, arg, &rest);
    va_end(rest);
    return start_path("execl", path, argv, environ);
}

int wrap_execlp(const char *file, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    size_t length = list_length(arg, rest);
    va_end(rest);
    char *argv[length + 1];
    va_start(rest, arg);
    list_copy(argv, length, arg, &rest);
    va_end(rest);
    return start_search("execlp", file, argv, environ);
}

int wrap_execle(const char *path, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    size_t length = list_length(arg, rest);
    va_end(rest);
    char *argv[length + 1];
    va_start(rest, arg);
    list_copy(argv, length, arg, &rest);
    char *const *envp = va_arg(rest, char *const *);
    va_end(rest);
    return start_path("execle", path, argv, envp);
}

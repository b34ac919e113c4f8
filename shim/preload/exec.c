#include <stdarg.h>
#include <unistd.h>

#include "../remedy/run.h"
#include "../sys/process.h"
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
    return start_path("execv", path, argv, process_environment());
}

int wrap_execvp(const char *file, char *const argv[])
{
    return start_search("execvp", file, argv, process_environment());
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
    if (unlikely(flags & AT_EXECVE_CHECK))
        return NEXT(execveat)(dirfd, path, argv, envp, flags);
    return start((struct run){ .op = "execveat", .dirfd = dirfd, .path = path, .flags = flags, .argv = argv, .envp = envp },
                 attempt_execveat);
}
#endif

static size_t list_length(const char *arg, va_list rest)
{
    size_t length = 0;
    for (; arg; arg = va_arg(rest, const char *))
        length++;
    return length;
}

/* The lists of execl and its like end with a null pointer; behind that, execle has the environment. */
enum list { LIST, LIST_AND_ENVIRONMENT, LIST_SEARCH };

static int start_list(const char *op, enum list kind, const char *path, const char *arg, va_list rest)
{
    va_list counted;
    va_copy(counted, rest);
    size_t length = list_length(arg, counted);
    va_end(counted);

    char *argv[length + 1];
    for (size_t i = 0; i < length; i++, arg = va_arg(rest, const char *))
        argv[i] = (char *)arg;
    argv[length] = NULL;
    if (kind == LIST_SEARCH)
        return start_search(op, path, argv, process_environment());
    return start_path(op, path, argv, kind == LIST ? process_environment() : va_arg(rest, char *const *));
}

int wrap_execl(const char *path, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    int result = start_list("execl", LIST, path, arg, rest);
    va_end(rest);
    return result;
}

int wrap_execle(const char *path, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    int result = start_list("execle", LIST_AND_ENVIRONMENT, path, arg, rest);
    va_end(rest);
    return result;
}

int wrap_execlp(const char *file, const char *arg, ...)
{
    va_list rest;
    va_start(rest, arg);
    int result = start_list("execlp", LIST_SEARCH, file, arg, rest);
    va_end(rest);
    return result;
}

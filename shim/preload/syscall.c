#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../remedy/refuse.h"
#include "../remedy/release.h"
#include "../remedy/run.h"
#include "../remedy/write.h"
#include "../sys/process.h"
#include "entries.h"

/*
 * syscall(): the calls that programs make past libc's own functions, libuv's close among them. The arguments are passed on
 * as they came, six words always, so the wrapper of any other call is a comparison and a jump.
 */

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    return NEXT(syscall)(number, a, b, c, d, e, f);
}

static long answer_open(long fd, int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    if (fd >= 0 && stage_known_count && (flags & O_ACCMODE) != O_RDONLY)
        stage_join_opened((int)fd);
    if (fd >= 0 || errno != ETXTBSY)
        return fd;
    return write_open(
        &(struct write_open){ .op = "syscall", .dirfd = dirfd, .path = path, .flags = flags, .mode = mode, .resolve = resolve });
}

static int attempt_exec(const struct run *run)
{
    call(SYS_execve, (long)run->path, (long)run->argv, (long)run->envp, 0, 0, 0);
    return errno;
}

static int attempt_execveat(const struct run *run)
{
    call(SYS_execveat, run->dirfd, (long)run->path, (long)run->argv, (long)run->envp, run->flags, 0);
    return errno;
}

static long start(struct run run, run_attempt *attempt)
{
    errno = run_program(&run, attempt);
    return -1;
}

static long close_over(long number, int fd, long a, long b, long c)
{
    struct stage_release release;
    stage_release_begin(&release, fd);
    long result = call(number, a, b, c, 0, 0, 0);
    return number == SYS_close ? release_end(&release, "syscall", (int)result) : release_over(&release, "syscall", (int)result);
}

long wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    switch (number) {
#ifdef SYS_open
    case SYS_open:
        return answer_open(call(number, a, b, c, d, e, f), AT_FDCWD, (const char *)a, (int)b, (mode_t)c, 0);
    case SYS_creat:
        return answer_open(call(number, a, b, c, d, e, f), AT_FDCWD, (const char *)a, O_WRONLY | O_CREAT | O_TRUNC, (mode_t)b, 0);
    case SYS_dup2:
        return unlikely(stage_known_count) ? close_over(number, (int)b, a, b, 0) : call(number, a, b, c, d, e, f);
#endif
    case SYS_openat:
        return answer_open(call(number, a, b, c, d, e, f), (int)a, (const char *)b, (int)c, (mode_t)d, 0);
    case SYS_openat2: {
        long fd = call(number, a, b, c, d, e, f);
        const struct open_how *how = (const struct open_how *)c;
        if (likely((fd >= 0 && !stage_known_count) || (fd < 0 && errno != ETXTBSY)))
            return fd;
        return answer_open(fd, (int)a, (const char *)b, (int)how->flags, (mode_t)how->mode, how->resolve);
    }
    case SYS_truncate: {
        long result = call(number, a, b, c, d, e, f);
        return result < 0 && errno == ETXTBSY ? write_truncate("syscall", (const char *)a, b) : result;
    }
    case SYS_close:
        return unlikely(stage_known_count) ? close_over(number, (int)a, a, 0, 0) : call(number, a, b, c, d, e, f);
    case SYS_dup3:
        return unlikely(stage_known_count) ? close_over(number, (int)b, a, b, c) : call(number, a, b, c, d, e, f);
    case SYS_close_range:
        if (unlikely(stage_known_count) && !(int)c && (unsigned)a <= (unsigned)b)
            release_range("syscall", (unsigned)a, (unsigned)b);
        break;
    case SYS_flock:
        return wrap_flock((int)a, (int)b);
    case SYS_exit: /* of the last thread is the end of the process */
        if (unlikely(stage_known_count) && (process_threads() == 1 || process_borrows_memory()))
            release_all("syscall", STAGE_AT_EXIT);
        break;
    case SYS_exit_group:
        if (unlikely(stage_known_count))
            release_all("syscall", STAGE_AT_EXIT);
        break;
    case SYS_execve:
        return start(
            (struct run){
                .op = "syscall", .dirfd = AT_FDCWD, .path = (const char *)a, .argv = (char *const *)b, .envp = (char *const *)c },
            attempt_exec);
    case SYS_execveat:
        return start((struct run){ .op = "syscall",
                                   .dirfd = (int)a,
                                   .path = (const char *)b,
                                   .argv = (char *const *)c,
                                   .envp = (char *const *)d,
                                   .flags = (int)e },
                     attempt_execveat);
    case SYS_io_uring_setup:
        if (refuse_io_uring()) {
            errno = ENOSYS;
            return -1;
        }
        break;
    default:
        break;
    }
    return call(number, a, b, c, d, e, f);
}

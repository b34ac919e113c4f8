#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../policy/policy.h"
#include "../remedy/failure.h"
#include "../remedy/refuse.h"
#include "../remedy/release.h"
#include "../remedy/rename.h"
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

static long answer_open(long fd, int before, const struct write_open *open)
{
    if (fd >= 0 && stage_known_count && (open->flags & O_ACCMODE) != O_RDONLY)
        stage_join_opened((int)fd);
    if (fd >= 0 || errno != ETXTBSY)
        return fd;
    fd = write_open(open);
    if (fd >= 0)
        errno = before;
    return fd;
}

static long open_by(long number, long a, long b, long c, long d, const struct write_open *open)
{
    int before = errno, fd = write_is_foreseen(open->flags) ? write_open_forestalled(open) : -1;
    return fd >= 0 ? fd : answer_open(call(number, a, b, c, d, 0, 0), before, open);
}

static struct write_open request(int dirfd, long path, long flags, long mode)
{
    return (struct write_open){
        .op = "syscall", .dirfd = dirfd, .path = (const char *)path, .flags = (int)flags, .mode = (mode_t)mode
    };
}

/* Asks by a call that opens nothing: the kernel copies and examines `how` before it looks at a descriptor that there isn't. */
static bool is_good_how(const struct open_how *how, long size)
{
    int before = errno;
    bool is_good = call(SYS_openat2, -1, (long)".", (long)how, size, 0, 0) < 0 && errno == EBADF;
    errno = before;
    return is_good;
}

/* The caller's open_how is looked at only when the kernel could read it. */
static long open_by_how(long a, long b, const struct open_how *how, long size)
{
    bool foreseen = unlikely(stage_known_count || policy_foresight() & POLICY_ATOMIC) && is_good_how(how, size);
    int before = errno;
    long fd = foreseen ? -1 : call(SYS_openat2, a, b, (long)how, size, 0, 0);
    if (likely(!foreseen && ((fd >= 0 && !stage_known_count) || (fd < 0 && errno != ETXTBSY))))
        return fd;
    struct write_open open = request((int)a, b, (long)how->flags, (long)how->mode);
    open.resolve = how->resolve;
    return foreseen ? open_by(SYS_openat2, a, b, (long)how, size, &open) : answer_open(fd, before, &open);
}

static long change_name(int dirfd, long path, int newdirfd, long new_path, long number, const long argument[5])
{
    struct rename_call rename = {
        .op = "syscall", .dirfd = dirfd, .path = (const char *)path, .newdirfd = newdirfd, .new_path = (const char *)new_path
    };
    long result;
    do
        result = call(number, argument[0], argument[1], argument[2], argument[3], argument[4], 0);
    while (rename_again(&rename, result));
    return result;
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

/* As the wrappers in write.c do. */
static long answer_write(long result, int fd)
{
    if (unlikely(stage_known_count && result < 0))
        failure_of_write("syscall", fd, errno);
    return result;
}

/* As the wrappers in wait.c do; libc's own functions are cancellation points, which syscall() isn't. */
static long wait_by(long number, long which, int *status, long options, long usage)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited((pid_t)call(number, which, (long)status, options, usage, 0, 0), status);
}

/* The same; libc's waitid has no place for the usage. */
static long wait_by_id(long kind, long which, siginfo_t *info, long options, long usage)
{
    siginfo_t own = { 0 };
    info = info ? info : &own;
    return preload_told((int)call(SYS_waitid, kind, which, (long)info, options, usage, 0), info);
}

/* The length as a number, and as the words that it came in. */
static long truncate_to(long number, const char *path, int64_t length, long b, long c)
{
    int done, before = errno;
    if (write_truncate_forestalled("syscall", path, length, &done))
        return done;
    long result = call(number, (long)path, b, c, 0, 0, 0);
    if (result == 0 || errno != ETXTBSY)
        return result;
    result = write_truncate("syscall", path, length);
    if (result == 0)
        errno = before;
    return result;
}

long wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    struct write_open open;
    switch (number) {
#ifdef SYS_open
    case SYS_open:
        open = request(AT_FDCWD, a, b, c);
        return open_by(number, a, b, c, 0, &open);
    case SYS_creat:
        open = request(AT_FDCWD, a, O_WRONLY | O_CREAT | O_TRUNC, b);
        return open_by(number, a, b, 0, 0, &open);
    case SYS_dup2:
        return unlikely(stage_known_count) ? close_over(number, (int)b, a, b, 0) : call(number, a, b, c, d, e, f);
#endif
    case SYS_openat:
        open = request((int)a, b, c, d);
        return open_by(number, a, b, c, d, &open);
    case SYS_openat2:
        return open_by_how(a, b, (const struct open_how *)c, d);
    case SYS_truncate:
        return truncate_to(number, (const char *)a, b, b, c);
#ifdef SYS_rename
    case SYS_rename:
        return change_name(AT_FDCWD, a, AT_FDCWD, b, number, (long[]){ a, b, c, d, e });
    case SYS_link:
    case SYS_unlink:
    case SYS_rmdir:
        return change_name(AT_FDCWD, a, 0, 0, number, (long[]){ a, b, c, d, e });
#endif
#ifdef SYS_renameat
    case SYS_renameat:
#endif
    case SYS_renameat2:
        return change_name((int)a, b, (int)c, d, number, (long[]){ a, b, c, d, e });
    case SYS_linkat:
    case SYS_unlinkat:
        return change_name((int)a, b, 0, 0, number, (long[]){ a, b, c, d, e });
    case SYS_close:
        return unlikely(stage_known_count) ? close_over(number, (int)a, a, 0, 0) : call(number, a, b, c, d, e, f);
    case SYS_dup3:
        return unlikely(stage_known_count) ? close_over(number, (int)b, a, b, c) : call(number, a, b, c, d, e, f);
    case SYS_close_range:
        if (unlikely(stage_known_count))
            release_range("syscall", (unsigned)a, (unsigned)b, (int)c);
        break;
    case SYS_fallocate:
        if ((int)b == FALLOC_FL_KEEP_SIZE)
            break;
        /* fall through */
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_sendfile:
    case SYS_ftruncate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_sync_file_range:
#ifdef __i386__
    case SYS_sendfile64:
    case SYS_ftruncate64:
#endif
        return answer_write(call(number, a, b, c, d, e, f), (int)a);
    case SYS_copy_file_range:
    case SYS_splice:
        return answer_write(call(number, a, b, c, d, e, f), (int)c);
#ifdef __i386__
    case SYS_truncate64: /* the low word first */
        return truncate_to(number, (const char *)a, (int64_t)c << 32 | (uint32_t)b, b, c);
    case SYS_waitpid:
        return wait_by(number, a, (int *)b, c, 0);
#endif
    case SYS_wait4:
        return wait_by(number, a, (int *)b, c, d);
    case SYS_waitid:
        return wait_by_id(a, b, (siginfo_t *)c, d, e);
    case SYS_kill:
        preload_kill((pid_t)a, (int)b);
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
        if (unlikely((int)e & AT_EXECVE_CHECK))
            break;
        return start((struct run){ .op = "syscall",
                                   .dirfd = (int)a,
                                   .path = (const char *)b,
                                   .argv = (char *const *)c,
                                   .envp = (char *const *)d,
                                   .flags = (int)e },
                     attempt_execveat);
    case SYS_setuid:
    case SYS_setreuid:
    case SYS_setresuid:
    case SYS_setfsuid:
    case SYS_setgid:
    case SYS_setregid:
    case SYS_setresgid:
    case SYS_setfsgid:
    case SYS_setgroups:
#ifdef __i386__
    case SYS_setuid32:
    case SYS_setreuid32:
    case SYS_setresuid32:
    case SYS_setfsuid32:
    case SYS_setgid32:
    case SYS_setregid32:
    case SYS_setresgid32:
    case SYS_setfsgid32:
    case SYS_setgroups32:
#endif
    case SYS_capset:
    case SYS_chroot:
    case SYS_pivot_root:
    case SYS_landlock_restrict_self: /* what it forbids from then on may be the rename, and the look for who holds the file */
        preload_settle("syscall");
        break;
    case SYS_unshare:
        preload_settle_unshare("syscall", (int)a);
        break;
    case SYS_setns:
        preload_settle_setns("syscall", (int)b);
        break;
    case SYS_prctl:
        preload_settle_prctl("syscall", (int)a, (unsigned long)b);
        break;
    case SYS_seccomp:
        if ((unsigned)a <= SECCOMP_SET_MODE_FILTER)
            preload_settle("syscall");
        break;
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

/*
 * The system calls that the shim makes, each as one line over one replaceable function.
 *
 * Every call goes through one pointer, so that a unit test can make the third rename fail; it leads past the shim's own
 * wrappers into the kernel.
 *
 * All of it may be called from anywhere: before constructors, in a signal handler, in a vfork child. Nothing allocates
 * and nothing is a cancellation point. Failure is -1 and errno, as in libc.
 */
#ifndef SYS_CALL_H
#define SYS_CALL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

/* The function that every system call goes through. */
typedef long sys_function(long number, long a, long b, long c, long d, long e, long f);
extern sys_function *sys_entry __attribute__((visibility("hidden")));

/* sys_call(number, …): up to six arguments, numbers or pointers; those that are left out are 0. */
#define sys_call(...) SYS_PAD(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_PAD(number, a, b, c, d, e, f, ...)                                                                                     \
    sys_padded((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The same for calls that have no more arguments: not to pass three zeros makes each place that calls it shorter. */
long sys_short(long number, long a, long b, long c);

static inline __attribute__((always_inline)) long sys_padded(long number, long a, long b, long c, long d, long e, long f)
{
    bool is_short = __builtin_constant_p(d | e | f) && !(d | e | f);
    return is_short ? sys_short(number, a, b, c) : sys_entry(number, a, b, c, d, e, f);
}

/* Calls that this libc may be too old to know; their numbers are the same on all machines. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/*
 * For what runs in every process that starts: it stands together, right behind the tables that ld.so reads, and uses no constant
 * that stands elsewhere, so that the kernel has to bring in one piece of the library alone (it maps 64 KiB at a page fault).
 */
#define AT_START __attribute__((section(".text.startup")))
#define AT_START_STRING __attribute__((section(".text.startup.strings"))) /* of an array: a literal stands elsewhere */

/* For somebody else, who may ask for the flags: with these and no others. */
static inline int sys_openat_as(int dirfd, const char *path, int flags, mode_t mode)
{
    return (int)sys_call(SYS_openat, dirfd, path, flags, mode);
}

/* For the shim: glibc's O_LARGEFILE is 0 on 64-bit machines, where files of any size can be opened without it. */
static inline int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    return sys_openat_as(dirfd, path, flags | O_LARGEFILE, mode);
}

static inline int sys_close(int fd)
{
    return (int)sys_call(SYS_close, fd);
}

/* Closes one of the shim's own descriptors on the way out of a function that has an errno to report. */
static inline void sys_close_quietly(int fd)
{
    int saved = errno;
    if (fd >= 0)
        sys_close(fd);
    errno = saved;
}

static inline int sys_statx(int dirfd, const char *path, int flags, struct statx *answer)
{
    return (int)sys_call(SYS_statx, dirfd, path, flags, STATX_BASIC_STATS, answer);
}

static inline int sys_fstat(int fd, struct statx *answer)
{
    const char empty = '\0'; /* not a literal: see AT_START */
    return sys_statx(fd, &empty, AT_EMPTY_PATH, answer);
}

/* Whether the effective ids may, as open and execve ask; kernels before 5.8 know only the real ones. */
static inline bool sys_may_access(int dirfd, const char *path, int mode)
{
    long result = sys_call(SYS_faccessat2, dirfd, path, mode, AT_EACCESS);
    return result == 0 || (errno == ENOSYS && sys_call(SYS_faccessat, dirfd, path, mode) == 0);
}

static inline int sys_flock(int fd, int operation)
{
    return (int)sys_call(SYS_flock, fd, operation);
}

static inline int sys_fcntl(int fd, int command, long argument)
{
#ifdef __i386__
    return (int)sys_call(SYS_fcntl64, fd, command, argument);
#else
    return (int)sys_call(SYS_fcntl, fd, command, argument);
#endif
}

static inline int sys_dup3(int oldfd, int newfd, int flags)
{
    return (int)sys_call(SYS_dup3, oldfd, newfd, flags);
}

static inline ssize_t sys_readlink(const char *path, char *buffer, size_t size)
{
    return sys_call(SYS_readlinkat, AT_FDCWD, path, buffer, size);
}

static inline int sys_renameat(int olddirfd, const char *old, int newdirfd, const char *new)
{
    return (int)sys_call(SYS_renameat2, olddirfd, old, newdirfd, new, 0);
}

static inline int sys_linkat(int olddirfd, const char *old, int newdirfd, const char *new, int flags)
{
    return (int)sys_call(SYS_linkat, olddirfd, old, newdirfd, new, flags);
}

static inline int sys_unlinkat(int dirfd, const char *path)
{
    return (int)sys_call(SYS_unlinkat, dirfd, path, 0);
}

static inline ssize_t sys_read(int fd, void *buffer, size_t size)
{
    return sys_call(SYS_read, fd, buffer, size);
}

static inline ssize_t sys_write(int fd, const void *buffer, size_t size)
{
    return sys_call(SYS_write, fd, buffer, size);
}

static inline ssize_t sys_copy_file_range(int from, int to, size_t size)
{
    return sys_call(SYS_copy_file_range, from, 0L, to, 0L, size, 0);
}

static inline int sys_ioctl(int fd, unsigned long request, long argument)
{
    return (int)sys_call(SYS_ioctl, fd, request, argument);
}

static inline int sys_fsync(int fd)
{
    return (int)sys_call(SYS_fsync, fd);
}

static inline int sys_fdatasync(int fd)
{
    return (int)sys_call(SYS_fdatasync, fd);
}

static inline int sys_fchmod(int fd, mode_t mode)
{
    return (int)sys_call(SYS_fchmod, fd, mode);
}

static inline int sys_fchown(int fd, uid_t uid, gid_t gid)
{
#ifdef __i386__
    return (int)sys_call(SYS_fchown32, fd, uid, gid);
#else
    return (int)sys_call(SYS_fchown, fd, uid, gid);
#endif
}

static inline int sys_set_times(int fd, const struct statx *file)
{
    const struct statx_timestamp *atime = &file->stx_atime, *mtime = &file->stx_mtime;
#ifdef SYS_utimensat_time64 /* where time_t may have 32 bits; since Linux 5.1 */
    int64_t long_times[2][2] = { { atime->tv_sec, atime->tv_nsec }, { mtime->tv_sec, mtime->tv_nsec } };
    if (sys_call(SYS_utimensat_time64, fd, NULL, long_times, 0) == 0)
        return 0;
    if (errno != ENOSYS)
        return -1;
#endif
    struct timespec times[2] = { { (time_t)atime->tv_sec, atime->tv_nsec }, { (time_t)mtime->tv_sec, mtime->tv_nsec } };
    return (int)sys_call(SYS_utimensat, fd, NULL, times, 0);
}

static inline int sys_ftruncate(int fd, int64_t length)
{
#ifdef __i386__
    return (int)sys_call(SYS_ftruncate64, fd, (long)length, (long)(length >> 32));
#else
    return (int)sys_call(SYS_ftruncate, fd, length);
#endif
}

static inline int64_t sys_lseek(int fd, int64_t offset, int whence)
{
#ifdef __i386__
    int64_t result = -1;
    return sys_call(SYS__llseek, fd, (long)(offset >> 32), (long)offset, &result, whence) ? -1 : result;
#else
    return sys_call(SYS_lseek, fd, offset, whence);
#endif
}

static inline ssize_t sys_getdents(int fd, void *buffer, size_t size)
{
    return sys_call(SYS_getdents64, fd, buffer, size);
}

/* Zeroed memory, private to this process or (MAP_SHARED) shared with the children that it forks; NULL with errno where there is
 * none. */
static inline void *sys_map(size_t size, int sharing)
{
#ifdef __i386__
    const long number = SYS_mmap2;
#else
    const long number = SYS_mmap;
#endif
    long address = sys_call(number, 0L, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1L, 0L);
    return address == -1 ? NULL : (void *)address;
}

static inline void sys_unmap(void *memory, size_t size)
{
    sys_call(SYS_munmap, memory, size);
}

static inline pid_t sys_getpid(void)
{
    return (pid_t)sys_call(SYS_getpid);
}

static inline pid_t sys_gettid(void)
{
    return (pid_t)sys_call(SYS_gettid);
}

static inline uid_t sys_geteuid(void)
{
#ifdef __i386__
    return (uid_t)sys_call(SYS_geteuid32);
#else
    return (uid_t)sys_call(SYS_geteuid);
#endif
}

static inline uid_t sys_getuid(void)
{
#ifdef __i386__
    return (uid_t)sys_call(SYS_getuid32);
#else
    return (uid_t)sys_call(SYS_getuid);
#endif
}

static inline gid_t sys_getgid(void)
{
#ifdef __i386__
    return (gid_t)sys_call(SYS_getgid32);
#else
    return (gid_t)sys_call(SYS_getgid);
#endif
}

static inline gid_t sys_getegid(void)
{
#ifdef __i386__
    return (gid_t)sys_call(SYS_getegid32);
#else
    return (gid_t)sys_call(SYS_getegid);
#endif
}

/* One number for a device, comparable with others of this kind only. */
static inline uint64_t sys_device(const struct statx *file)
{
    return (uint64_t)file->stx_dev_major << 32 | file->stx_dev_minor;
}

static inline bool sys_is_later(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static inline bool sys_is_same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static inline bool sys_same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && sys_device(a) == sys_device(b);
}

#endif

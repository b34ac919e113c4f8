#include <fcntl.h>

#include "../policy/policy.h"
#include "../remedy/write.h"
#include "../stage/stage.h"
#include "entries.h"

/*
 * What is done with an answer of the kernel. Only a refusal, or in a process that has a stage the reopening of one by its
 * own name, is our business. A call that succeeds after all leaves the errno from before it, not that of the refusal.
 */
ASIDE int mind(int fd, int before, const char *op, int dirfd, const char *path, int flags, mode_t mode)
{
    if (fd >= 0) {
        if ((flags & O_ACCMODE) != O_RDONLY)
            stage_join_opened(fd);
        return fd;
    }
    if (errno != ETXTBSY)
        return fd;
    fd = write_open(&(struct write_open){ .op = op, .dirfd = dirfd, .path = path, .flags = flags, .mode = mode });
    if (fd >= 0)
        errno = before;
    return fd;
}

/* Part of each wrapper: what is put aside is compiled for size, and would call it. */
#define INSIDE static inline __attribute__((always_inline))

INSIDE int answer(int fd, int before, const char *op, int dirfd, const char *path, int flags, mode_t mode)
{
    return likely(fd >= 0 && !stage_known_count) ? fd : mind(fd, before, op, dirfd, path, flags, mode);
}

/* Only a regular file that is being executed is refused, and only to a writer. */
INSIDE bool is_reader(int flags)
{
    return !(flags & (O_ACCMODE | O_TRUNC));
}

/*
 * Whether the policy may want a stage before the kernel is asked: for an open that empties the file; and once a stage has been
 * made that way, for a second open of its target.
 */
INSIDE bool is_foreseen(int flags)
{
    return unlikely(flags & O_TRUNC || (stage_known_count && !is_reader(flags))) && unlikely(policy_foresight() & POLICY_ATOMIC);
}

ASIDE int forestall(const char *op, int dirfd, const char *path, int flags, mode_t mode)
{
    return write_open_atomic(&(struct write_open){ .op = op, .dirfd = dirfd, .path = path, .flags = flags, .mode = mode });
}

ASIDE int watch_open(const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("open", AT_FDCWD, path, flags, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(open)(path, flags, mode), before, "open", AT_FDCWD, path, flags, mode);
}

int wrap_open(const char *path, int flags, mode_t mode)
{
    return likely(is_reader(flags) && next.open) ? next.open(path, flags, mode) : watch_open(path, flags, mode);
}

ASIDE int watch_open64(const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("open64", AT_FDCWD, path, flags | O_LARGEFILE, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(open64)(path, flags, mode), before, "open64", AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int wrap_open64(const char *path, int flags, mode_t mode)
{
    return likely(is_reader(flags) && next.open64) ? next.open64(path, flags, mode) : watch_open64(path, flags, mode);
}

int wrap___open(const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__open", AT_FDCWD, path, flags, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(__open)(path, flags, mode), before, "__open", AT_FDCWD, path, flags, mode);
}

int wrap___open64(const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__open64", AT_FDCWD, path, flags | O_LARGEFILE, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(__open64)(path, flags, mode), before, "__open64", AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

ASIDE int watch_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("openat", dirfd, path, flags, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(openat)(dirfd, path, flags, mode), before, "openat", dirfd, path, flags, mode);
}

int wrap_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    return likely(is_reader(flags) && next.openat) ? next.openat(dirfd, path, flags, mode) : watch_openat(dirfd, path, flags, mode);
}

ASIDE int watch_openat64(int dirfd, const char *path, int flags, mode_t mode)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("openat64", dirfd, path, flags | O_LARGEFILE, mode) : -1;
    return fd >= 0 ? fd
                   : answer(NEXT(openat64)(dirfd, path, flags, mode), before, "openat64", dirfd, path, flags | O_LARGEFILE, mode);
}

int wrap_openat64(int dirfd, const char *path, int flags, mode_t mode)
{
    return likely(is_reader(flags) && next.openat64) ? next.openat64(dirfd, path, flags, mode)
                                                     : watch_openat64(dirfd, path, flags, mode);
}

#define CREAT_FLAGS (O_WRONLY | O_CREAT | O_TRUNC)

int wrap_creat(const char *path, mode_t mode)
{
    int before = errno, fd = is_foreseen(CREAT_FLAGS) ? forestall("creat", AT_FDCWD, path, CREAT_FLAGS, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(creat)(path, mode), before, "creat", AT_FDCWD, path, CREAT_FLAGS, mode);
}

int wrap_creat64(const char *path, mode_t mode)
{
    int before = errno, fd = is_foreseen(CREAT_FLAGS) ? forestall("creat64", AT_FDCWD, path, CREAT_FLAGS | O_LARGEFILE, mode) : -1;
    return fd >= 0 ? fd : answer(NEXT(creat64)(path, mode), before, "creat64", AT_FDCWD, path, CREAT_FLAGS | O_LARGEFILE, mode);
}

/* The fortified names, called where the compiler sees no mode: libc's own check for one runs first. */
int wrap___open_2(const char *path, int flags)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__open_2", AT_FDCWD, path, flags, 0) : -1;
    return fd >= 0 ? fd : answer(NEXT(__open_2)(path, flags), before, "__open_2", AT_FDCWD, path, flags, 0);
}

int wrap___open64_2(const char *path, int flags)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__open64_2", AT_FDCWD, path, flags | O_LARGEFILE, 0) : -1;
    return fd >= 0 ? fd : answer(NEXT(__open64_2)(path, flags), before, "__open64_2", AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

int wrap___openat_2(int dirfd, const char *path, int flags)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__openat_2", dirfd, path, flags, 0) : -1;
    return fd >= 0 ? fd : answer(NEXT(__openat_2)(dirfd, path, flags), before, "__openat_2", dirfd, path, flags, 0);
}

int wrap___openat64_2(int dirfd, const char *path, int flags)
{
    int before = errno, fd = is_foreseen(flags) ? forestall("__openat64_2", dirfd, path, flags | O_LARGEFILE, 0) : -1;
    return fd >= 0 ? fd
                   : answer(NEXT(__openat64_2)(dirfd, path, flags), before, "__openat64_2", dirfd, path, flags | O_LARGEFILE, 0);
}

#include <fcntl.h>

#include "../remedy/write.h"
#include "../stage/stage.h"
#include "entries.h"

/*
 * What is done with an answer of the kernel. Only a refusal, or in a process that has a stage the reopening of one by its
 * own name, is our business.
 */
static int answer(int fd, const char *op, int dirfd, const char *path, int flags, mode_t mode)
{
    if (likely(fd >= 0)) {
        if (unlikely(stage_known_count) && (flags & O_ACCMODE) != O_RDONLY)
            stage_join_opened(fd);
        return fd;
    }
    if (likely(errno != ETXTBSY))
        return fd;
    return write_open(&(struct write_open){ .op = op, .dirfd = dirfd, .path = path, .flags = flags, .mode = mode });
}

/* Only a regular file that is being executed is refused, and only to a writer. */
static bool is_reader(int flags)
{
    return !(flags & (O_ACCMODE | O_TRUNC));
}

int wrap_open(const char *path, int flags, mode_t mode)
{
    if (is_reader(flags))
        return NEXT(open)(path, flags, mode);
    return answer(NEXT(open)(path, flags, mode), "open", AT_FDCWD, path, flags, mode);
}

int wrap_open64(const char *path, int flags, mode_t mode)
{
    if (is_reader(flags))
        return NEXT(open64)(path, flags, mode);
    return answer(NEXT(open64)(path, flags, mode), "open64", AT_FDCWD, path, flags, mode);
}

int wrap___open(const char *path, int flags, mode_t mode)
{
    return answer(NEXT(__open)(path, flags, mode), "__open", AT_FDCWD, path, flags, mode);
}

int wrap___open64(const char *path, int flags, mode_t mode)
{
    return answer(NEXT(__open64)(path, flags, mode), "__open64", AT_FDCWD, path, flags, mode);
}

int wrap_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    if (is_reader(flags))
        return NEXT(openat)(dirfd, path, flags, mode);
    return answer(NEXT(openat)(dirfd, path, flags, mode), "openat", dirfd, path, flags, mode);
}

int wrap_openat64(int dirfd, const char *path, int flags, mode_t mode)
{
    if (is_reader(flags))
        return NEXT(openat64)(dirfd, path, flags, mode);
    return answer(NEXT(openat64)(dirfd, path, flags, mode), "openat64", dirfd, path, flags, mode);
}

#define CREAT_FLAGS (O_WRONLY | O_CREAT | O_TRUNC)

int wrap_creat(const char *path, mode_t mode)
{
    return answer(NEXT(creat)(path, mode), "creat", AT_FDCWD, path, CREAT_FLAGS, mode);
}

int wrap_creat64(const char *path, mode_t mode)
{
    return answer(NEXT(creat64)(path, mode), "creat64", AT_FDCWD, path, CREAT_FLAGS, mode);
}

/* The fortified names, called where the compiler sees no mode: libc's own check for one runs first. */
int wrap___open_2(const char *path, int flags)
{
    return answer(NEXT(__open_2)(path, flags), "__open_2", AT_FDCWD, path, flags, 0);
}

int wrap___open64_2(const char *path, int flags)
{
    return answer(NEXT(__open64_2)(path, flags), "__open64_2", AT_FDCWD, path, flags, 0);
}

int wrap___openat_2(int dirfd, const char *path, int flags)
{
    return answer(NEXT(__openat_2)(dirfd, path, flags), "__openat_2", dirfd, path, flags, 0);
}

int wrap___openat64_2(int dirfd, const char *path, int flags)
{
    return answer(NEXT(__openat64_2)(dirfd, path, flags), "__openat64_2", dirfd, path, flags, 0);
}

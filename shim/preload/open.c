#include <fcntl.h>

#include "../remedy/write.h"
#include "../stage/stage.h"
#include "entries.h"

/*
 * Only a regular file that is being executed is refused, and only to a writer; so a reader comes by here as those of a file do in
 * write.c, by a wrapper that is a branch and a jump. Each row stands for that wrapper and for the call that is watched.
 */

/* Part of each wrapper. */
static inline bool is_reader(int flags)
{
    return !(flags & (O_ACCMODE | O_TRUNC));
}

/* One open, the errno from before it, and its descriptor when there is one before the kernel is asked. */
struct opening {
    struct write_open call;
    int before, fd;
};

ASIDE struct opening begin(const char *op, int dirfd, const char *path, int flags, mode_t mode)
{
    struct opening opening = { .call = { .op = op, .dirfd = dirfd, .path = path, .flags = flags, .mode = mode },
                               .before = errno,
                               .fd = -1 };
    if (write_is_foreseen(flags))
        opening.fd = write_open_forestalled(&opening.call);
    return opening;
}

/*
 * What is done with an answer of the kernel. Only a refusal, or in a process that has a stage the reopening of one by its
 * own name, is our business. A call that succeeds after all leaves the errno from before it, not that of the refusal.
 */
ASIDE int mind(const struct opening *opening, int fd)
{
    if (fd >= 0) {
        if (stage_known_count && (opening->call.flags & O_ACCMODE) != O_RDONLY)
            stage_join_opened(fd);
        return fd;
    }
    if (errno != ETXTBSY)
        return fd;
    fd = write_open(&opening->call);
    if (fd >= 0)
        errno = opening->before;
    return fd;
}

#define WATCHED(function, name, parameters, arguments, dirfd, flags, mode)                                                         \
    int function parameters                                                                                                        \
    {                                                                                                                              \
        struct opening opening = begin(#name, dirfd, path, flags, mode);                                                           \
        return opening.fd >= 0 ? opening.fd : mind(&opening, NEXT(name) arguments);                                                \
    }
#define SELDOM(name, parameters, arguments, dirfd, flags, mode)                                                                    \
    WATCHED(wrap_##name, name, parameters, arguments, dirfd, flags, mode)
#define OFTEN(name, parameters, arguments, dirfd, flags, mode)                                                                     \
    ASIDE WATCHED(watch_##name, name, parameters, arguments, dirfd, flags, mode)                                                   \
    int wrap_##name parameters                                                                                                     \
    {                                                                                                                              \
        return likely(is_reader(flags) && next.name) ? next.name arguments : watch_##name arguments;                               \
    }

OFTEN(open, (const char *path, int flags, mode_t mode), (path, flags, mode), AT_FDCWD, flags, mode)
OFTEN(open64, (const char *path, int flags, mode_t mode), (path, flags, mode), AT_FDCWD, flags | O_LARGEFILE, mode)
OFTEN(openat, (int dirfd, const char *path, int flags, mode_t mode), (dirfd, path, flags, mode), dirfd, flags, mode)
OFTEN(openat64, (int dirfd, const char *path, int flags, mode_t mode), (dirfd, path, flags, mode), dirfd, flags | O_LARGEFILE, mode)
SELDOM(__open, (const char *path, int flags, mode_t mode), (path, flags, mode), AT_FDCWD, flags, mode)
SELDOM(__open64, (const char *path, int flags, mode_t mode), (path, flags, mode), AT_FDCWD, flags | O_LARGEFILE, mode)

#define CREAT_FLAGS (O_WRONLY | O_CREAT | O_TRUNC)
SELDOM(creat, (const char *path, mode_t mode), (path, mode), AT_FDCWD, CREAT_FLAGS, mode)
SELDOM(creat64, (const char *path, mode_t mode), (path, mode), AT_FDCWD, CREAT_FLAGS | O_LARGEFILE, mode)

/* The fortified names, called where the compiler sees no mode: libc's own check for one runs first. */
SELDOM(__open_2, (const char *path, int flags), (path, flags), AT_FDCWD, flags, 0)
SELDOM(__open64_2, (const char *path, int flags), (path, flags), AT_FDCWD, flags | O_LARGEFILE, 0)
SELDOM(__openat_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), dirfd, flags, 0)
SELDOM(__openat64_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), dirfd, flags | O_LARGEFILE, 0)

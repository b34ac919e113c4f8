#include "own.h"

#include <sys/file.h>

#include "../sys/call.h"
#include "../sys/directory.h"
#include "../sys/process.h"

struct known_use known_of(int fd)
{
    struct statx file;
    return sys_fstat(fd, &file) < 0 ? (struct known_use){ 0 } : known_find(sys_device(&file), file.stx_ino);
}

bool own_is(int fd, const struct stage_known *known)
{
    struct statx file;
    return sys_fstat(fd, &file) == 0 && file.stx_ino == known->inode && sys_device(&file) == known->device;
}

/*
 * What our own descriptions are opened with, and no program's: so that they can be told from the writers' while another thread
 * has one open.
 */
#define ASKER_MARK (O_NONBLOCK | O_SYNC)

static bool is_asker(int fd)
{
    return (sys_fcntl(fd, F_GETFL, 0) & (ASKER_MARK | O_APPEND)) == ASKER_MARK && (sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
}

/*
 * Another thread may close its asker between the two looks: in this order it isn't taken for a writer, whom we would leave
 * the stage to; and one that begins between them will ask after us.
 */
bool own_is_writers(int fd, const struct stage_known *known)
{
    return !is_asker(fd) && own_is(fd, known);
}

unsigned own_origin(void)
{
    return process_namespace() & ((1U << STAGE_ORIGIN_BITS) - 1);
}

/* In doubt, yes. */
bool own_is_number(const struct stage_name *name)
{
    unsigned own = own_origin();
    return !name->origin || !own || name->origin == own;
}

/* A file that we may not read can be asked through one for writing as well. */
int own_open_asker(const char *path)
{
    const int flags = O_CLOEXEC | O_NOCTTY | ASKER_MARK;
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | flags, 0);
    return fd < 0 && errno == EACCES ? sys_openat(AT_FDCWD, path, O_WRONLY | flags, 0) : fd;
}

/* The name is looked at first: behind a symbolic link or a FIFO that somebody has put there, an open could do harm. */
int own_open_named(int dirfd, const char *name, uint64_t device, uint64_t inode, int flags)
{
    char link[DESCRIPTOR_LINK_SIZE];
    struct statx file;
    int fd = -1, path = sys_openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (path < 0)
        return -1;
    flags &= ~(O_CREAT | O_EXCL);
    if (sys_fstat(path, &file) == 0 && file.stx_ino == inode && sys_device(&file) == device)
        fd = flags & O_NOFOLLOW ? sys_openat_as(dirfd, name, flags, 0)
                                : sys_openat_as(AT_FDCWD, descriptor_link(link, path), flags, 0);
    sys_close_quietly(path);
    return fd;
}

/* Where that can't be asked, no: who is passed on needs more care than who isn't. */
static bool is_close_on_exec(int fd)
{
    int flags = sys_fcntl(fd, F_GETFD, 0);
    return flags >= 0 && flags & FD_CLOEXEC;
}

int own_find(const struct stage_known *known, enum own_which which)
{
    int fd, found = -1;
    struct descriptors own;
    descriptors_open(&own);
    while (found < 0 && (fd = descriptors_next(&own)) >= 0)
        if (own_is_writers(fd, known) && !(which == OWN_SURVIVING && is_close_on_exec(fd)))
            found = fd;
    descriptors_close(&own);
    return found;
}

int own_reopen(const struct stage_known *known, int flags)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int held = own_find(known, OWN_ANY);
    struct statx file;
    if (held < 0 || (sys_fstat(held, &file) == 0 && !file.stx_nlink))
        return -1;
    int fd = sys_openat_as(AT_FDCWD, descriptor_link(link, held), flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW), 0);
    if (fd >= 0 && sys_flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) { /* somebody is finishing it */
        sys_close(fd);
        return -1;
    }
    return fd;
}

#include <string.h>
#include <sys/file.h>

#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "claim.h"
#include "name.h"
#include "own.h"
#include "stage.h"

/* Gives a descriptor the lowest number that is free. */
static int lower(int fd, int flags)
{
    int lowest = sys_fcntl(fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    int other = lowest < 0 || lowest > fd ? lowest : fd;
    sys_close_quietly(other);
    return other == fd ? lowest : fd;
}

static bool is_of_target(const struct stage_known *known, const struct stage_target *target)
{
    if (!target->file.stx_mode)
        return known->kind == STAGE_OF_NEW && !strcmp(known->target, target->path);
    return known->target_inode == target->file.stx_ino && known->target_device == sys_device(&target->file);
}

/*
 * Whether the descriptor is of the stage of that very target, still. A process isn't told when another one finishes a stage, and
 * the number of the inode that it replaced may be another file's by now. Once the lock is taken nobody finishes it any more.
 */
static bool is_stage_of(int fd, const struct stage_known *known, const struct stage_target *target)
{
    struct stage_name name;
    struct statx file, opened;
    char *path = scratch_map(PATH_MAX), *beside = scratch_map(PATH_MAX);
    bool is = false;
    if (path && beside && descriptor_path(fd, path, PATH_MAX) && stage_name_parse(text_base(path), &name) &&
        stage_name_is_of(text_base(path), &name, stage_base(target))) {
        struct text text = text_over(beside, PATH_MAX);
        text_bytes(&text, target->path, target->directory_length + 1);
        text_add(&text, text_base(path));
        is = !text.full && sys_fstat(fd, &opened) == 0 && opened.stx_ino == known->inode && sys_device(&opened) == known->device &&
             sys_statx(AT_FDCWD, beside, AT_SYMLINK_NOFOLLOW, &file) == 0 && sys_same_file(&file, &opened);
    }
    scratch_unmap(path, PATH_MAX);
    scratch_unmap(beside, PATH_MAX);
    return is;
}

/* O_TRUNC empties what there is, as in place; not before it is certain what that is. */
static bool empty(int fd)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int writer = sys_openat(AT_FDCWD, descriptor_link(link, fd), O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
    sys_close_quietly(writer);
    return writer >= 0;
}

/* False: it is about to be discarded. */
static bool use_it(struct stage_known *known)
{
    enum stage_use unused = STAGE_UNUSED;
    return __atomic_compare_exchange_n(&known->use, &unused, STAGE_USED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
           unused == STAGE_USED;
}

/*
 * Opens a stage and takes the lock. Where somebody finishes it just now, another thread most often, that is waited for: who went on
 * from the old file would lose what is in the new one. Not in a signal handler that has come upon it in its own thread.
 */
static int open_and_lock(struct known_use use, int flags, bool *waited)
{
    const struct stage_known *known = use.slot;
    uint64_t begun = 0;
    do {
        /* A moved directory, or a chroot, hides the path, not the descriptor. */
        int fd = own_open_named(AT_FDCWD, known->path, known->device, known->inode, flags);
        if (fd < 0 || sys_flock(fd, LOCK_SH | LOCK_NB) == 0)
            return fd;
        bool finishes = errno == EWOULDBLOCK && known->finisher != sys_gettid();
        sys_close(fd);
        if (!finishes)
            break;
        *waited = true;
    } while (claim_pause(&begun));
    *waited = false;
    return -1;
}

int stage_join(const struct stage_target *target, int flags)
{
    int fd = -1;
    bool waited = false;
    for (struct known_use use = { 0 }; fd < 0 && (use = known_next(use.slot)).slot;) {
        struct stage_known *known = use.slot;
        if (known->error || known->use == STAGE_WITHDRAWN || !is_of_target(known, target))
            continue;
        fd = open_and_lock(use, flags & ~O_TRUNC, &waited);
        fd = fd < 0 ? own_reopen(known, flags & ~O_TRUNC) : lower(fd, flags);
        if (fd >= 0 && (!is_stage_of(fd, known, target) || !use_it(known) || (flags & O_TRUNC && !empty(fd)))) {
            sys_close(fd);
            fd = -1;
        }
        if (fd >= 0)
            known->pending = false; /* this process writes again */
    }
    if (fd < 0)
        errno = waited ? EAGAIN : ENOENT;
    return fd;
}

void stage_join_opened(int fd)
{
    int saved = errno;
    if (stage_is(fd))
        sys_flock(fd, LOCK_SH | LOCK_NB);
    errno = saved;
}

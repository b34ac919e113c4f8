#include <linux/capability.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/file.h>

#include "../sys/clock.h"
#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "../sys/locks.h"
#include "../sys/process.h"
#include "../sys/text.h"
#include "attributes.h"
#include "claim.h"
#include "copy.h"
#include "flags.h"
#include "name.h"
#include "others.h"
#include "own.h"
#include "place.h"
#include "refusal.h"
#include "stage.h"
#include "swap.h"

/* A stage in the making. */
struct birth {
    const struct stage_request *request;
    struct stage_known *known; /* NULL: no slot was left */
    int dirfd, fd;
    int old; /* the target, for what needs no right to read it */
    int caller_fd;
    int turn; /* the target, locked while we look for others' stages and make our own */
    unsigned origin;
    bool nameless; /* born without a name, so nobody can have seen it unlocked */
    bool locked, linked;
    struct statx file; /* the stage itself, when it is finished */
    char name[NAME_MAX + 1];
};

static bool is_new(const struct birth *birth)
{
    return birth->request->kind == STAGE_OF_NEW;
}

/* Why not, when the path leads to something else by now. Alone, another writer has finished, and the next one's turn has come. */
static const char *refusal_of_change(const struct birth *birth)
{
    return birth->request->alone ? STAGE_SERIALISED : "path";
}

static const char *find_target(const struct birth *birth)
{
    struct statx now;
    bool there = sys_statx(birth->dirfd, stage_base(birth->request->target), AT_SYMLINK_NOFOLLOW, &now) == 0;
    const struct statx *then = &birth->request->target->file;
    bool expected = is_new(birth) ? !there && errno == ENOENT : there && sys_same_file(&now, then);
    /* The number of an inode that was replaced may be the next one's: who goes on from what is there looks twice. */
    if (expected && birth->request->alone && !is_new(birth))
        expected = sys_is_same_time(&now.stx_ctime, &then->stx_ctime);
    return expected ? NULL : refusal_of_change(birth);
}

/* Opens the directory that the target is in, and makes sure that it is still there, under that name. */
static const char *open_directory(struct birth *birth)
{
    char *path = (char *)birth->request->target->path; /* cut short for the call; the buffer is the caller's own */
    size_t length = birth->request->target->directory_length;
    path[length] = '\0';
    birth->dirfd = sys_openat(AT_FDCWD, length ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    path[length] = '/';
    if (birth->dirfd < 0)
        return refusal_of("directory");
    return find_target(birth);
}

/* What a rename over the target would break, or wouldn't be allowed. */
static const char *find_obstacle(struct birth *birth)
{
    const struct statx *file = &birth->request->target->file;
    struct statx directory;
    if (sys_fstat(birth->dirfd, &directory) < 0)
        return "directory";
    /* An append-only directory takes a new name, and never gives it up. */
    if (directory.stx_attributes & directory.stx_attributes_mask & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
        return "immutable-directory";
    if (is_new(birth))
        return NULL;
    if (!S_ISREG(file->stx_mode))
        return "not-a-regular-file";
    if (file->stx_nlink > 1 && !birth->request->breaks_hard_links &&
        file->stx_nlink > 1 + generation_links(birth->dirfd, stage_base(birth->request->target), file))
        return "hard-links";
    if (file->stx_attributes & file->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return "mount-point";
    if (file->stx_attributes & file->stx_attributes_mask & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
        return "immutable";
    if (birth->request->kind != STAGE_OF_BUSY && swap_is_active(file))
        return "swap-file";
    uid_t uid = sys_geteuid();
    if ((directory.stx_mode & S_ISVTX) && uid != directory.stx_uid && uid != file->stx_uid && !process_has_capability(CAP_FOWNER))
        return "sticky-directory";
    return NULL;
}

/*
 * Others who are at work on the target go first, where the request says so. Of two that come at once only one can lock the
 * target; who comes later finds either its stage, or another target.
 */
static const char *take_turn(struct birth *birth)
{
    const struct stage_request *request = birth->request;
    const struct statx *file = &request->target->file;
    const char *base = stage_base(request->target);
    if (request->respects_locks && locks_of_others(birth->dirfd, base, file, LOCKS_ANY))
        return STAGE_LOCKED;
    if (!request->alone)
        return NULL;
    if ((!is_new(birth) && !locks_enter(birth->dirfd, base, file, &birth->turn)) || others_hold_stage(birth->dirfd, base))
        return STAGE_SERIALISED;
    return find_target(birth);
}

/* Where there is no target to lock, of two stages that have their names at least one sees the other, and makes room. */
static const char *look_around(struct birth *birth)
{
    if (!birth->request->alone || !is_new(birth))
        return NULL;
    return others_hold_stage(birth->dirfd, stage_base(birth->request->target)) ? STAGE_SERIALISED : find_target(birth);
}

static uint64_t random_number(void)
{
    uint64_t number;
    if (sys_call(SYS_getrandom, &number, sizeof number, 1L /* GRND_NONBLOCK */) != sizeof number)
        number = clock_ns(CLOCK_MONOTONIC) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)sys_gettid();
    return number;
}

static void choose_name(struct birth *birth)
{
    uint64_t number = random_number() << STAGE_ORIGIN_BITS | birth->origin;
    stage_name_make(birth->name, stage_base(birth->request->target), birth->request->kind, sys_getpid(), number);
}

/* The names that are opened here are in /proc. */
static const char *refusal_of_errno(void)
{
    return refusal_of(errno == ENOENT ? "no-proc" : "directory");
}

/*
 * Makes the file: without a name where the file system can, else under its name and new. A new file gets its mode, from the
 * caller's umask or a default ACL, by the kernel, as in place.
 */
static const char *make_file(struct birth *birth)
{
    mode_t mode = is_new(birth) ? birth->request->mode : 0600;
    birth->fd = sys_openat(birth->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    birth->nameless = birth->fd >= 0;
    for (int tries = 0; birth->fd < 0 && tries < 8; tries++) {
        if (errno == EMFILE || errno == ENFILE)
            break;
        choose_name(birth);
        birth->fd = sys_openat(birth->dirfd, birth->name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, mode);
        birth->linked = birth->fd >= 0;
        if (birth->fd < 0 && errno != EEXIST)
            break;
    }
    if (birth->fd < 0)
        return refusal_of_errno();
    birth->locked = sys_flock(birth->fd, LOCK_SH | LOCK_NB) == 0;
    return NULL;
}

/* NULL when it is still the one. */
static const char *open_target(struct birth *birth)
{
    const struct stage_target *target = birth->request->target;
    struct statx now;
    if (is_new(birth))
        return NULL;
    birth->old = sys_openat(birth->dirfd, stage_base(target), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (birth->old < 0)
        return refusal_of_errno();
    return sys_fstat(birth->old, &now) == 0 && sys_same_file(&now, &target->file) ? NULL : refusal_of_change(birth);
}

static const char *give_flags(struct birth *birth)
{
    return is_new(birth) ? NULL : flags_copy(birth->old, birth->fd);
}

static const char *copy_content(struct birth *birth)
{
    if (!birth->request->keep)
        return NULL;
    int old = copy_open(birth->dirfd, stage_base(birth->request->target));
    if (old < 0)
        return errno == EACCES ? "unreadable" : refusal_of_errno();
    struct statx now;
    const char *reason = NULL;
    if (sys_fstat(old, &now) < 0 || !sys_same_file(&now, &birth->request->target->file))
        reason = refusal_of_change(birth);
    else if (stage_copy(old, &now, birth->fd, birth->request->keep) < 0)
        reason = refusal_of("unreadable");
    sys_close_quietly(old);
    return reason;
}

#define SET_ID (S_ISUID | S_ISGID)

/*
 * The times are the target's until something is written: when it was written to last, until it is truncated. A truncation in place
 * takes set-id bits away from a writer without CAP_FSETID, and a capability, and so does one here, even of nothing.
 */
static const char *give_attributes(struct birth *birth)
{
    struct statx now;
    if (is_new(birth))
        return NULL;
    if (sys_fstat(birth->old, &now) < 0)
        return "attributes";
    const char *reason = attributes_copy(birth->old, &now, birth->fd, false, birth->known ? &birth->known->then.xattrs : NULL);
    if (reason)
        return reason;
    bool truncates = birth->request->flags & O_TRUNC;
    if (truncates)
        now.stx_mtime = (struct statx_timestamp){ .tv_nsec = UTIME_OMIT }; /* it is of this moment */
    sys_set_times(birth->fd, &now);
    if (truncates && (now.stx_mode & SET_ID || !birth->known || birth->known->then.xattrs.count))
        sys_ftruncate(birth->fd, 0);
    return NULL;
}

static const char *clear_litter(struct birth *birth)
{
    stage_sweep(birth->dirfd, birth->nameless, NULL);
    return NULL;
}

/*
 * Renames it once: where that can't be done, the program must hear it before it writes, not behind its last close. ETXTBSY is
 * said by VirtualBox shared folders, perhaps because the file is open; the commit, which tries again for a while, has to see.
 */
static const char *try_rename(struct birth *birth)
{
    char first[NAME_MAX + 1];
    memcpy(first, birth->name, sizeof first);
    choose_name(birth);
    if (sys_renameat(birth->dirfd, first, birth->dirfd, birth->name) == 0)
        return NULL;
    const char *reason = errno == ETXTBSY ? NULL : refusal_of("rename");
    if (reason)
        sys_unlinkat(birth->dirfd, birth->name); /* it may have been done: see place_rename */
    memcpy(birth->name, first, sizeof first);
    return reason;
}

static const char *give_name(struct birth *birth)
{
    char link[DESCRIPTOR_LINK_SIZE];
    for (int tries = 0; !birth->linked && tries < 8; tries++) {
        choose_name(birth);
        if (sys_linkat(AT_FDCWD, descriptor_link(link, birth->fd), birth->dirfd, birth->name, AT_SYMLINK_FOLLOW) == 0)
            birth->linked = true;
        else if (errno != EEXIST) { /* it may have been done all the same: see place_rename */
            const char *reason = refusal_of_errno();
            sys_unlinkat(birth->dirfd, birth->name);
            return reason;
        }
    }
    return birth->linked ? try_rename(birth) : "directory";
}

static bool is_trackable(const struct birth *birth)
{
    return birth->known && birth->locked;
}

/*
 * Makes it known to this process. A stage whose last close couldn't be seen (no slot, or a file system without flock) isn't:
 * it is published at once, and the writer writes in place.
 */
static const char *make_known(struct birth *birth)
{
    const struct stage_target *target = birth->request->target;
    struct stage_known *known = birth->known;
    if (sys_fstat(birth->fd, &birth->file) < 0)
        return "attributes";
    if (!is_trackable(birth))
        return NULL;
    struct text path = TEXT(known->path);
    known->device = sys_device(&birth->file);
    known->inode = birth->file.stx_ino;
    known->target_device = sys_device(&target->file);
    known->target_inode = target->file.stx_ino;
    known->then.file = target->file;
    known->kind = birth->request->kind;
    known->then.stage_mode = birth->file.stx_mode;
    known->creator = sys_getpid();
    known->op = birth->request->op;
    known->use = birth->request->unused ? STAGE_UNUSED : STAGE_USED;
    known->maker = birth->request->unused ? sys_gettid() : 0;
    memcpy(known->target, target->path, strlen(target->path) + 1);
    text_bytes(&path, target->path, target->directory_length + 1);
    text_add(&path, birth->name);
    return path.full ? "path" : NULL;
}

static bool publish(const struct birth *birth)
{
    const struct stage_target *target = birth->request->target;
    struct stage_generation *generation = is_new(birth) ? NULL : birth->request->generation;
    if (generation)
        generation_keep(generation, birth->dirfd, target->path, stage_base(target), &target->file);
    bool published = place_rename(birth->dirfd, birth->name, stage_base(target), sys_device(&birth->file), birth->file.stx_ino);
    if (generation)
        generation_end(generation, birth->dirfd, stage_base(target), published);
    return published;
}

/*
 * Whether a lock that excludes others does so here, asked as it will be asked at the last close: some file systems know no
 * flock, others let everybody have one. Where nobody can be asked, that is known to whoever lets go.
 */
static bool is_excluding(const struct birth *birth)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int asker = own_open_asker(descriptor_link(link, birth->fd));
    bool excluding = asker < 0 || (sys_flock(asker, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    sys_close_quietly(asker);
    return excluding;
}

/*
 * The caller's own description. The directory's descriptor was the first to be opened, so its number is the lowest free one,
 * which the caller's open would have got. What isn't trackable takes the target's name now, as the last thing that can fail.
 */
static const char *open_for_caller(struct birth *birth)
{
    int flags = birth->request->flags & ~O_TRUNC;
    /* Who creates a file may write to it whatever its mode says; by its name that needs the owner's bits for a moment. */
    bool closed = is_new(birth) && (birth->file.stx_mode & 0600) != 0600;
    if (closed && sys_fchmod(birth->fd, (birth->file.stx_mode & 07777) | 0600) < 0)
        return "attributes";
    int fd = own_open_named(birth->dirfd, birth->name, sys_device(&birth->file), birth->file.stx_ino, flags);
    if (fd < 0)
        return refusal_of_errno();
    if (closed && sys_fchmod(birth->fd, birth->file.stx_mode & 07777) < 0) {
        sys_close_quietly(fd);
        return "attributes";
    }
    birth->locked = birth->locked && sys_flock(fd, LOCK_SH | LOCK_NB) == 0 && is_excluding(birth);
    int directory = is_trackable(birth) ? -1 : sys_fcntl(birth->dirfd, F_DUPFD_CLOEXEC, 0);
    if (is_trackable(birth) || directory >= 0)
        birth->caller_fd = sys_dup3(fd, birth->dirfd, flags & O_CLOEXEC);
    sys_close_quietly(fd);
    if (birth->caller_fd < 0) {
        sys_close_quietly(directory);
        return refusal_of_errno();
    }
    birth->dirfd = directory;
    if (is_trackable(birth))
        return NULL;
    if (publish(birth)) {
        birth->linked = false;
        return NULL;
    }
    const char *reason = refusal_of_errno();
    sys_close_quietly(birth->caller_fd);
    birth->caller_fd = -1;
    return reason;
}

/*
 * FUSE renames an open file that is unlinked, and here that may be what can't be done; and it learns of a close a moment later than
 * whoever has closed.
 */
#define UNLINK_TRIES 10

static void undo(struct birth *birth)
{
    sys_close_quietly(birth->fd);
    birth->fd = -1;
    for (int tries = 1; birth->linked && sys_unlinkat(birth->dirfd, birth->name) < 0 && errno != ENOENT && tries < UNLINK_TRIES;
         tries++)
        clock_rest(CLOCK_MS);
    if (birth->known)
        known_abandon(birth->known);
}

/* Each step says why it couldn't be done, or NULL. */
static const char *go_through(struct birth *birth)
{
    const char *reason;
    (void)((reason = open_directory(birth)) || (reason = find_obstacle(birth)) || (reason = take_turn(birth)) ||
           (reason = open_target(birth)) || (reason = make_file(birth)) || (reason = give_flags(birth)) ||
           (reason = copy_content(birth)) || (reason = give_attributes(birth)) || (reason = clear_litter(birth)) ||
           (reason = give_name(birth)) || (reason = look_around(birth)) || (reason = make_known(birth)) ||
           (reason = open_for_caller(birth)));
    return reason;
}

static int create(const struct stage_request *request, const char **reason)
{
    struct birth birth = {
        .request = request,
        .known = known_reserve(),
        .origin = own_origin(),
        .dirfd = -1,
        .fd = -1,
        .old = -1,
        .caller_fd = -1,
        .turn = -1,
    };

    *reason = go_through(&birth);
    if (*reason)
        undo(&birth);
    else if (is_trackable(&birth)) {
        known_publish(birth.known);
        stage_share_writers();
    } else if (birth.known)
        known_abandon(birth.known);
    locks_leave(birth.turn);
    sys_close_quietly(birth.dirfd);
    sys_close_quietly(birth.fd);
    sys_close_quietly(birth.old);
    return birth.caller_fd;
}

int stage_create(const struct stage_request *request, const char **reason)
{
    stage_forget_gone();
    struct claim claim = claim_begin(request->target);
    /* Another thread may have made one since the caller looked. */
    int fd = stage_join(request->target, request->flags);
    if (fd >= 0 && request->joined)
        *request->joined = true;
    else if (fd < 0 && errno == EAGAIN)
        *reason = request->alone ? STAGE_SERIALISED : "path";
    else if (fd < 0)
        fd = create(request, reason);
    claim_end(&claim);
    return fd;
}

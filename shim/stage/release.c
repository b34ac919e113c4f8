#include <string.h>
#include <sys/file.h>

#include "../sys/directory.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "mapping.h"
#include "name.h"
#include "place.h"
#include "report.h"
#include "stage.h"

struct known_use known_of(int fd)
{
    struct statx file;
    return sys_fstat(fd, &file) < 0 ? (struct known_use){ 0 } : known_find(sys_device(&file), file.stx_ino);
}

bool stage_is(int fd)
{
    int saved = errno;
    bool is = known_of(fd).slot != NULL;
    errno = saved;
    return is;
}

bool stage_identify(int fd, struct stage_identity *identity)
{
    int saved = errno;
    const struct stage_known *known = known_of(fd).slot;
    bool is = known && known->target_inode && (known->error || report_has_path(known));
    errno = saved;
    if (!is)
        return false;
    *identity =
        (struct stage_identity){ (uint32_t)(known->target_device >> 32), (uint32_t)known->target_device, known->target_inode };
    return true;
}

static bool is_known(int fd, const struct stage_known *known)
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
 * Whether the descriptor is a writer's. Another thread may close its asker between the two looks: in this order it isn't
 * taken for a writer, whom we would leave the stage to; and one that begins between them will ask after us.
 */
static bool is_writers(int fd, const struct stage_known *known)
{
    return !is_asker(fd) && is_known(fd, known);
}

/* A description of our own for the same file. A file that we may not read can be asked through one for writing as well. */
int stage_open_asker(const char *path)
{
    const int flags = O_CLOEXEC | O_NOCTTY | ASKER_MARK;
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | flags, 0);
    return fd < 0 && errno == EACCES ? sys_openat(AT_FDCWD, path, O_WRONLY | flags, 0) : fd;
}

static struct stage_release begin(struct known_use known)
{
    return (struct stage_release){ .known = known, .asker = -1, .cancellation = process_hold_cancellation() };
}

/* Joins the holders, from a descriptor that still is one, so that no sweeper can find the stage unheld before we have asked. */
static void join(struct stage_release *release, struct known_use known, int fd)
{
    char link[DESCRIPTOR_LINK_SIZE];
    *release = begin(known);
    release->asker = stage_open_asker(descriptor_link(link, fd));
    release->held = true;
    if (release->asker >= 0 && !is_known(release->asker, known.slot)) { /* another thread has put something else there */
        sys_close(release->asker);
        release->asker = -1;
    }
    if (release->asker >= 0)
        sys_flock(release->asker, LOCK_SH | LOCK_NB);
    /* While it is held nobody takes its name away for a good reason. */
    if (!known.slot->error && report_is_removed(fd, known.slot))
        known_fail(known, EIO);
}

bool stage_release_begin(struct stage_release *release, int fd)
{
    int saved = errno;
    struct known_use known = known_of(fd);
    *release = (struct stage_release){ .known = known, .asker = -1 };
    if (known.slot)
        join(release, known, fd);
    errno = saved;
    return known.slot != NULL;
}

enum which { ANY, SURVIVING };

/* Where that can't be asked, no: who is passed on needs more care than who isn't. */
static bool is_close_on_exec(int fd)
{
    int flags = sys_fcntl(fd, F_GETFD, 0);
    return flags >= 0 && flags & FD_CLOEXEC;
}

/* One of this process's descriptors of the stage, of those that survive an exec or of all; -1 when it has none. */
static int find_descriptor(const struct stage_known *known, enum which which)
{
    int fd, found = -1;
    struct descriptors own;
    descriptors_open(&own);
    while (found < 0 && (fd = descriptors_next(&own)) >= 0)
        if (is_writers(fd, known) && !(which == SURVIVING && is_close_on_exec(fd)))
            found = fd;
    descriptors_close(&own);
    return found;
}

int stage_reopen(const struct stage_known *known, int flags)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int held = find_descriptor(known, ANY);
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

/* Puts a fresh description of the same file behind a descriptor. What can't be replaced keeps its lock. */
static void replace_description(int fd)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int flags = sys_fcntl(fd, F_GETFL, 0), cloexec = sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0;
    int fresh = sys_openat_as(AT_FDCWD, descriptor_link(link, fd), (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC, 0);
    if (flags < 0 || fresh < 0)
        return;
    sys_lseek(fresh, sys_lseek(fd, 0, SEEK_CUR), SEEK_SET);
    sys_dup3(fresh, fd, cloexec);
    sys_close(fresh);
}

static void replace_descriptions(const struct stage_release *release)
{
    struct descriptors own;
    int fd;
    descriptors_open(&own);
    while ((fd = descriptors_next(&own)) >= 0)
        if (is_writers(fd, release->known.slot))
            replace_description(fd);
    descriptors_close(&own);
}

/* Looks for the stage by its path, when there is no descriptor of it left, or was none to be had for the asker. */
static bool open_missing_asker(struct stage_release *release)
{
    if (release->asker >= 0)
        return true;
    release->asker = stage_open_asker(release->known.slot->path);
    if (release->asker >= 0 && is_known(release->asker, release->known.slot))
        return true;
    sys_close_quietly(release->asker);
    release->asker = -1;
    return false;
}

bool stage_release_next(struct stage_release *release, enum stage_moment moment)
{
    int saved = errno;
    bool found = false;
    struct known_use known = release->known;
    while (!found && (known = known_next(known.slot)).slot) {
        bool ours = known.slot->creator == sys_getpid();
        int fd = find_descriptor(known.slot, ANY);
        if (moment == STAGE_AT_EXEC && fd >= 0 && find_descriptor(known.slot, SURVIVING) >= 0)
            continue;
        if (fd >= 0) {
            join(release, known, fd);
            replace_descriptions(release);
            found = true;
        } else if (ours) {
            *release = begin(known);
            found = true;
        }
        release->last_word = ours;
        release->leaves = true;
    }
    errno = saved;
    return found;
}

static bool is_adoptable(const struct stage_known *known)
{
    struct stage_name name;
    return stage_name_parse(text_base(known->path), &name) && name.whole;
}

static int find_survivor(const struct stage_known *known, enum stage_survivor which)
{
    bool any = which == STAGE_SURVIVES_BY_FILE_ACTIONS || (which == STAGE_OURS_OR_SURVIVES && known->creator == sys_getpid());
    return find_descriptor(known, any ? ANY : SURVIVING);
}

bool stage_publish_next(struct stage_release *release, enum stage_survivor which, bool unadoptable)
{
    int saved = errno, fd = -1;
    struct known_use known = release->known;
    while (fd < 0 && (known = known_next(known.slot)).slot) {
        if (known.slot->error || (unadoptable && is_adoptable(known.slot)))
            continue;
        if ((fd = find_survivor(known.slot, which)) >= 0) {
            join(release, known, fd);
            release->last_word = true;
        }
    }
    errno = saved;
    return fd >= 0;
}

bool stage_pending_next(struct stage_release *release)
{
    struct known_use known = release->known;
    while ((known = known_next(known.slot)).slot) {
        if (!known.slot->pending)
            continue;
        *release = begin(known);
        if (!report_has_path(known.slot))
            known_forget(known);
        else if (open_missing_asker(release) && sys_flock(release->asker, LOCK_EX | LOCK_NB) == 0)
            return true;
        stage_release_finish(release);
    }
    return false;
}

void stage_note_killed(struct stage_known *known, enum stage_note when)
{
    struct statx file;
    int fd = find_descriptor(known, ANY);
    if (sys_statx(fd < 0 ? AT_FDCWD : fd, fd < 0 ? known->path : "", fd < 0 ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, &file) < 0 ||
        (when == STAGE_IF_EMPTY && file.stx_size))
        return;
    known->killed_mtime = file.stx_mtime;
    known->killed_size = file.stx_size;
    known->bereaved = sys_getpid();
}

/* A program that goes on writing has taken note of the death. */
static bool is_as_killed(const struct stage_known *known, const char *path)
{
    struct statx file;
    return sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_size == known->killed_size &&
           file.stx_mtime.tv_sec == known->killed_mtime.tv_sec && file.stx_mtime.tv_nsec == known->killed_mtime.tv_nsec;
}

/* Nobody publishes it any more; the program is told when it has let go of all of it. */
static enum stage_end end_aborted(struct stage_release *release)
{
    int error = release->known.slot->error;
    if (find_descriptor(release->known.slot, ANY) >= 0)
        return STAGE_HELD;
    known_forget(release->known);
    errno = error;
    return STAGE_ABORTED;
}

/*
 * Before a commit without the exclusive lock: keeps all others from getting it, so that nobody exchanges names meanwhile. False:
 * somebody has it, and is committing. Only for who is sure to commit: two that ask would each take the other for a holder.
 */
static bool claim(const struct stage_release *release)
{
    return sys_flock(release->asker, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

enum stage_end stage_release_end(struct stage_release *release, struct stage_report *report)
{
    struct stage_known *known = release->known.slot;
    if (known->error)
        return end_aborted(release);
    bool can_ask = open_missing_asker(release);
    /* Where nobody can be asked, the bytes matter more than who else may write: it is published early. */
    report->early = !can_ask || sys_flock(release->asker, LOCK_EX | LOCK_NB) < 0;
    /* After the lock: whoever had it before us may have been committing. */
    enum stage_end end = report_fill(release, report);
    if (end == STAGE_NONE)
        known_forget(release->known);
    if (end == STAGE_READY)
        writers_look(known);
    if (end == STAGE_READY && known->bereaved == sys_getpid() && is_as_killed(known, report->path) &&
        (release->leaves || find_descriptor(known, ANY) < 0))
        return STAGE_SPOILT;
    if (end != STAGE_READY || !can_ask || !report->early)
        return end;
    if (release->last_word)
        return claim(release) ? STAGE_READY : STAGE_HELD;
    if (find_descriptor(known, ANY) >= 0)
        return STAGE_HELD;
    /* Our own mapping: it has no other end that could be seen. */
    if (mapping_is_writable(known->device, known->inode, text_base(known->path)))
        return claim(release) ? STAGE_READY : STAGE_HELD;
    return known->creator == sys_getpid() && !known->pending ? STAGE_PENDING : STAGE_HELD;
}

void stage_set_pending(const struct stage_release *release)
{
    if (!known_is_current(release->known))
        return;
    release->known.slot->pending = true;
}

bool stage_abort(struct stage_release *release, int error, struct stage_report *report)
{
    int saved = errno;
    struct statx file;
    bool aborted = (!report || report_fill(release, report) == STAGE_READY) && known_fail(release->known, error);
    if (aborted && !report) {
        if (report_has_path(release->known.slot))
            sys_unlinkat(AT_FDCWD, release->known.slot->path);
    } else if (aborted) { /* known first: no other thread publishes it meanwhile */
        struct place place = place_open(report);
        if (sys_statx(place.dirfd, place.stage, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_ino == report->inode &&
            sys_device(&file) == report->device) {
            report->bytes = file.stx_size;
            sys_unlinkat(place.dirfd, place.stage);
        }
        place_close(&place);
    }
    errno = saved;
    return aborted;
}

void stage_release_finish(struct stage_release *release)
{
    sys_close_quietly(release->asker);
    release->asker = -1;
    process_let_cancellation(release->cancellation);
}

/*
 * A vfork child forgets in its parent's memory: only what another such child has made there, since the parent may have
 * descriptors that the child can't see.
 */
static bool may_be_ours(const struct stage_known *known)
{
    return known->creator == sys_getpid() ||
           (process_borrows_memory() && (!known->op || known->creator == (pid_t)sys_call(SYS_getppid)));
}

void stage_forget_gone(void)
{
    int saved = errno;
    for (struct known_use known = { 0 }; (known = known_next(known.slot)).slot;)
        if ((!may_be_ours(known.slot) || (known.slot->error && !process_borrows_memory())) && !report_has_path(known.slot) &&
            find_descriptor(known.slot, ANY) < 0)
            known_forget(known);
    errno = saved;
}

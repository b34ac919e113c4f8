#include <linux/kcmp.h>
#include <string.h>
#include <sys/file.h>

#include "../sys/directory.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "../sys/signals.h"
#include "../sys/text.h"
#include "mapping.h"
#include "name.h"
#include "own.h"
#include "place.h"
#include "report.h"
#include "stage.h"
#include "writers.h"

bool stage_is(int fd)
{
    int saved = errno;
    bool is = known_of(fd).slot != NULL;
    errno = saved;
    return is;
}

static bool change_use(int fd, enum stage_use to)
{
    int saved = errno;
    struct stage_known *known = known_of(fd).slot;
    enum stage_use from = STAGE_UNUSED;
    bool changed = known && __atomic_compare_exchange_n(&known->use, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    errno = saved;
    return changed;
}

void stage_set_used(int fd)
{
    change_use(fd, STAGE_USED);
}

bool stage_withdraw(int fd)
{
    return change_use(fd, STAGE_WITHDRAWN);
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

static struct stage_release begin(struct known_use known)
{
    return (struct stage_release){ .known = known, .asker = -1, .cancellation = process_hold_cancellation() };
}

/* Joins the holders, from a descriptor that still is one, so that no sweeper can find the stage unheld before we have asked. */
static void join(struct stage_release *release, struct known_use known, int fd)
{
    char link[DESCRIPTOR_LINK_SIZE];
    *release = begin(known);
    release->asker = own_open_asker(descriptor_link(link, fd));
    release->held = true;
    if (release->asker >= 0 && !own_is(release->asker, known.slot)) { /* another thread has put something else there */
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

/*
 * Puts `fresh` behind a descriptor, and behind those that share its description, and with it an offset: `old` is another of them.
 * Where the kernel doesn't say so (CONFIG_KCMP) behind that one alone.
 */
static void put_behind(int fresh, int fd, int old)
{
    struct descriptors own;
    pid_t pid = sys_getpid();
    int other;
    descriptors_open(&own);
    while ((other = descriptors_next(&own)) >= 0)
        if (other != old && (other == fd || sys_call(SYS_kcmp, pid, pid, (long)KCMP_FILE, (long)other, (long)old) == 0))
            sys_dup3(fresh, other, sys_fcntl(other, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0);
    descriptors_close(&own);
}

/*
 * Puts a fresh description of the same file behind a descriptor and its duplicates. What can't be replaced keeps its lock. What
 * another thread writes meanwhile has moved the old one's offset on.
 */
static void replace_description(int fd)
{
    char link[DESCRIPTOR_LINK_SIZE];
    const int of_the_name = O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW; /* F_GETFL has some of them still; this name is a link */
    int flags = sys_fcntl(fd, F_GETFL, 0), old = sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int fresh = sys_openat_as(AT_FDCWD, descriptor_link(link, fd), (flags & ~of_the_name) | O_CLOEXEC, 0);
    if (flags >= 0 && fresh >= 0) {
        int64_t at = sys_lseek(fd, 0, SEEK_CUR);
        sys_lseek(fresh, at, SEEK_SET);
        put_behind(fresh, fd, old);
        if (old >= 0)
            sys_lseek(fresh, sys_lseek(old, 0, SEEK_CUR) - at, SEEK_CUR);
    }
    sys_close_quietly(fresh);
    sys_close_quietly(old);
}

static void replace_descriptions(const struct stage_release *release)
{
    struct descriptors own;
    int fd;
    descriptors_open(&own);
    while ((fd = descriptors_next(&own)) >= 0)
        if (own_is_writers(fd, release->known.slot))
            replace_description(fd);
    descriptors_close(&own);
}

/* Looks for the stage by its path, when there is no descriptor of it left, or was none to be had for the asker. */
static bool open_missing_asker(struct stage_release *release)
{
    if (release->asker >= 0)
        return true;
    release->asker = own_open_asker(release->known.slot->path);
    if (release->asker >= 0 && own_is(release->asker, release->known.slot))
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
        if (known.slot->use != STAGE_USED)
            continue;
        int fd = own_find(known.slot, OWN_ANY);
        if (moment == STAGE_AT_EXEC && fd >= 0 && own_find(known.slot, OWN_SURVIVING) >= 0)
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

/* What another thread has made for a program goes to that program alone. */
static bool is_others_unused(const struct stage_known *known, enum stage_survivor which)
{
    return known->use != STAGE_USED && (which != STAGE_SURVIVES_BY_FILE_ACTIONS || known->maker != sys_gettid());
}

static int find_survivor(const struct stage_known *known, enum stage_survivor which)
{
    bool any = which == STAGE_SURVIVES_BY_FILE_ACTIONS || (which == STAGE_OURS_OR_SURVIVES && known->creator == sys_getpid());
    return own_find(known, any ? OWN_ANY : OWN_SURVIVING);
}

bool stage_publish_next(struct stage_release *release, enum stage_survivor which, bool unadoptable)
{
    int saved = errno, fd = -1;
    struct known_use known = release->known;
    while (fd < 0 && (known = known_next(known.slot)).slot) {
        if (known.slot->error || (unadoptable && is_adoptable(known.slot)) || is_others_unused(known.slot, which))
            continue;
        if ((fd = find_survivor(known.slot, which)) >= 0) {
            join(release, known, fd);
            release->last_word = true;
        }
    }
    errno = saved;
    return fd >= 0;
}

bool stage_is_pending(void)
{
    for (struct known_use known = { 0 }; (known = known_next(known.slot)).slot;)
        if (known.slot->pending)
            return true;
    return false;
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

/* Nobody publishes it any more; the program is told when it has let go of all of it. */
static enum stage_end end_aborted(struct stage_release *release)
{
    int error = release->known.slot->error;
    if (own_find(release->known.slot, OWN_ANY) >= 0)
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

/* A signal handler that opens the target again must not wait for the thread that it has interrupted: it comes before or after. */
static bool lock_to_finish(int asker, struct stage_known *known)
{
    struct signals_held held;
    bool holds = signals_hold(&held, ~UINT64_C(0));
    bool locked = sys_flock(asker, LOCK_EX | LOCK_NB) == 0;
    if (locked)
        known->finisher = sys_gettid();
    if (holds)
        signals_release(&held, 0);
    return locked;
}

enum stage_end stage_release_end(struct stage_release *release, struct stage_report *report)
{
    struct stage_known *known = release->known.slot;
    if (known->error)
        return end_aborted(release);
    bool can_ask = open_missing_asker(release);
    /* Where nobody can be asked, the bytes matter more than who else may write: it is published early. */
    report->early = !can_ask || !lock_to_finish(release->asker, known);
    /* After the lock: whoever had it before us may have been committing. */
    enum stage_end end = report_fill(release, report);
    if (end == STAGE_NONE)
        known_forget(release->known);
    if (end == STAGE_READY && writers_left_spoilt(known, report->path) && (release->leaves || own_find(known, OWN_ANY) < 0))
        return STAGE_SPOILT;
    if (end != STAGE_READY || !can_ask || !report->early)
        return end;
    if (release->last_word)
        return claim(release) ? STAGE_READY : STAGE_HELD;
    if (own_find(known, OWN_ANY) >= 0)
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
            own_find(known.slot, OWN_ANY) < 0)
            known_forget(known);
    errno = saved;
}

#include "write.h"

#include <linux/openat2.h>
#include <string.h>

#include "../stage/stage.h"
#include "../sys/directory.h"
#include "failure.h"
#include "intervention.h"
#include "release.h"
#include "turn.h"

#define NO_LENGTH (-1)

static int open_again(const struct write_open *open)
{
    if (!open->resolve)
        return sys_openat_as(open->dirfd, open->path, open->flags, open->mode);
    struct open_how how = { .flags = (uint64_t)open->flags,
                            .mode = open->flags & O_CREAT ? open->mode : 0,
                            .resolve = open->resolve };
    return (int)sys_call(SYS_openat2, open->dirfd, open->path, &how, sizeof how);
}

static int truncate_path(const char *path, int64_t length)
{
#ifdef __i386__
    return (int)sys_call(SYS_truncate64, path, (long)length, (long)(length >> 32));
#else
    return (int)sys_call(SYS_truncate, path, length);
#endif
}

/*
 * Whether the kernel refuses the target itself, too: another preloaded library may have meant a different file by the path. It is
 * executed then, and no swap file: the kernel has those open for writing as long as they are in use.
 */
static bool is_busy(const struct stage_target *target)
{
    int fd = sys_openat(AT_FDCWD, target->path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    sys_close_quietly(fd);
    return fd < 0 && errno == ETXTBSY;
}

static int try_again(const struct write_open *open, int64_t length)
{
    if (open->is_refused && !open->is_refused(open->context))
        return WRITE_NOT_REFUSED;
    if (open->is_refused) {
        errno = ETXTBSY;
        return -1;
    }
    return length == NO_LENGTH ? open_again(open) : truncate_path(open->path, length);
}

static bool is_ours_to_redirect(const struct write_open *open)
{
    return !open->out_of_reach && !(open->flags & (O_EXCL | O_PATH | O_DIRECTORY)) && (open->flags & O_TMPFILE) != O_TMPFILE;
}

/*
 * Finds the regular file that the open would write to, or the place for a new one. False for everything else, for stages, and
 * for a file that the caller may not write to: the real open answers for these.
 */
static bool find_target(struct stage_target *target, const struct write_open *open)
{
    if (stage_resolve(target, open->dirfd, open->path, open->flags, open->resolve) == 0)
        return S_ISREG(target->file.stx_mode) && !stage_is_target(target) && sys_may_access(AT_FDCWD, target->path, W_OK);
    return errno == ENOENT && stage_resolve_new(target, open->dirfd, open->path, open->resolve) == 0;
}

/*
 * After a wait for others. False when no stage is wanted any more: for a file that isn't busy now the kernel is to be asked again,
 * and event.reason is NULL.
 */
static bool find_again(struct intervention *intervention, struct stage_request *request, const struct write_open *open)
{
    struct stage_target *target = &intervention->target;
    if (request->kind == STAGE_OF_BUSY) {
        intervention->event.reason = NULL;
        return stage_resolve(target, open->dirfd, open->path, open->flags, open->resolve) == 0 && is_busy(target);
    }
    intervention->event.reason = "path";
    bool found = find_target(target, open);
    request->kind = target->file.stx_mode ? STAGE_OF_IDLE : STAGE_OF_NEW;
    return found;
}

static int join(const struct stage_target *target, const struct write_open *open)
{
    if (open->out_of_reach) {
        errno = ENOENT;
        return -1;
    }
    int fd = stage_join(target, open->flags);
    if (fd >= 0 && open->joined)
        *open->joined = true;
    return fd;
}

static void say_published(struct intervention *intervention, int fd)
{
    struct event *event = &intervention->event;
    struct statx file;
    event->reason = "not-trackable";
    event->published_early = true;
    event->old_inode = intervention->target.file.stx_ino;
    event->hard_links = intervention->target.file.stx_nlink;
    event->new_inode = sys_fstat(fd, &file) == 0 ? file.stx_ino : 0;
    intervention_add_generation(intervention);
    intervention_look(intervention, ON_REDIRECT);
    intervention_say(intervention, "redirect", "published-early", "replaced");
}

static int create(struct intervention *intervention, enum stage_kind kind, const struct write_open *open, int64_t keep)
{
    struct stage_generation *generation = &intervention->report.generation;
    generation->wanted = intervention->policy.value[KEY_KEEP];
    struct stage_request request = {
        .target = &intervention->target,
        .kind = kind,
        .flags = open->flags,
        .mode = open->mode,
        .keep = keep,
        .breaks_hard_links = intervention->policy.value[KEY_HARD_LINKS] == HARD_LINKS_BREAK,
        .op = open->op,
        .generation = generation,
        .unused = open->only_stage,
        .joined = open->joined,
    };
    struct turn turn = turn_begin(intervention, &request);
    int fd = stage_create(&request, &intervention->event.reason);
    while (fd < 0 && turn_comes(&turn, intervention, &request) && find_again(intervention, &request, open))
        fd = stage_create(&request, &intervention->event.reason);
    turn_end(&turn, intervention);
    if (fd >= 0 && !stage_is(fd)) /* published at its birth: nobody will see the last close */
        say_published(intervention, fd);
    return fd;
}

/* How often a target is looked for again that somebody else has replaced between the look and the stage. */
#define LOOKS_MAX 100

static bool was_replaced_meanwhile(const struct intervention *intervention)
{
    return intervention->event.reason && !strcmp(intervention->event.reason, "path");
}

/* Returns a descriptor, or -1 and in event.reason why not. */
static int redirect(struct intervention *intervention, const struct write_open *open, int64_t keep)
{
    struct stage_target *target = &intervention->target;
    int fd = -1;
    if (!is_ours_to_redirect(open)) {
        intervention->event.reason = "flags";
        return -1;
    }
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        if (!is_busy(target)) {
            intervention->event.reason = stage_is_swap_file(target) ? "swap-file" : looks ? NULL : "path";
            return -1;
        }
        fd = create(intervention, STAGE_OF_BUSY, open, keep);
        if (fd >= 0 || !was_replaced_meanwhile(intervention) ||
            stage_resolve(target, open->dirfd, open->path, open->flags, open->resolve) < 0)
            break;
    }
    return fd;
}

/*
 * Tries the refused call again until it succeeds, fails otherwise, or the bounds are reached. Whatever ends the wait without
 * success, the caller gets the errno that it came with.
 */
static int wait_for_it(struct intervention *intervention, const struct write_open *open, int64_t length)
{
    struct wait *wait = &intervention->wait;
    int result = -1;
    intervention_begin_wait(intervention, WAIT_FOR_HOLDERS);
    do {
        if (!wait_pause(wait))
            break;
        result = try_again(open, length);
    } while (result < 0 && (errno == ETXTBSY || errno == EINTR));

    if (result >= 0)
        intervention_say_waited(intervention, "succeeded", "transient");
    else
        intervention_give_up(intervention, errno);
    return result;
}

/*
 * Gives the stage that stands in for the target the new length, and lets go of it. By name: xfs and btrfs leave the times
 * alone when truncate finds the length that it wants, and not when ftruncate does.
 */
static int truncate_stage(const char *op, int fd, int64_t length)
{
    char link[DESCRIPTOR_LINK_SIZE];
    struct stage_release release;
    int result = truncate_path(descriptor_link(link, fd), length);
    if (result < 0)
        failure_of_write(op, fd, errno);
    stage_release_begin(&release, fd);
    sys_close_quietly(fd);
    return release_end(&release, op, result);
}

/* What open and truncate have in common: all but what they make of a stage's descriptor. A truncate has a `length`. */
static int remedy(const struct write_open *open, enum policy_operation operation, int64_t length)
{
    struct intervention *intervention = intervention_begin(&intervention, open->op, open->path, ETXTBSY);
    if (!intervention)
        return -1;

    struct stage_target *target = &intervention->target;
    bool resolved = false;
    int64_t keep = length != NO_LENGTH ? length : open->flags & O_TRUNC ? 0 : STAGE_KEEP_ALL;
    int result = -1, stage = -1;
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        resolved = stage_resolve(target, open->dirfd, open->path, open->flags, open->resolve) == 0;
        stage = resolved ? join(target, open) : -1;
        if (!resolved || stage >= 0 || errno != EAGAIN)
            break;
        result = try_again(open, length);
        if (result >= 0 || errno != ETXTBSY) { /* another one's errno isn't the one that the caller was refused with */
            intervention_end(intervention);
            errno = ETXTBSY;
            return result;
        }
    }
    intervention->event.target = resolved ? target->path : NULL;
    if (resolved)
        intervention_held(intervention, HOLDS_EXEC, sys_device(&target->file), target->file.stx_ino);
    if (stage < 0)
        switch (intervention_decide(intervention, operation, resolved ? target->path : open->path)) {
        case ACTION_OFF:
            break;
        case ACTION_OBSERVE:
            intervention->event.reason = "policy";
            intervention_look(intervention, ON_GIVING_UP);
            intervention_say(intervention, "observe", "observed", "refused");
            break;
        case ACTION_REDIRECT:
        case ACTION_ATOMIC:
            intervention->event.reason = "path";
            stage = resolved ? redirect(intervention, open, keep) : -1;
            if (stage >= 0)
                break;
            if (!intervention->event.reason && (result = try_again(open, length)) >= 0)
                break;
            /* fall through */
        case ACTION_RETRY:
            result = wait_for_it(intervention, open, length);
            break;
        }
    intervention_end(intervention);
    errno = ETXTBSY;
    if (stage < 0)
        return result;
    return length == NO_LENGTH ? stage : truncate_stage(open->op, stage, length);
}

int write_open(const struct write_open *open)
{
    return remedy(open, POLICY_WRITE, NO_LENGTH);
}

int write_truncate(const char *op, const char *path, int64_t length)
{
    const struct write_open open = { .op = op, .dirfd = AT_FDCWD, .path = path, .flags = O_WRONLY | O_LARGEFILE | O_CLOEXEC };
    return remedy(&open, POLICY_TRUNCATE, length);
}

/* Whether the call is one that the action atomic is about: it empties the file, or makes a new one that it would empty. */
static bool is_atomic(struct intervention *intervention, const struct write_open *open, enum policy_operation operation)
{
    const struct stage_target *target = &intervention->target;
    bool is_new = !target->file.stx_mode;
    return policy_foresight() & POLICY_ATOMIC &&
           (operation == POLICY_TRUNCATE ? !is_new : open->flags & O_TRUNC && (!is_new || open->flags & O_CREAT)) &&
           intervention_decide(intervention, operation, target->path) == ACTION_ATOMIC;
}

/* A stage for a file that need not be busy, or another descriptor of the one that there is; -1 and perhaps a reason. */
static int create_unasked(struct intervention *intervention, const struct write_open *open, enum policy_operation operation,
                          int64_t length)
{
    const struct stage_target *target = &intervention->target;
    int fd = -1;
    for (int looks = 0; fd < 0 && looks < LOOKS_MAX && find_target(&intervention->target, open); looks++) {
        intervention->event.target = target->path;
        intervention->event.reason = NULL;
        fd = join(target, open);
        if (fd < 0 && errno == EAGAIN)
            continue;
        if (fd >= 0 || !is_atomic(intervention, open, operation))
            break;
        enum stage_kind kind = target->file.stx_mode ? STAGE_OF_IDLE : STAGE_OF_NEW;
        fd = create(intervention, kind, open, length == NO_LENGTH ? 0 : length);
        if (!was_replaced_meanwhile(intervention))
            break;
    }
    return fd;
}

/*
 * Makes the stage that the policy wants for a file that need not be busy. Where it can't be made, what the call would have done
 * without us is done here, and said if it was done in place; a busy file is left to the real call.
 */
static int forestall(const struct write_open *open, enum policy_operation operation, int64_t length)
{
    int saved = errno, fd = -1;
    struct intervention *intervention =
        is_ours_to_redirect(open) ? intervention_begin(&intervention, open->op, open->path, 0) : NULL;
    if (intervention) {
        fd = create_unasked(intervention, open, operation, length);
        if (fd < 0 && intervention->event.reason && length == NO_LENGTH && !open->only_stage && (fd = open_again(open)) >= 0)
            intervention_say(intervention, "redirect", "in-place", "refused");
        intervention_end(intervention);
    }
    errno = saved;
    return fd;
}

int write_open_forestalled(const struct write_open *open)
{
    return forestall(open, POLICY_WRITE, NO_LENGTH);
}

bool write_truncate_forestalled(const char *op, const char *path, int64_t length, int *result)
{
    if (!write_is_foreseen(O_WRONLY | O_TRUNC))
        return false;
    const struct write_open open = { .op = op, .dirfd = AT_FDCWD, .path = path, .flags = O_WRONLY | O_LARGEFILE | O_CLOEXEC };
    int fd = length < 0 ? -1 : forestall(&open, POLICY_TRUNCATE, length);
    if (fd >= 0)
        *result = truncate_stage(op, fd, length);
    return fd >= 0;
}

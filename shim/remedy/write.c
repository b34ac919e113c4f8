#include "write.h"

#include <linux/openat2.h>
#include <string.h>

#include "../stage/stage.h"
#include "intervention.h"
#include "release.h"

#define NO_LENGTH (-1)

static int open_again(const struct write_open *open)
{
    if (!open->resolve)
        return sys_openat(open->dirfd, open->path, open->flags, open->mode);
    struct open_how how = { .flags = (uint64_t)open->flags,
                            .mode = open->flags & O_CREAT ? open->mode : 0,
                            .resolve = open->resolve };
    return (int)sys_call(SYS_openat2, open->dirfd, open->path, &how, sizeof how);
}

static int truncate_again(const struct write_open *open, int64_t length)
{
#ifdef __i386__
    return (int)sys_call(SYS_truncate64, open->path, (long)length, (long)(length >> 32));
#else
    return (int)sys_call(SYS_truncate, open->path, length);
#endif
}

/* Whether the kernel refuses the target itself, too: another preloaded library may have meant a different file by the path. */
static bool is_busy(const struct stage_target *target)
{
    int fd = sys_openat(AT_FDCWD, target->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    sys_close_quietly(fd);
    return fd < 0 && errno == ETXTBSY;
}

static bool is_ours_to_redirect(const struct write_open *open)
{
    return !(open->flags & (O_EXCL | O_PATH | O_DIRECTORY)) && (open->flags & O_TMPFILE) != O_TMPFILE;
}

/* Returns a descriptor, or -1 and in event.reason why not. */
static int redirect(struct intervention *intervention, const struct write_open *open, int64_t keep)
{
    if (!is_ours_to_redirect(open)) {
        intervention->event.reason = "flags";
        return -1;
    }
    if (!is_busy(&intervention->target)) {
        intervention->event.reason = "path";
        return -1;
    }
    struct stage_request request = { .target = &intervention->target, .flags = open->flags, .keep = keep, .op = open->op };
    int fd = stage_create(&request, &intervention->event.reason);
    if (fd >= 0 && !stage_is(fd)) { /* published at its birth: nobody will see the last close */
        intervention->event.reason = "not-trackable";
        intervention_say(intervention, "redirect", "published-early", "replaced");
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
    struct event *event = &intervention->event;
    struct wait_bounds bounds = intervention_bounds(intervention);
    int result = -1;
    wait_begin(wait, &bounds);
    do {
        if (!wait_pause(wait))
            break;
        result = length == NO_LENGTH ? open_again(open) : truncate_again(open, length);
    } while (result < 0 && (errno == ETXTBSY || errno == EINTR));

    event->attempts = wait->attempts;
    event->waited_ns = wait_elapsed_ns(wait);
    if (result >= 0)
        intervention_say(intervention, "wait", "succeeded", "transient");
    else if ((event->error = errno) != 0)
        intervention_say(intervention, "wait", "gave-up", event->reason ? "refused" : "persistent");
    return result;
}

/* Gives the stage that stands in for the target the new length, and lets go of it. */
static int truncate_stage(const char *op, int fd, int64_t length)
{
    struct stage_release release;
    int result = sys_ftruncate(fd, length);
    stage_release_begin(&release, fd);
    sys_close_quietly(fd);
    return release_end(&release, op, result);
}

/* What open and truncate have in common: all but what they make of a stage's descriptor. A truncate has a `length`. */
static int remedy(const struct write_open *open, enum policy_operation operation, int64_t length, bool waits)
{
    struct intervention *intervention = intervention_begin(open->op, open->path, ETXTBSY);
    if (!intervention)
        return -1;

    struct stage_target *target = &intervention->target;
    bool resolved = stage_resolve(target, open->dirfd, open->path, open->flags, open->resolve) == 0;
    int64_t keep = length != NO_LENGTH ? length : open->flags & O_TRUNC ? 0 : STAGE_KEEP_ALL;
    int result = -1, stage = resolved ? stage_join(target, open->flags) : -1;
    intervention->event.target = resolved ? target->path : NULL;
    if (stage < 0)
        switch (intervention_decide(intervention, operation, resolved ? target->path : open->path)) {
        case ACTION_OFF:
            break;
        case ACTION_OBSERVE:
            intervention_say(intervention, "observe", "observed", "observed");
            break;
        case ACTION_REDIRECT:
        case ACTION_ATOMIC:
            intervention->event.reason = "path";
            stage = resolved ? redirect(intervention, open, keep) : -1;
            if (stage >= 0)
                break;
            /* fall through */
        case ACTION_RETRY:
            if (waits)
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
    return remedy(open, POLICY_WRITE, NO_LENGTH, true);
}

int write_open_at_once(const struct write_open *open)
{
    return remedy(open, POLICY_WRITE, NO_LENGTH, false);
}

int write_truncate(const char *op, const char *path, int64_t length)
{
    const struct write_open open = { .op = op, .dirfd = AT_FDCWD, .path = path, .flags = O_WRONLY | O_CLOEXEC };
    return remedy(&open, POLICY_TRUNCATE, length, true);
}

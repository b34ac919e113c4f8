#include "release.h"

#include <linux/close_range.h>

#include "../sys/clock.h"
#include "../sys/directory.h"
#include "failure.h"
#include "intervention.h"
#include "old_version.h"

#define TRANSIENT_NS (30 * CLOCK_MS)

static const struct wait_bounds transient = {
    .first_ns = CLOCK_MS / 10, .cap_ns = 2 * CLOCK_MS, .max_wait_ns = TRANSIENT_NS, .uncancellable = true
};

/*
 * Asks whether anybody else holds the stage. When the creator lets go, a holder is most often a child that another thread
 * has just forked and that will exec at once: that clears in a few milliseconds, and the program may be about to start what it has
 * written.
 */
static enum stage_end ask(struct stage_release *release, struct stage_report *report)
{
    enum stage_end end = stage_release_end(release, report);
    if (end != STAGE_PENDING)
        return end;
    struct wait wait;
    wait_begin(&wait, &transient);
    while (end == STAGE_PENDING && wait_pause(&wait))
        end = stage_release_end(release, report);
    return end;
}

/* Who runs the old version now? When it is certain that nobody does nothing is left to do. */
static const char *judge(struct intervention *intervention, const struct old_version *old)
{
    bool elsewhere = old_version_is_seen_elsewhere(old);
    if (!elsewhere && !old_version_may_run(old)) {
        intervention_has_no_holders(intervention);
        return "transient";
    }
    intervention_look(intervention, ON_REDIRECT);
    const struct holder_list *holders = intervention->event.holders;
    bool nobody = holders && !holders->count && !holders->truncated && !holders->hidden;
    return nobody && !elsewhere ? "transient" : "replaced";
}

/* How a stage is to be synced, and what is to be said of it. The policy may have changed since, and an exec forgets what it was. */
static void decide(struct intervention *intervention)
{
    const struct stage_report *report = &intervention->report;
    enum policy_action action = intervention_decide(intervention, POLICY_WRITE, report->target);
    bool was_busy = report->kind == STAGE_OF_BUSY;
    intervention->event.action = policy_action_name(was_busy && action != ACTION_ATOMIC ? ACTION_REDIRECT : ACTION_ATOMIC);
    intervention->event.error = was_busy ? ETXTBSY : 0;
}

/* Where a rename may be answered with ETXTBSY, the commit is worth as long a wait as a program's own rename. */
static enum stage_outcome commit_busy(struct intervention *intervention, struct stage_release *release, enum stage_sync sync)
{
    struct stage_report *report = &intervention->report;
    struct wait *wait = &intervention->wait;
    enum stage_outcome outcome = STAGE_BUSY;
    if (intervention_decide(intervention, POLICY_RENAME, report->target) == ACTION_RETRY) {
        intervention_begin_wait(intervention, WAIT_FOR_HOLDERS);
        wait->bounds.uncancellable = true;
        while (outcome == STAGE_BUSY && wait_pause(wait))
            outcome = stage_commit(release, sync, report);
        intervention_note_wait(intervention);
    }
    int error = outcome == STAGE_BUSY ? ETXTBSY : errno;
    decide(intervention);
    errno = error;
    if (outcome != STAGE_BUSY)
        return outcome;
    stage_keep(release, report);
    return STAGE_FAILED;
}

static int commit(struct intervention *intervention, struct stage_release *release)
{
    struct stage_report *report = &intervention->report;
    struct event *event = &intervention->event;
    enum stage_sync sync = (enum stage_sync)intervention->policy.value[KEY_SYNC];
    struct text sync_text = TEXT(intervention->sync);
    policy_add_value(&sync_text, &intervention->policy, KEY_SYNC);
    const char *verdict = "replaced";
    struct old_version old;
    old_version_open(&old, report->target);
    intervention_held(intervention, HOLDS_EXEC, sys_device(&old.file), old.file.stx_ino);
    report->generation.wanted = intervention->policy.value[KEY_KEEP];
    enum stage_outcome outcome = stage_commit(release, sync, report);
    if (outcome == STAGE_BUSY)
        outcome = commit_busy(intervention, release, sync);
    int error = errno;
    event->sync = intervention->sync;
    event->bytes = report->bytes;
    event->old_inode = report->target_inode;
    event->hard_links = old.file.stx_nlink;
    if (outcome == STAGE_REPLACED || outcome == STAGE_OVERTAKEN) {
        verdict = judge(intervention, &old);
        event->published_early = report->early;
    }
    old_version_close(&old);
    if (outcome == STAGE_DISCARDED || outcome == STAGE_SUPERSEDED || outcome == STAGE_UNCHANGED)
        event->avoid_inode = 0; /* its number may be the log's by now */
    switch (outcome) {
    case STAGE_OVERTAKEN:
        event->reason = "target-replaced";
        /* fall through */
    case STAGE_REPLACED:
        intervention_add_generation(intervention);
        intervention_say(intervention, "redirect", report->early ? "published-early" : "replaced", verdict);
        return 0;
    case STAGE_CREATED:
        event->old_inode = 0;
        intervention_say(intervention, "redirect", report->early ? "published-early" : "created", "transient");
        return 0;
    case STAGE_UNCHANGED:
        intervention_say(intervention, "redirect", "unchanged", "transient");
        return 0;
    case STAGE_DISCARDED:
        event->reason = "target-unlinked";
        intervention_say(intervention, "redirect", "discarded", "replaced");
        return 0;
    case STAGE_SUPERSEDED:
        event->reason = "target-replaced";
        intervention_say(intervention, "redirect", "discarded", "replaced");
        return 0;
    case STAGE_GONE:
        return 0;
    case STAGE_BUSY: /* commit_busy has made it another outcome */
    case STAGE_FAILED:
        event->error = error;
        intervention_say(intervention, "redirect", "failed", "failed");
        errno = error;
        return -1;
    }
    return 0;
}

static void say_pending(struct intervention *intervention)
{
    intervention_held(intervention, HOLDS_WRITE | HOLDS_MAP, intervention->report.device, intervention->report.inode);
    intervention->scan.leave_out = sys_getpid();
    intervention_look(intervention, ON_REDIRECT);
    intervention_say(intervention, "pending", "pending", "replaced");
}

enum whose { THE_PROGRAMS, HANDED_ON };

/*
 * Commits, or says that it has to wait; of what was handed on to a child that is known to write it needn't be said.
 * Returns 0, or -1 with errno when the commit failed.
 */
static int settle_as(enum whose whose, struct stage_release *release, const char *op)
{
    struct intervention *intervention = intervention_begin(&intervention, op, NULL, ETXTBSY);
    if (!intervention) { /* no memory: the stage stays, this process's exit asks again, and the program is told */
        stage_release_finish(release);
        errno = ENOMEM;
        return -1;
    }
    struct stage_report *report = &intervention->report;
    struct event *event = &intervention->event;
    int result = 0;
    enum stage_end end = whose == HANDED_ON ? stage_release_end(release, report) : ask(release, report);
    if (end == STAGE_SPOILT) {
        failure_of_child(op, release);
        end = stage_release_end(release, report);
    }
    if (end != STAGE_NONE && end != STAGE_HELD && end != STAGE_ABORTED) {
        decide(intervention);
        if (report->op)
            event->op = report->op;
        event->path = event->target = report->target;
        event->stage = report->path;
        event->new_inode = report->inode;
        event->avoid_device = report->device;
        event->avoid_inode = report->inode;
    }
    if (end == STAGE_READY) {
        result = commit(intervention, release);
    } else {
        if (end == STAGE_ABORTED) {
            result = -1;
        } else if (end == STAGE_PENDING) {
            stage_set_pending(release);
            if (whose == THE_PROGRAMS)
                say_pending(intervention);
        } else if (end == STAGE_LOST) {
            event->error = ENOENT;
            intervention_say(intervention, "redirect", "failed", "failed");
            errno = ENOENT;
            result = -1;
        }
        stage_release_finish(release);
    }
    intervention_end(intervention);
    return result;
}

static int settle(struct stage_release *release, const char *op)
{
    return settle_as(THE_PROGRAMS, release, op);
}

int release_end(struct stage_release *release, const char *op, int result)
{
    int saved = errno;
    if (!release->known.slot) {
        release_pending(op);
        return result;
    }
    if (result < 0)
        failure_of_close(op, release, saved);
    int failed = settle(release, op);
    if (failed && result >= 0) {
        if (errno == EINTR) /* would be taken for no failure, or for one that another close mends */
            errno = EIO;
        return -1;
    }
    errno = saved;
    return result;
}

void release_handed_on(struct stage_release *release, const char *op)
{
    int saved = errno;
    if (release->known.slot)
        settle_as(HANDED_ON, release, op);
    errno = saved;
}

int release_over(struct stage_release *release, const char *op, int result)
{
    int saved = errno;
    release_end(release, op, result);
    errno = saved;
    return result;
}

void release_range(const char *op, unsigned first, unsigned last, int flags)
{
    int saved = errno, fd;
    struct descriptors own;
    if (first > last || flags & ~CLOSE_RANGE_UNSHARE)
        return;
    /* Other threads keep theirs: the table is made this thread's own before. What can't be done here the real call can't do. */
    if (flags && sys_call(SYS_close_range, ~0U, ~0U, flags) < 0) {
        errno = saved;
        return;
    }
    descriptors_open(&own);
    while ((fd = descriptors_next(&own)) >= 0) {
        struct stage_release release;
        if ((unsigned)fd < first || (unsigned)fd > last || !stage_release_begin(&release, fd))
            continue;
        sys_close(fd);
        settle(&release, op);
    }
    descriptors_close(&own);
    errno = saved;
}

void release_all(const char *op, enum stage_moment moment)
{
    int saved = errno;
    struct stage_release release = { .asker = -1 };
    while (stage_release_next(&release, moment))
        settle(&release, op);
    errno = saved;
}

void release_to_stranger(const char *op, enum stage_survivor which, bool adopts)
{
    int saved = errno;
    struct stage_release release = { .asker = -1 };
    while (stage_publish_next(&release, which, adopts))
        settle(&release, op);
    errno = saved;
}

void release_pending(const char *op)
{
    int saved = errno;
    struct stage_release release = { .asker = -1 };
    while (stage_pending_next(&release))
        settle(&release, op);
    errno = saved;
}

void release_awaited(const char *op)
{
    int saved = errno;
    struct wait wait;
    wait_begin(&wait, &transient);
    do
        release_pending(op);
    while (stage_is_pending() && wait_pause(&wait));
    errno = saved;
}

#include "release.h"

#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "intervention.h"

/* Commits, or says that it has to wait. Returns 0, or -1 with errno when the commit failed. */
static int settle(struct stage_release *release, const char *op)
{
    struct intervention *intervention = intervention_begin(op, NULL, ETXTBSY);
    if (!intervention) { /* no memory: the stage stays, this process's exit asks again, and the program is told */
        stage_release_finish(release);
        errno = ENOMEM;
        return -1;
    }
    struct stage_report *report = &intervention->report;
    struct event *event = &intervention->event;
    int result = 0;
    enum stage_end end = stage_release_end(release, report);
    if (end == STAGE_NONE || end == STAGE_HELD) {
        stage_release_finish(release);
        intervention_end(intervention);
        return 0;
    }
    intervention_decide(intervention, POLICY_WRITE, report->target);
    if (report->op)
        event->op = report->op;
    event->action = policy_action_name(ACTION_REDIRECT);
    event->path = event->target = report->target;
    event->stage = report->path;
    event->new_inode = report->inode;
    event->avoid_device = report->device;
    event->avoid_inode = report->inode;
    if (end == STAGE_PENDING) {
        stage_release_finish(release);
        intervention_say(intervention, "pending", "pending", "replaced");
        intervention_end(intervention);
        return 0;
    }

    enum stage_outcome outcome = stage_commit(release, (enum stage_sync)intervention->policy.value[KEY_SYNC], report);
    int error = errno;
    event->bytes = report->bytes;
    event->old_inode = report->target_inode;
    switch (outcome) {
    case STAGE_REPLACED:
        intervention_say(intervention, "redirect", report->early ? "published-early" : "replaced", "replaced");
        break;
    case STAGE_DISCARDED:
        event->reason = "target-unlinked";
        intervention_say(intervention, "redirect", "discarded", "replaced");
        break;
    case STAGE_FAILED:
        event->error = error;
        intervention_say(intervention, "redirect", "failed", "failed");
        errno = error;
        result = -1;
        break;
    }
    intervention_end(intervention);
    return result;
}

int release_end(struct stage_release *release, const char *op, int result)
{
    int saved = errno;
    if (!release->known.slot) {
        release_pending(op);
        return result;
    }
    int failed = settle(release, op);
    if (failed && result >= 0)
        return -1;
    errno = saved;
    return result;
}

void release_range(const char *op, unsigned first, unsigned last)
{
    int saved = errno, fd;
    struct directory *own = scratch_map(sizeof *own);
    if (!own)
        return;
    if (descriptors_open(own) == 0)
        while ((fd = descriptors_next(own)) >= 0) {
            struct stage_release release;
            if ((unsigned)fd < first || (unsigned)fd > last || !stage_release_begin(&release, fd))
                continue;
            sys_close(fd);
            settle(&release, op);
        }
    directory_close(own);
    scratch_unmap(own, sizeof *own);
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

static void publish(const char *op, bool unadoptable)
{
    int saved = errno;
    struct stage_release release = { .asker = -1 };
    while (stage_publish_next(&release, unadoptable))
        settle(&release, op);
    errno = saved;
}

void release_to_stranger(const char *op)
{
    publish(op, false);
}

void release_unadoptable(const char *op)
{
    publish(op, true);
}

void release_pending(const char *op)
{
    int saved = errno;
    struct stage_release release = { .asker = -1 };
    while (stage_pending_next(&release))
        settle(&release, op);
    errno = saved;
}

#include "failure.h"

#include "intervention.h"

bool failure_is(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG || error == EROFS || error == ENOMEM;
}

static void abort_stage(const char *op, struct stage_release *release, int error, const char *reason)
{
    struct intervention *intervention = intervention_begin(&intervention, op, NULL, error);
    if (!intervention) {
        stage_abort(release, error, NULL);
        return;
    }
    struct stage_report *report = &intervention->report;
    struct event *event = &intervention->event;
    if (stage_abort(release, error, report)) {
        enum policy_action action = intervention_decide(intervention, POLICY_WRITE, report->target);
        bool was_busy = report->kind == STAGE_OF_BUSY;
        event->action = policy_action_name(was_busy && action != ACTION_ATOMIC ? ACTION_REDIRECT : ACTION_ATOMIC);
        event->path = event->target = report->target;
        event->stage = report->path;
        event->bytes = report->bytes;
        event->new_inode = report->inode;
        event->avoid_device = report->device;
        event->avoid_inode = report->inode;
        event->reason = reason;
        intervention_say(intervention, "redirect", "aborted", "failed");
    }
    intervention_end(intervention);
}

void failure_of_close(const char *op, struct stage_release *release, int error)
{
    if (failure_is(error))
        abort_stage(op, release, error, "write-failed");
}

void failure_of_write(const char *op, int fd, int error)
{
    int saved = errno;
    struct stage_release release;
    if (failure_is(error) && stage_release_begin(&release, fd)) {
        abort_stage(op, &release, error, "write-failed");
        stage_release_finish(&release);
    }
    errno = saved;
}

void failure_of_child(const char *op, struct stage_release *release)
{
    abort_stage(op, release, EIO, "writer-killed");
}

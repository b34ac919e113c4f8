#include "rename.h"

#include "intervention.h"

/* Which file is in the way isn't said: the one that would lose its name to a rename, if there is one, is the likelier. */
static void find_file(struct intervention *intervention, const struct rename_call *call)
{
    struct stage_target *target = &intervention->target;
    struct event *event = &intervention->event;
    if (call->new_path && stage_resolve(target, call->newdirfd, call->new_path, O_NOFOLLOW, 0) == 0) {
        event->path = call->new_path;
        event->target = target->path;
    } else if (stage_resolve(target, call->dirfd, call->path, O_NOFOLLOW, 0) == 0) {
        event->target = target->path;
    }
}

/* Whether the policy is to wait. */
static bool begin(struct rename_call *call)
{
    struct intervention *intervention = call->intervention = intervention_begin(&call->intervention, call->op, call->path, ETXTBSY);
    if (!intervention)
        return false;
    find_file(intervention, call);
    if (intervention->event.target)
        intervention_held(intervention, HOLDS_EXEC | HOLDS_WRITE | HOLDS_MAP, sys_device(&intervention->target.file),
                          intervention->target.file.stx_ino);
    const char *path = intervention->event.target ? intervention->event.target : call->path;
    enum policy_action action = intervention_decide(intervention, POLICY_RENAME, path);
    if (action == ACTION_OBSERVE) {
        intervention->event.reason = "policy";
        intervention_look(intervention, ON_GIVING_UP);
        intervention_say(intervention, "observe", "observed", "refused");
    }
    if (action != ACTION_RETRY)
        return false;
    intervention_begin_wait(intervention, WAIT_FOR_HOLDERS);
    intervention->wait.bounds.uncancellable = true; /* rename and unlink aren't cancellation points */
    return true;
}

static void end(struct rename_call *call)
{
    if (call->intervention)
        intervention_end(call->intervention);
    call->intervention = NULL;
}

bool rename_wait(struct rename_call *call, long result)
{
    int error = result == 0 ? 0 : errno;
    bool busy = error == ETXTBSY || error == EINTR;
    if (!call->intervention && !begin(call)) {
        end(call);
        errno = ETXTBSY;
        return false;
    }
    struct intervention *intervention = call->intervention;
    if (busy && wait_pause(&intervention->wait))
        return true;
    if (busy)
        intervention_give_up(intervention, ETXTBSY);
    else
        intervention_say_waited(intervention, "succeeded", "transient");
    end(call);
    errno = busy ? ETXTBSY : error; /* EEXIST, say, is as good an answer as any: mv asks with RENAME_NOREPLACE first */
    return false;
}

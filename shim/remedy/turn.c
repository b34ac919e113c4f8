#include "turn.h"

#include <string.h>

#include "../policy/policy.h"
#include "../sys/locks.h"
#include "reach.h"

static void say(struct intervention *intervention, bool over)
{
    intervention_say_waited(intervention, over ? "gave-up" : "succeeded", over ? "persistent" : "transient");
}

static bool is_locked(const struct intervention *intervention)
{
    const struct stage_target *target = &intervention->target;
    return locks_of_others(AT_FDCWD, target->path, &target->file, LOCKS_EXCLUSIVE);
}

/* Looks for the file anew each time: it may have been replaced by one that isn't locked. */
static void wait_for_locks(struct intervention *intervention, const struct run *run)
{
    bool over = false, gone = false;
    intervention_begin_wait(intervention, WAIT_FOR_TURN);
    do {
        over = !wait_pause(&intervention->wait);
        gone = !over && !reach_target(run, intervention->candidate, &intervention->target);
    } while (!over && !gone && is_locked(intervention));
    say(intervention, over);
}

void turn_to_run(const struct run *run)
{
    int saved = errno;
    struct intervention *intervention = intervention_begin(&intervention, run->op, run->path, 0);
    if (!intervention)
        return;
    struct stage_target *target = &intervention->target;
    if (reach_candidate(run, intervention->candidate) && reach_target(run, intervention->candidate, target)) {
        enum policy_action action = intervention_decide(intervention, POLICY_EXEC, target->path);
        bool respects = action != ACTION_OFF && intervention->policy.value[KEY_RESPECT_LOCKS] == SWITCH_ON;
        intervention->event.target = target->path;
        intervention->event.reason = STAGE_LOCKED;
        if (respects && is_locked(intervention)) {
            if (action == ACTION_OBSERVE)
                intervention_say(intervention, "observe", "observed", "refused");
            else
                wait_for_locks(intervention, run);
        }
    }
    intervention_end(intervention);
    errno = saved;
}

struct turn turn_begin(const struct intervention *intervention, struct stage_request *request)
{
    request->respects_locks = intervention->policy.value[KEY_RESPECT_LOCKS] == SWITCH_ON;
    request->alone = intervention->policy.value[KEY_SERIALISE] == SWITCH_ON;
    return (struct turn){ 0 };
}

bool turn_comes(struct turn *turn, struct intervention *intervention, struct stage_request *request)
{
    const char *reason = intervention->event.reason;
    if (turn->over || !reason || (strcmp(reason, STAGE_LOCKED) != 0 && strcmp(reason, STAGE_SERIALISED) != 0))
        return false;
    if (!turn->reason)
        intervention_begin_wait(intervention, WAIT_FOR_TURN);
    turn->reason = reason;
    turn->over = !wait_pause(&intervention->wait);
    if (turn->over)
        request->respects_locks = request->alone = false;
    return true;
}

void turn_end(const struct turn *turn, struct intervention *intervention)
{
    struct event *event = &intervention->event;
    const struct event before = *event;
    if (!turn->reason)
        return;
    event->error = 0;
    event->reason = turn->reason;
    say(intervention, turn->over);
    *event = before;
}

/*
 * Others may say that they are at work on a file: by an advisory lock on it (key respect_locks), or by a stage of it that they
 * hold (key serialise). They are let finish first, within the policy's bounds; then things go on as if they weren't there.
 *
 * Safe anywhere; cancellation points while they wait.
 */
#ifndef REMEDY_TURN_H
#define REMEDY_TURN_H

#include "../stage/stage.h"
#include "intervention.h"
#include "run.h"

/* Before a program is started: waits while another process has an exclusive lock on it. Keeps errno. */
void turn_to_run(const struct run *);

/*
 * Before a file is replaced, when the policy has been decided:
 *
 *     struct turn turn = turn_begin(intervention, &request);
 *     fd = stage_create(&request, &intervention->event.reason);
 *     while (fd < 0 && turn_comes(&turn, intervention, &request) && the target, resolved again, is still to be replaced)
 *         fd = stage_create(&request, &intervention->event.reason);
 *     turn_end(&turn, intervention);
 */
struct turn {
    const char *reason; /* what it has waited for last; NULL: it hasn't waited */
    bool over;          /* the bounds are reached */
};

/* Puts into the request what the policy says about others. */
struct turn turn_begin(const struct intervention *, struct stage_request *);

/* Whether it is worth trying again: it was refused because others are at work, and there has been a pause. */
bool turn_comes(struct turn *, struct intervention *, struct stage_request *);

/* Says so when there was a wait. What the intervention has to say itself is as before. */
void turn_end(const struct turn *, struct intervention *);

#endif

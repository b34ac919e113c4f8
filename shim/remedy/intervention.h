/*
 * One intervention: the policy that is in force for it, and the one line that is said about it. Where policy, wait, stage
 * and event, which don't know each other, are put together. Lives in a scratch mapping. For use within remedy/.
 */
#ifndef REMEDY_INTERVENTION_H
#define REMEDY_INTERVENTION_H

#include <linux/limits.h>

#include "../event/event.h"
#include "../policy/policy.h"
#include "../stage/stage.h"
#include "../wait/wait.h"

struct intervention {
    struct event event;
    struct policy policy;
    struct policy_sources sources;
    struct wait wait;
    struct stage_target target;
    struct stage_report report;
    char comm[16];
    char exe[PATH_MAX];
    char rule[PATH_MAX + 32];
    char message[2 * PATH_MAX];
    char candidate[PATH_MAX];
    char line[EVENT_LINE_SIZE + 1]; /* terminated, for the environment */
    char word[EVENT_LINE_SIZE + 32];
};

/* Begins one about a call that met `error`. Returns NULL when there is no memory: then the kernel's answer stands. Keeps errno. */
struct intervention *intervention_begin(const char *op, const char *path, int error);
void intervention_end(struct intervention *);

/* Decides the policy for `path`, says so when a configuration can't be read, and returns the action. */
enum policy_action intervention_decide(struct intervention *, enum policy_operation, const char *path);

/* The bounds of a wait under that policy, here and now. */
struct wait_bounds intervention_bounds(const struct intervention *);

/* Where the replaced file is kept, or why it isn't. */
void intervention_add_generation(struct intervention *);

/* Says what happened. `event.event`, `outcome` and `verdict` are given here, the rest is in place. */
void intervention_say(struct intervention *, const char *event, const char *outcome, const char *verdict);

/* Says how the wait that `wait` stands for has ended. Keeps errno. */
void intervention_say_waited(struct intervention *, const char *outcome, const char *verdict);

/* The same line, but kept in `line` for somebody else to send: returns its length. */
size_t intervention_word(struct intervention *, const char *event, const char *outcome, const char *verdict);

#endif

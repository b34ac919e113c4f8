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

#define EXE_SIZE PATH_MAX
#define RULE_SIZE (PATH_MAX + 32)
#define MESSAGE_SIZE (2 * PATH_MAX)

/*
 * What all have to do with comes first, up to the head of `scan`: that is one page. Of the others the heads are beside what is in
 * use with them, and the texts are one page: the first touch of each costs as much as ten system calls (measured on 6.18, in a
 * virtual machine).
 */
struct intervention {
    struct event event;
    struct policy policy;
    struct policy_sources sources;
    struct wait wait;
    struct host host;
    uint64_t scan_budget_ns;
    size_t word_length; /* of the line in `word`; 0: what is known has changed since */
    bool looks, said_waiting;
    const void *holder;
    char comm[16], sync[8];
    char *exe, *rule, *message; /* in `text`, and the line: each behind the one before, which is short as a rule */
    struct holders_scan scan;
    struct holder_list holders;
    struct stage_target target;
    struct stage_report report;
    char candidate[PATH_MAX];
    char word[EVENT_SHORT_SIZE + 32]; /* for the environment */
    _Alignas(4096) char text[EXE_SIZE + RULE_SIZE + MESSAGE_SIZE + EVENT_LINE_SIZE];
};

/*
 * Begins one about a call that met `error`. Returns NULL when there is no memory: then the kernel's answer stands. `holder` is for
 * scratch_may_be_left: a variable of the caller's that is there until intervention_end. Keeps errno.
 */
struct intervention *intervention_begin(struct intervention **holder, const char *op, const char *path, int error);
void intervention_end(struct intervention *);

/* Decides the policy for `path`, says so when a configuration can't be read, and returns the action. */
enum policy_action intervention_decide(struct intervention *, enum policy_operation, const char *path);

/*
 * Which files are in the way, to be named with those that hold them: call it for each before the wait, or before something is
 * said. `device` is sys_device's, `holds` a set of enum holder_how, the same for all.
 */
void intervention_held(struct intervention *, unsigned holds, uint64_t device, uint64_t inode);

/*
 * Finds the holders now, unless that has been done, or the policy doesn't want it. On giving up the program gets its ETXTBSY;
 * a redirect has had its remedy.
 */
enum intervention_occasion { ON_GIVING_UP, ON_REDIRECT };
void intervention_look(struct intervention *, enum intervention_occasion);

/* It is certain that there are none, without a look. */
void intervention_has_no_holders(struct intervention *);

/*
 * A wait under that policy, here and now; the caller goes on with wait_pause. When it has lasted 100 ms the holders are looked
 * for, in the pauses, and when it has lasted 1 s a `waiting` line is written: should the program be killed, or never be
 * heard of again, there is a cause on record.
 */
enum intervention_wait { WAIT_FOR_HOLDERS, WAIT_FOR_TURN }; /* for a turn: nobody is looked for who holds the file */
void intervention_begin_wait(struct intervention *, enum intervention_wait);

/* What the wait has come to, for the line about it; between two attempts, or at its end. */
void intervention_note_wait(struct intervention *);

/* Where the replaced file is kept, or why it isn't. */
void intervention_add_generation(struct intervention *);

/* Says what happened. `event.event`, `outcome` and `verdict` are given here, the rest is in place. */
void intervention_say(struct intervention *, const char *event, const char *outcome, const char *verdict);

/* Says how the wait that `wait` stands for has ended. Keeps errno. */
void intervention_say_waited(struct intervention *, const char *outcome, const char *verdict);

/* The same where it has ended without success, with that errno at last: who is in the way, and what to think of it. */
void intervention_give_up(struct intervention *, int error);

/*
 * What is to be said if the attempt that follows a pause succeeds, for somebody else to say: `word` is then `name` and the line,
 * terminated. Who gets it can't make it shorter, so the line is in EVENT_SHORT_SIZE.
 */
void intervention_word(struct intervention *, const char *name);

#endif

/*
 * A bounded wait: how long to pause before each further attempt, and when to stop.
 *
 *     struct wait wait;
 *     wait_begin(&wait, &bounds);
 *     while (attempt() fails with ETXTBSY)
 *         if (!wait_pause(&wait))
 *             give up;
 *
 * The ladder is dense at first (a fork race clears in microseconds), climbs with the wait up to a cap, and is spread by jitter so
 * that many waiters don't move in step. The last attempt comes right at the deadline. Safe anywhere; a cancellation point
 * except in a vfork child, where cancelling would unwind the parent's stack.
 */
#ifndef WAIT_H
#define WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct wait_bounds {
    uint64_t first_ns, cap_ns, max_wait_ns;
    uint64_t max_attempts; /* of the caller's operation, the first one included; 0: no limit but max_wait */
    bool uncancellable;    /* whoever waits here has something to finish */
};

struct wait;

/*
 * Called during a pause, `mark_ns` after the wait began, with the time that the pause still has; sets the next mark, or 0. So
 * a long wait can be looked into without being made longer.
 */
typedef void wait_marked(struct wait *, uint64_t spare_ns);

struct wait {
    struct wait_bounds bounds;
    uint64_t started_ns;                    /* CLOCK_MONOTONIC */
    uint64_t attempts;                      /* that have failed so far */
    bool last;                              /* the deadline has passed: the attempt that follows was the last */
    uint64_t paused_ns;                     /* when the last pause ended, since the wait began */
    uint64_t first_delay_ns, last_delay_ns; /* how long the first pause took, and the last */
    uint64_t mark_ns;                       /* 0: none */
    wait_marked *marked;
    void *context; /* for it */
};

/* Call it after the first attempt has failed. */
void wait_begin(struct wait *, const struct wait_bounds *);

/* Sleeps until the next attempt is due. Returns false, without sleeping, when there is to be none. */
bool wait_pause(struct wait *);

/* Time since wait_begin. */
uint64_t wait_elapsed_ns(const struct wait *);

/*
 * The pause when the wait has lasted so long: a 16th of that, and a 32nd of what is beyond 25 ms, but no more than 13 ms; after
 * a second that, or a 16th of what is beyond it; at least first and at most cap. `noise` takes off up to a third.
 */
uint64_t wait_ladder(const struct wait_bounds *, uint64_t elapsed_ns, uint64_t noise);

/*
 * A descriptor through which this very process has the file open for writing, or -1. As long as it does no wait can help,
 * unless another thread closes it. `device` is sys_device's.
 */
int wait_self_held(uint64_t device, uint64_t inode);

#endif

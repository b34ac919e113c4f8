/*
 * Of two threads that want a stage for the same target at the same moment the second one waits until the first has made it, and
 * joins. Between processes nothing is claimed: each has its own stage, and the last one counts.
 *
 * A claim is a word with the thread's number. It is held for the making of a stage, from one function on to its end, and no
 * longer; safe anywhere: a signal handler that comes upon its own thread's claim, who comes upon that of a thread that isn't there
 * (in a fork child), and who has waited for long go on as if there were none. For use within stage/.
 */
#ifndef STAGE_CLAIM_H
#define STAGE_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stage_target;

struct claim {
    pid_t *place; /* NULL: none */
    pid_t thread;
};

/*
 * Between two looks at what another thread is doing; `begun` is 0 at the first. False when that has lasted longer than any of it
 * should.
 */
bool claim_pause(uint64_t *begun);

/* Keeps errno. */
struct claim claim_begin(const struct stage_target *);
void claim_end(const struct claim *);

#endif

/*
 * Working memory for one intervention: private mappings, made when a call meets a conflict. The shim may not allocate and may run
 * on an 8 KiB signal stack, so whatever is larger than a few hundred bytes lives here. A process that has met a conflict keeps two
 * of them for the next one.
 *
 * Safe anywhere. What a vfork child has taken when it execs, its parent takes back at the next
 * intervention of the same thread; what a thread has that is cancelled, any other at its next intervention; and what somebody has
 * who jumped out of a wait, the next one who waits at the same place of the stack.
 */
#ifndef SYS_SCRATCH_H
#define SYS_SCRATCH_H

#include <stddef.h>

/* Returns memory with anything in it, or NULL with errno ENOMEM. */
void *scratch_map(size_t size);

/*
 * Before a wait in which the calling thread may be cancelled, or leave by a jump out of a signal handler. `holder` is a variable on
 * the stack of who uses the memory, and is there for as long as it is used. Keeps errno.
 */
void scratch_may_be_left(void *memory, size_t size, const void *holder);

/* Keeps errno. */
void scratch_unmap(void *memory, size_t size);

#endif

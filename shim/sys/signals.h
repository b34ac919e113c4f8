/*
 * Signals that a call of ours may raise, though the program has not made it: the reader of a pipe is gone, a file has reached the
 * process's limit, a terminal stops who writes in the background. Safe anywhere.
 */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))

struct signals_held {
    uint64_t mask, pending; /* as they were before */
};

/* Holds a set of them back from the calling thread. Returns false, and holds none, where that can't be done. */
bool signals_hold(struct signals_held *, uint64_t signals);

/*
 * Takes away those of them that the call has raised, which its errno says, and lets the others be as they were. One that was
 * pending before stays; none was that the program doesn't hold back itself. Keeps errno.
 */
void signals_release(const struct signals_held *, uint64_t raised);

#endif

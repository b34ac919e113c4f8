/*
 * What happens when a file can't be opened for writing, or truncated, because somebody executes it.
 * Called by a wrapper after the real call has answered ETXTBSY; safe anywhere; a cancellation point, as open is.
 * `op` is the libc entry point.
 */
#ifndef REMEDY_WRITE_H
#define REMEDY_WRITE_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../policy/policy.h"
#include "../stage/stage.h"

struct write_open {
    const char *op;
    int dirfd;
    const char *path;
    int flags;
    mode_t mode;
    uint64_t resolve; /* as in openat2(2); 0 for all other calls */
    bool only_stage;  /* a descriptor of a stage will do, one of the file itself won't: the file is opened later, if ever */
    bool *joined;     /* set when the descriptor is of a stage that there was before; NULL: nobody asks */
    /*
     * For an open that is made elsewhere, by somebody who hasn't the file for it yet. Whether it would be refused now is asked so,
     * where other opens are made again; WRITE_NOT_REFUSED is the answer in place of a descriptor. NULL for all others.
     */
    bool (*is_refused)(const void *context);
    const void *context;
    bool out_of_reach; /* a stage's descriptor can't be brought there: there is only the wait */
};

#define WRITE_NOT_REFUSED INT_MAX

/* Returns a descriptor such as the refused open would have returned, or -1 with errno ETXTBSY. */
int write_open(const struct write_open *);

/*
 * Whether an open is to be looked at before it is made: it empties a file for which the policy may want a stage, busy or not; or
 * this process has a stage, and what is written to its target by another open must be in it, whether the old file is still
 * executed or not: that one is about to be replaced.
 */
static inline bool write_is_foreseen(int flags)
{
    return (flags & O_TRUNC && policy_foresight() & POLICY_ATOMIC) || (stage_known_count && flags & (O_ACCMODE | O_TRUNC));
}

/*
 * Before such an open: a descriptor of the stage that there is for the file, or that the policy wants for it; or -1: then the real
 * open is to be made, and its answer stands. Keeps errno.
 */
int write_open_forestalled(const struct write_open *);

/* The same before a truncate: whether it is done, with what write_truncate returns in *result. */
bool write_truncate_forestalled(const char *op, const char *path, int64_t length, int *result);

/* Returns 0, or -1 with errno ETXTBSY (or the errno of a commit that failed). */
int write_truncate(const char *op, const char *path, int64_t length);

#endif

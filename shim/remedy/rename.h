/*
 * What happens when a name can't be made, changed or removed because the file is busy. Linux itself never says so; VirtualBox's
 * shared folders do while the host has the file open. The wrapper makes its call again as long as it is told to:
 *
 *     struct rename_call call = { .op = "unlink", .dirfd = AT_FDCWD, .path = path };
 *     int result;
 *     do
 *         result = NEXT(unlink)(path);
 *     while (rename_again(&call, result));
 *
 * Safe anywhere; not a cancellation point. After a wait that was no use errno is exactly ETXTBSY; any other errno ends the wait,
 * and is the answer.
 */
#ifndef REMEDY_RENAME_H
#define REMEDY_RENAME_H

#include <stdbool.h>

#include "../sys/call.h"

/* One call by whichever entry point. */
struct rename_call {
    const char *op; /* the libc entry point */
    int dirfd, newdirfd;
    const char *path, *new_path;       /* of a rename: the name that may be somebody's already; NULL: the call has none */
    struct intervention *intervention; /* NULL until the call has met ETXTBSY */
};

/* Whether to make the call again, which has just returned `result`. What it does is over when this says no. */
bool rename_wait(struct rename_call *, long result);

static inline bool rename_again(struct rename_call *call, long result)
{
    if (likely((result == 0 || errno != ETXTBSY) && !call->intervention))
        return false;
    return rename_wait(call, result);
}

#endif

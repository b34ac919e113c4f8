#include "entries.h"

struct next next;

static int missing(void)
{
    errno = ENOSYS;
    return -1;
}

/* Threads that meet here store the same value. */
next_function next_find(next_slot *slot, const char *name)
{
    if (likely(*slot))
        return *slot;
    next_function function = next_symbol(name);
    return *slot = function ? function : (next_function)missing;
}

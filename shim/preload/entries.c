#include "entries.h"

struct next next;

static int missing(void)
{
    errno = ENOSYS;
    return -1;
}

next_function next_find(const char *name)
{
    next_function function = next_symbol(name);
    return function ? function : (next_function)missing;
}

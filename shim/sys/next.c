#include "next.h"

#include <dlfcn.h>
#include <errno.h>

next_function next_symbol(const char *name)
{
    int saved = errno;
    /* Stored before it is returned: as a tail call, dlsym would take our caller's library for the place to look behind. */
    void *volatile symbol = dlsym(RTLD_NEXT, name);
    errno = saved;
    return (next_function)symbol;
}

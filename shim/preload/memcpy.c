#include <string.h>

/*
 * The compiler calls memcpy wherever it likes. libc's has a symbol version of its own (2.14), and each version that a library asks
 * for is looked for in every process that starts; memmove's is one that is needed anyway.
 */
void *memcpy(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

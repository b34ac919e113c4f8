#include "scratch.h"

#include <sys/mman.h>

#include "call.h"

void *scratch_map(size_t size)
{
#ifdef __i386__
    long memory = sys_call(SYS_mmap2, 0L, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
#else
    long memory = sys_call(SYS_mmap, 0L, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
#endif
    return memory == -1 ? NULL : (void *)memory;
}

void scratch_unmap(void *memory, size_t size)
{
    int saved = errno;
    if (memory)
        sys_call(SYS_munmap, memory, size);
    errno = saved;
}

#include "lasting.h"

#include "call.h"

#define TRIES 2 /* an exec's heir that has no memory for a moment would lose the stage it was to adopt */

void *lasting_memory(void **place, size_t size, enum lasting kind)
{
    int saved = errno;
    void *memory = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    for (int tries = 0; !memory && tries < TRIES; tries++) {
        void *mine = sys_map(size, kind == LASTING_SHARED ? MAP_SHARED : MAP_PRIVATE);
        if (mine && __atomic_compare_exchange_n(place, &memory, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            memory = mine;
        else if (mine) /* somebody was quicker */
            sys_unmap(mine, size);
    }
    errno = saved;
    return memory;
}

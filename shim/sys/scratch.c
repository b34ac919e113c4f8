#include "scratch.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "call.h"
#include "process.h"

/*
 * A vfork child that execs leaves its mappings to the parent. The thread that it borrowed stands still until then, so
 * whatever a child of that thread has noted here is free to go when the thread itself, or its next child, comes by.
 */
static struct borrowed {
    void *memory; /* NULL: free; taken by compare-and-swap, over FILLING */
    size_t size;
    pthread_t thread;
    pid_t child;
} borrowed[16];

#define FILLING ((void *)borrowed) /* not the address of a mapping */
#define BORROWED (sizeof borrowed / sizeof *borrowed)

static bool any_borrowed;

static void reclaim(void)
{
    pid_t self = (pid_t)sys_call(SYS_gettid);
    for (size_t i = 0; i < BORROWED; i++) {
        void *memory = __atomic_load_n(&borrowed[i].memory, __ATOMIC_ACQUIRE);
        if (memory && memory != FILLING && borrowed[i].thread == pthread_self() && borrowed[i].child != self) {
            sys_call(SYS_munmap, memory, borrowed[i].size);
            __atomic_store_n(&borrowed[i].memory, NULL, __ATOMIC_RELEASE);
        }
    }
}

static void note(void *memory, size_t size)
{
    for (size_t i = 0; i < BORROWED; i++) {
        void *none = NULL;
        if (!__atomic_compare_exchange_n(&borrowed[i].memory, &none, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        borrowed[i].size = size;
        borrowed[i].thread = pthread_self();
        borrowed[i].child = (pid_t)sys_call(SYS_gettid);
        __atomic_store_n(&borrowed[i].memory, memory, __ATOMIC_RELEASE);
        any_borrowed = true;
        return;
    }
}

static void strike_out(void *memory)
{
    for (size_t i = 0; i < BORROWED; i++)
        if (__atomic_load_n(&borrowed[i].memory, __ATOMIC_ACQUIRE) == memory)
            __atomic_store_n(&borrowed[i].memory, NULL, __ATOMIC_RELEASE);
}

void *scratch_map(size_t size)
{
#ifdef __i386__
    const long mmap_number = SYS_mmap2;
#else
    const long mmap_number = SYS_mmap;
#endif
    if (any_borrowed)
        reclaim();
    long address = sys_call(mmap_number, 0L, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
    if (address == -1)
        return NULL;
    if (process_borrows_memory())
        note((void *)address, size);
    return (void *)address;
}

void scratch_unmap(void *memory, size_t size)
{
    int saved = errno;
    if (memory && any_borrowed)
        strike_out(memory);
    if (memory)
        sys_call(SYS_munmap, memory, size);
    errno = saved;
}

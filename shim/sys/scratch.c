#include "scratch.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "call.h"
#include "process.h"

/*
 * What may be left behind.
 *
 * A vfork child that execs leaves its mappings to the parent. The thread that it borrowed stands still until then, so
 * whatever a child of that thread has noted here is free to go when the thread itself, or its next child, comes by.
 *
 * A thread that is cancelled in a wait doesn't come back to unmap anything. What it has noted is free to go when it is no thread
 * of this process any more. A fork child has the notes of its parent's threads, and lets them be: it may be one of these itself.
 */
static struct left {
    void *memory; /* NULL: free; taken by compare-and-swap, over FILLING */
    size_t size;
    pthread_t thread;
    pid_t process; /* 0: a vfork child's */
    pid_t task;
} left[64];

#define FILLING ((void *)left) /* not the address of a mapping */
#define LEFT (sizeof left / sizeof *left)

static bool any_left;

static bool is_left(const struct left *one, pid_t process, pid_t task)
{
    if (!one->process)
        return one->thread == pthread_self() && one->task != task;
    return one->process == process && one->task != task && sys_call(SYS_tgkill, process, one->task, 0L) < 0 && errno == ESRCH;
}

static void reclaim(void)
{
    int saved = errno;
    pid_t process = sys_getpid(), task = (pid_t)sys_call(SYS_gettid);
    for (size_t i = 0; i < LEFT; i++) {
        void *memory = __atomic_load_n(&left[i].memory, __ATOMIC_ACQUIRE);
        if (memory && memory != FILLING && is_left(&left[i], process, task) &&
            __atomic_compare_exchange_n(&left[i].memory, &memory, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            sys_call(SYS_munmap, memory, left[i].size);
            __atomic_store_n(&left[i].memory, NULL, __ATOMIC_RELEASE);
        }
    }
    errno = saved;
}

static void note(void *memory, size_t size, pid_t process)
{
    for (size_t i = 0; i < LEFT; i++) {
        void *none = NULL;
        if (!__atomic_compare_exchange_n(&left[i].memory, &none, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        left[i].size = size;
        left[i].thread = pthread_self();
        left[i].process = process;
        left[i].task = (pid_t)sys_call(SYS_gettid);
        __atomic_store_n(&left[i].memory, memory, __ATOMIC_RELEASE);
        any_left = true;
        return;
    }
}

static void strike_out(void *memory)
{
    for (size_t i = 0; i < LEFT; i++)
        if (__atomic_load_n(&left[i].memory, __ATOMIC_ACQUIRE) == memory)
            __atomic_store_n(&left[i].memory, NULL, __ATOMIC_RELEASE);
}

void *scratch_map(size_t size)
{
#ifdef __i386__
    const long mmap_number = SYS_mmap2;
#else
    const long mmap_number = SYS_mmap;
#endif
    if (any_left)
        reclaim();
    long address = sys_call(mmap_number, 0L, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
    if (address == -1)
        return NULL;
    if (process_borrows_memory())
        note((void *)address, size, 0);
    return (void *)address;
}

void scratch_may_be_left(void *memory, size_t size)
{
    int saved = errno;
    if (memory && !process_borrows_memory()) {
        if (any_left)
            strike_out(memory);
        note(memory, size, sys_getpid());
    }
    errno = saved;
}

void scratch_unmap(void *memory, size_t size)
{
    int saved = errno;
    if (memory && any_left)
        strike_out(memory);
    if (memory)
        sys_call(SYS_munmap, memory, size);
    errno = saved;
}

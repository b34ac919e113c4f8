#include "scratch.h"

#include <pthread.h>
#include <stdbool.h>

#include "call.h"
#include "lasting.h"
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
struct left {
    void *memory; /* NULL: free; taken by compare-and-swap, over FILLING */
    size_t size;
    pthread_t thread;
    pid_t process; /* 0: a vfork child's */
    pid_t task;
};

#define LEFT 64
#define FILLING ((void *)&notes) /* not the address of a mapping */

/* Of LEFT; NULL as long as nothing has ever been left. */
static void *notes;

static bool is_left(const struct left *one, pid_t process, pid_t task)
{
    if (!one->process)
        return one->thread == pthread_self() && one->task != task;
    return one->process == process && one->task != task && sys_call(SYS_tgkill, process, one->task, 0L) < 0 && errno == ESRCH;
}

static void reclaim(void)
{
    int saved = errno;
    struct left *left = notes;
    pid_t process = sys_getpid(), task = (pid_t)sys_call(SYS_gettid);
    for (size_t i = 0; i < LEFT; i++) {
        void *memory = __atomic_load_n(&left[i].memory, __ATOMIC_ACQUIRE);
        if (memory && memory != FILLING && is_left(&left[i], process, task) &&
            __atomic_compare_exchange_n(&left[i].memory, &memory, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            sys_unmap(memory, left[i].size);
            __atomic_store_n(&left[i].memory, NULL, __ATOMIC_RELEASE);
        }
    }
    errno = saved;
}

static void note(void *memory, size_t size, pid_t process)
{
    struct left *left = lasting_memory(&notes, LEFT * sizeof *left, LASTING_PRIVATE);
    for (size_t i = 0; left && i < LEFT; i++) {
        void *none = NULL;
        if (!__atomic_compare_exchange_n(&left[i].memory, &none, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        left[i].size = size;
        left[i].thread = pthread_self();
        left[i].process = process;
        left[i].task = (pid_t)sys_call(SYS_gettid);
        __atomic_store_n(&left[i].memory, memory, __ATOMIC_RELEASE);
        return;
    }
}

static void strike_out(void *memory)
{
    struct left *left = notes;
    for (size_t i = 0; i < LEFT; i++)
        if (__atomic_load_n(&left[i].memory, __ATOMIC_ACQUIRE) == memory)
            __atomic_store_n(&left[i].memory, NULL, __ATOMIC_RELEASE);
}

void *scratch_map(size_t size)
{
    if (notes)
        reclaim();
    void *memory = sys_map(size, MAP_PRIVATE);
    if (memory && process_borrows_memory())
        note(memory, size, 0);
    return memory;
}

void scratch_may_be_left(void *memory, size_t size)
{
    int saved = errno;
    if (memory && !process_borrows_memory()) {
        if (notes)
            strike_out(memory);
        note(memory, size, sys_getpid());
    }
    errno = saved;
}

void scratch_unmap(void *memory, size_t size)
{
    int saved = errno;
    if (memory && notes)
        strike_out(memory);
    if (memory)
        sys_unmap(memory, size);
    errno = saved;
}

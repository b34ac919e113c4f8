#include "scratch.h"

#include <stdbool.h>

#include "call.h"
#include "lasting.h"
#include "process.h"

/*
 * What has been given back, for the next one to take. To unmap memory that was touched, and to touch new, costs more than all else
 * in the redirect of a small file: eight mappings of it took 0.5 ms of 1.3 to unmap (measured on 6.18, in a virtual machine). All
 * mappings that may be kept have one size, so that each fits everybody; an intervention needs one for itself, and another now
 * and then. Who has taken one is the only one to know it: a signal handler, or a fork child, finds the others or none.
 */
#define KEPT_SIZE ((size_t)320 << 10)
#define KEPT 2
static void *kept[KEPT];

static size_t mapped_size(size_t size)
{
    return size < KEPT_SIZE ? KEPT_SIZE : size;
}

static void *take_kept(void)
{
    void *memory = NULL;
    for (int i = 0; !memory && i < KEPT; i++)
        memory = __atomic_exchange_n(&kept[i], NULL, __ATOMIC_ACQ_REL);
    return memory;
}

/* In the other order than they are taken, so that the next intervention finds its own pages. */
static void give_back(void *memory, size_t size)
{
    for (int i = KEPT; mapped_size(size) == KEPT_SIZE && i--;) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&kept[i], &none, memory, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    sys_unmap(memory, mapped_size(size));
}

/*
 * What may be left behind.
 *
 * A vfork child that execs leaves what it has taken to the parent. The thread that it borrowed stands still until then, so
 * whatever a child of that thread has noted here is free to go when the thread itself, or its next child, comes by.
 *
 * A thread that is cancelled in a wait doesn't come back to give anything back. What it has noted is free to go when it is no
 * thread of this process any more. A fork child has the notes of its parent's threads, and lets them be: it may be one of these
 * itself.
 *
 * Who jumps out of a wait, from a signal handler, doesn't come back either, and nobody can tell by where the stack is now: handlers
 * and coroutines have stacks of their own. But no two variables that are there at one time have one address. So what has the same
 * holder as what is noted now was left; a program that jumps in a loop leaves no more than it did the first time.
 */
struct left {
    void *memory; /* NULL: free; taken by compare-and-swap, over FILLING */
    size_t size;
    const void *thread; /* where it has its errno, which a vfork child shares */
    pid_t process;      /* 0: a vfork child's, which has no holder */
    const void *holder;
    pid_t task;
};

#define LEFT 64
#define FILLING ((void *)&notes) /* not the address of a mapping */

/* Of LEFT; NULL as long as nothing has ever been left. */
static void *notes;

static bool is_left(const struct left *one, pid_t process, pid_t task, const void *holder)
{
    if (!one->process)
        return one->thread == &errno && one->task != task;
    if (one->process == process && holder && one->holder == holder)
        return true;
    return one->process == process && one->task != task && sys_call(SYS_tgkill, process, one->task, 0L) < 0 && errno == ESRCH;
}

/* `holder`: of what is about to be noted, or NULL. */
static void reclaim(const void *holder)
{
    int saved = errno;
    struct left *left = notes;
    pid_t process = sys_getpid(), task = sys_gettid();
    for (size_t i = 0; i < LEFT; i++) {
        void *memory = __atomic_load_n(&left[i].memory, __ATOMIC_ACQUIRE);
        if (memory && memory != FILLING && is_left(&left[i], process, task, holder) &&
            __atomic_compare_exchange_n(&left[i].memory, &memory, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            give_back(memory, left[i].size);
            __atomic_store_n(&left[i].memory, NULL, __ATOMIC_RELEASE);
        }
    }
    errno = saved;
}

static void note(void *memory, size_t size, pid_t process, const void *holder)
{
    struct left *left = lasting_memory(&notes, LEFT * sizeof *left, LASTING_PRIVATE);
    for (size_t i = 0; left && i < LEFT; i++) {
        void *none = NULL;
        if (!__atomic_compare_exchange_n(&left[i].memory, &none, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        left[i].size = size;
        left[i].thread = &errno;
        left[i].process = process;
        left[i].holder = holder;
        left[i].task = sys_gettid();
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
        reclaim(NULL);
    void *memory = mapped_size(size) == KEPT_SIZE ? take_kept() : NULL;
    if (!memory && !(memory = sys_map(mapped_size(size), MAP_PRIVATE)))
        return NULL;
    if (process_borrows_memory())
        note(memory, size, 0, NULL);
    return memory;
}

void scratch_may_be_left(void *memory, size_t size, const void *holder)
{
    int saved = errno;
    if (memory && !process_borrows_memory()) {
        if (notes) {
            strike_out(memory);
            reclaim(holder);
        }
        note(memory, size, sys_getpid(), holder);
    }
    errno = saved;
}

void scratch_unmap(void *memory, size_t size)
{
    int saved = errno;
    if (memory && notes)
        strike_out(memory);
    if (memory)
        give_back(memory, size);
    errno = saved;
}

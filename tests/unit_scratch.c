#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/sys/call.h"
#include "../shim/sys/scratch.h"
#include "harness.h"

/* ---- what is mapped and unmapped ----------------------------------------------------------------------------------------------
 */

static unsigned mapped, unmapped;
static bool no_memory;

static long counted_call(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_munmap)
        __atomic_add_fetch(&unmapped, 1, __ATOMIC_RELAXED);
    if (number == MMAP && no_memory) {
        errno = ENOMEM;
        return -1;
    }
    long result = syscall(number, a, b, c, d, e, f);
    if (number == MMAP && b > 4096) { /* the notes of what is left are less than a page, and are zero */
        __atomic_add_fetch(&mapped, 1, __ATOMIC_RELAXED);
        memset((void *)result, 0xa5, (size_t)b); /* nobody may count on zeroes */
    }
    return result;
}

static void count(void)
{
    sys_entry = counted_call;
}

TestSuite(scratch, .init = count);

Test(scratch, is_mapped_once_for_many_interventions)
{
    void *first = NULL, *inner = NULL;
    for (int i = 0; i < 1000; i++) {
        void *memory = scratch_map(294000), *nested = scratch_map(4096);
        cr_assert(memory && nested && memory != nested);
        cr_expect(!i || (memory == first && nested == inner), "each finds the pages that it has touched");
        first = memory;
        inner = nested;
        memset(memory, 1, 294000);
        memset(nested, 1, 4096);
        scratch_unmap(nested, 4096);
        cr_expect_eq(nested = scratch_map(65537), inner);
        memset(nested, 1, 65537);
        scratch_unmap(nested, 65537);
        scratch_unmap(memory, 294000);
    }
    cr_expect_eq(mapped, 2);
    cr_expect_eq(unmapped, 0);
}

Test(scratch, is_kept_for_two)
{
    void *memory[4];
    for (size_t i = 0; i < 4; i++)
        memset(memory[i] = scratch_map(5000), 1, 5000);
    for (size_t i = 0; i < 4; i++)
        scratch_unmap(memory[i], 5000);
    cr_expect_eq(mapped, 4);
    cr_expect_eq(unmapped, 2);
}

/* An environment is as large as it is, and its copy would be in the way of all that comes later. */
Test(scratch, that_is_large_is_not_kept)
{
    const size_t large = 5 << 20;
    for (unsigned i = 1; i < 4; i++) {
        char *memory = scratch_map(large);
        memset(memory, 1, large);
        scratch_unmap(memory, large);
        cr_expect_eq(unmapped, i);
    }
    void *small = scratch_map(100);
    scratch_unmap(small, 100);
    char *memory = scratch_map(large);
    cr_expect_neq(memory, small);
    memset(memory, 1, large);
    scratch_unmap(memory, large);
}

Test(scratch, may_be_short)
{
    no_memory = true;
    errno = 0;
    cr_expect_null(scratch_map(1));
    cr_expect_eq(errno, ENOMEM);
    scratch_unmap(NULL, 1);
    no_memory = false;
    void *memory = scratch_map(1);
    scratch_unmap(memory, 1);
    no_memory = true;
    cr_expect_eq(scratch_map(1), memory, "what is kept is there when there is no other");
}

Test(scratch, keeps_errno)
{
    void *memory[3];
    for (size_t i = 0; i < 3; i++)
        memory[i] = scratch_map(1);
    errno = ETXTBSY;
    for (size_t i = 0; i < 3; i++)
        scratch_unmap(memory[i], 1);
    cr_expect_eq(errno, ETXTBSY);
}

/* ---- whose it is ----------------------------------------------------------------------------------------------------------------
 */

/* A vfork child execs, or ends, with what it has taken; the mapping is its parent's. */
Test(scratch, that_a_vfork_child_has_taken_comes_back)
{
    scratch_unmap(scratch_map(1), 1);
    for (int i = 0; i < 100; i++) {
        pid_t child = vfork();
        if (!child) {
            if (!scratch_map(294000) || !scratch_map(10))
                _exit(1);
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0);
    }
    void *outer = scratch_map(1), *inner = scratch_map(1);
    cr_expect(outer && inner);
    cr_expect_leq(mapped, 2);
}

/* It has its own copy of what its parent keeps, and of what its parent's threads had taken nothing. */
Test(scratch, of_a_fork_child_is_its_own)
{
    int status;
    char *taken = scratch_map(1), *free = scratch_map(1);
    *taken = *free = 'p';
    scratch_unmap(free, 1);
    pid_t child = fork();
    if (!child) {
        char *own = scratch_map(1), *another = scratch_map(1);
        bool right = own == free && another && another != taken;
        *own = 'c';
        _exit(!right);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(*free, 'p');
}

#define SIZE 20000

static void *work(void *number)
{
    for (int i = 0; i < 5000; i++) {
        unsigned char *memory = scratch_map(SIZE), *nested = scratch_map(SIZE), own = (unsigned char)(uintptr_t)number;
        memset(memory, own, SIZE);
        memset(nested, own + 100, SIZE);
        for (size_t at = 0; at < SIZE; at += 500)
            if (memory[at] != own || nested[at] != own + 100)
                return NULL;
        scratch_unmap(nested, SIZE);
        scratch_unmap(memory, SIZE);
    }
    return number;
}

Test(scratch, is_never_two_threads)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    void *result;
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_expect_eq(result, (void *)(i + 1));
    }
    cr_expect_leq(mapped - unmapped, 2);
}

/* ---- who doesn't come back ------------------------------------------------------------------------------------------------------
 */

static char *taken_before_a_wait(const void *holder, char content)
{
    char *memory = scratch_map(SIZE);
    memset(memory, content, SIZE);
    scratch_may_be_left(memory, SIZE, holder);
    return memory;
}

Test(scratch, of_who_jumped_out_of_a_wait_comes_back)
{
    int holder = 0, other = 0;
    char *of_another = taken_before_a_wait(&other, 'o');
    for (int i = 0; i < 1000; i++) {
        char *memory = taken_before_a_wait(&holder, 'm');
        cr_assert_neq(memory, of_another);
        scratch_may_be_left(memory, SIZE, &holder); /* a second wait of the same one leaves nothing */
        char *nested = scratch_map(SIZE);
        cr_assert(nested != memory && nested != of_another);
        memset(nested, 'n', SIZE);
        scratch_unmap(nested, SIZE);
        cr_assert_eq(memory[SIZE - 1], 'm');
    }
    cr_expect_leq(mapped - unmapped, 4);
    cr_expect_eq(of_another[0], 'o');
    scratch_unmap(of_another, SIZE);
    /* Who came back has taken back what it had: nobody takes it a second time. */
    char *again = taken_before_a_wait(&other, 'a'), *more = scratch_map(SIZE), *most = scratch_map(SIZE);
    cr_expect(again != more && again != most && more != most);
}

Test(scratch, of_who_may_come_back_in_the_parent_is_not_taken_in_a_child)
{
    int holder = 0, status;
    char *memory = taken_before_a_wait(&holder, 'p');
    pid_t child = fork();
    if (!child) {
        char *own = taken_before_a_wait(&holder, 'c'), *another = scratch_map(SIZE);
        _exit(own == memory || another == memory || *memory != 'p');
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
}

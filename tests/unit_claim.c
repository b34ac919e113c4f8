#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/stage/claim.h"
#include "../shim/stage/stage.h"

#include "harness.h"

static struct stage_target target = { .path = "/a/new/file" };

static void *claim(void *nothing)
{
    (void)nothing;
    struct claim claim = claim_begin(&target);
    claim_end(&claim);
    return claim.place;
}

Test(claim, keeps_other_threads_waiting_and_no_others, .timeout = 30)
{
    pthread_t thread;
    void *place;
    int status;
    struct claim own = claim_begin(&target);
    cr_assert_not_null(own.place);
    cr_expect_eq(*own.place, gettid());
    cr_expect_null(claim_begin(&target).place, "a handler waits for its own thread");

    struct stage_target other = { .path = "/a/new/file", .file = { .stx_mode = 0100644, .stx_ino = 7 } };
    struct claim another = claim_begin(&other);
    cr_expect_neq(another.place, own.place);
    claim_end(&another);

    cr_assert_eq(pthread_create(&thread, NULL, claim, NULL), 0);
    usleep(20000);
    cr_expect_eq(pthread_tryjoin_np(thread, &place), EBUSY, "it doesn't wait");

    pid_t child = fork(); /* the thread that has it isn't there */
    if (child == 0) {
        if (!fork())
            _exit(claim(NULL) != own.place);
        wait(&status);
        _exit(WEXITSTATUS(status));
    }
    cr_expect(waitpid(child, &status, 0) == child && status == 0, "a fork child waits for its parent");

    claim_end(&own);
    cr_assert_eq(pthread_join(thread, &place), 0);
    cr_expect_eq(place, own.place);
    cr_expect_eq(*own.place, 0);
}

static void *end_with_it(void *nothing)
{
    (void)nothing;
    return claim_begin(&target).place;
}

Test(claim, of_a_thread_that_has_ended_is_free, .timeout = 30)
{
    pthread_t thread;
    void *place;
    cr_assert_eq(pthread_create(&thread, NULL, end_with_it, NULL), 0);
    cr_assert_eq(pthread_join(thread, &place), 0);
    struct claim own = claim_begin(&target);
    cr_expect_eq(own.place, place);
    cr_expect_eq(*own.place, gettid());
    claim_end(&own);
    claim_end(&own);
    cr_expect_eq(*own.place, 0);
}

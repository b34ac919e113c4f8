#include "wait.h"

#include <errno.h>

#include "../sys/clock.h"

void wait_begin(struct wait *wait, const struct wait_bounds *bounds)
{
    int saved = errno;
    *wait = (struct wait){ .bounds = *bounds, .started_ns = clock_ns(CLOCK_MONOTONIC), .attempts = 1 };
    errno = saved;
}

uint64_t wait_ladder(const struct wait_bounds *bounds, uint64_t failures, uint64_t noise)
{
    const uint64_t least = 1000; /* "first = 0" must not become a busy loop */
    uint64_t pause = bounds->first_ns < least ? least : bounds->first_ns;
    uint64_t cap = bounds->cap_ns < least ? least : bounds->cap_ns;
    for (uint64_t i = 1; i < failures && pause < cap; i++)
        pause *= 2;
    if (pause > cap)
        pause = cap;
    return pause - noise % (pause / 3 + 1);
}

uint64_t wait_elapsed_ns(const struct wait *wait)
{
    int saved = errno;
    uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - wait->started_ns;
    errno = saved;
    return elapsed;
}

bool wait_pause(struct wait *wait)
{
    const struct wait_bounds *bounds = &wait->bounds;
    uint64_t elapsed = wait_elapsed_ns(wait);
    if (wait->last || elapsed >= bounds->max_wait_ns || (bounds->max_attempts && wait->attempts >= bounds->max_attempts))
        return false;

    int saved = errno;
    /* The clock's low bits, stirred: enough to keep waiters out of step, and no state to share. */
    uint64_t noise = (wait->started_ns + elapsed) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    uint64_t pause = wait_ladder(bounds, wait->attempts, noise);
    uint64_t left = bounds->max_wait_ns - elapsed;
    (bounds->uncancellable ? clock_rest : clock_sleep)(pause < left ? pause : left);
    wait->last = wait_elapsed_ns(wait) >= bounds->max_wait_ns;
    wait->attempts++;
    errno = saved;
    return true;
}

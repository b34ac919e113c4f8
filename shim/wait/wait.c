#include "wait.h"

#include <errno.h>

#include "../sys/clock.h"
#include "../sys/process.h"

/*
 * A pause is a share of the wait so far, and of what comes after 25 ms half of that, so that whoever waits is late by a third of a
 * millisecond after 10 ms, 2 ms after 100. When it has come to 13 ms it stays so for the rest of a second, which makes the lateness
 * there 6 ms, in 185 attempts. From there on it grows again, for five hundred waiters mustn't burn a processor. Doubling adds as
 * much as the wait itself has taken, or, capped at 8 ms, makes 1,500 attempts in ten seconds (`make bench` compares).
 */
#define SHARE 16
#define HALF_SHARE_FROM_NS (25 * CLOCK_MS)
#define STEADY_NS (13 * CLOCK_MS)
#define STEADY_UNTIL_NS CLOCK_SECOND

void wait_begin(struct wait *wait, const struct wait_bounds *bounds)
{
    int saved = errno;
    *wait = (struct wait){ .bounds = *bounds, .started_ns = clock_ns(CLOCK_MONOTONIC), .attempts = 1 };
    wait->bounds.uncancellable |= process_borrows_memory();
    errno = saved;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t wait_ladder(const struct wait_bounds *bounds, uint64_t elapsed_ns, uint64_t noise)
{
    const uint64_t least = 1000; /* "first = 0" must not become a busy loop */
    uint64_t first = larger(bounds->first_ns, least), cap = larger(bounds->cap_ns, least);
    uint64_t pause = elapsed_ns / SHARE;
    if (elapsed_ns > STEADY_UNTIL_NS)
        pause = larger(STEADY_NS, (elapsed_ns - STEADY_UNTIL_NS) / SHARE);
    else if (elapsed_ns > HALF_SHARE_FROM_NS)
        pause = smaller(STEADY_NS, (elapsed_ns + HALF_SHARE_FROM_NS) / (2 * SHARE));
    pause = smaller(larger(pause, first), cap);
    return pause - noise % (pause / 3 + 1);
}

uint64_t wait_elapsed_ns(const struct wait *wait)
{
    int saved = errno;
    uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - wait->started_ns;
    errno = saved;
    return elapsed;
}

/* Sleeps up to `end`, and stops at the marks on the way there. A signal ends it early. */
static void rest(struct wait *wait, uint64_t now, uint64_t end)
{
    void (*sleep)(uint64_t) = wait->bounds.uncancellable ? clock_rest : clock_sleep;
    while (wait->mark_ns && wait->mark_ns < end) {
        if (wait->mark_ns > now) {
            sleep(wait->mark_ns - now);
            now = wait_elapsed_ns(wait);
            if (now < wait->mark_ns)
                return;
        }
        wait->marked(wait, now < end ? end - now : 0);
        now = wait_elapsed_ns(wait);
    }
    if (now < end)
        sleep(end - now);
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
    uint64_t pause = wait_ladder(bounds, elapsed, noise);
    uint64_t left = bounds->max_wait_ns - elapsed;
    rest(wait, elapsed, elapsed + (pause < left ? pause : left));
    uint64_t now = wait_elapsed_ns(wait);
    wait->paused_ns = now;
    wait->last_delay_ns = now - elapsed;
    if (wait->attempts == 1)
        wait->first_delay_ns = wait->last_delay_ns;
    wait->last = now >= bounds->max_wait_ns;
    wait->attempts++;
    errno = saved;
    return true;
}

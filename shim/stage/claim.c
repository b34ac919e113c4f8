#include "claim.h"

#include "../sys/clock.h"
#include "stage.h"

#define PLACES 16 /* two targets that share one are made one after the other: that harms nobody */
#define PAUSE_NS (CLOCK_MS / 10)
#define WAIT_MAX_NS (10 * CLOCK_SECOND)

static pid_t places[PLACES]; /* 0: free */

static bool take(pid_t *place, pid_t from, pid_t to)
{
    return __atomic_compare_exchange_n(place, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool is_here(pid_t thread)
{
    return sys_call(SYS_tgkill, sys_getpid(), thread, 0L) == 0 || errno != ESRCH;
}

bool claim_pause(uint64_t *begun)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    *begun = *begun ? *begun : now;
    if (now - *begun > WAIT_MAX_NS)
        return false;
    clock_rest(PAUSE_NS);
    return true;
}

static pid_t *place_of(const struct stage_target *target)
{
    uint64_t sum = target->file.stx_ino;
    for (const char *at = target->path; !target->file.stx_mode && *at; at++)
        sum = sum * 31 + (unsigned char)*at;
    return &places[sum % PLACES];
}

struct claim claim_begin(const struct stage_target *target)
{
    int saved = errno;
    struct claim claim = { place_of(target), sys_gettid() };
    uint64_t begun = 0;
    while (!take(claim.place, 0, claim.thread)) {
        pid_t holder = __atomic_load_n(claim.place, __ATOMIC_RELAXED);
        if (holder == claim.thread) {
            claim.place = NULL;
            break;
        }
        if (holder && (!is_here(holder) || !claim_pause(&begun)) && take(claim.place, holder, claim.thread))
            break;
    }
    errno = saved;
    return claim;
}

void claim_end(const struct claim *claim)
{
    if (claim->place)
        take(claim->place, claim->thread, 0);
}

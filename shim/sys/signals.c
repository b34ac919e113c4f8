#include "signals.h"

#include "call.h"

#define SET_SIZE 8L /* bytes in the kernel's signal set */

bool signals_hold(struct signals_held *held, uint64_t signals)
{
    held->pending = 0;
    if (sys_call(SYS_rt_sigprocmask, SIG_BLOCK, &signals, &held->mask, SET_SIZE) < 0)
        return false;
    if (held->mask & signals)
        sys_call(SYS_rt_sigpending, &held->pending, SET_SIZE);
    return true;
}

void signals_release(const struct signals_held *held, uint64_t raised)
{
    int saved = errno;
    const struct timespec at_once = { 0 };
    raised &= ~held->pending;
    if (raised)
        sys_call(SYS_rt_sigtimedwait, &raised, 0L, &at_once, SET_SIZE);
    sys_call(SYS_rt_sigprocmask, SIG_SETMASK, &held->mask, 0L, SET_SIZE);
    errno = saved;
}

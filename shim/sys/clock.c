#include "clock.h"

#include "call.h"

uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = { 0 };
    sys_call(SYS_clock_gettime, clock, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

static struct timespec duration(uint64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / CLOCK_SECOND), .tv_nsec = (long)(ns % CLOCK_SECOND) };
}

void clock_rest(uint64_t ns)
{
    struct timespec pause = duration(ns);
    sys_call(SYS_nanosleep, &pause, 0);
}

static void sleep_for(uint64_t ns)
{
    struct timespec pause = duration(ns);
    nanosleep(&pause, NULL);
}

void (*clock_sleep)(uint64_t ns) = sleep_for;

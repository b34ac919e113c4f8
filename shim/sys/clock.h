/*
 * Time in nanoseconds, and a replaceable sleep.
 */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MS UINT64_C(1000000)
#define CLOCK_SECOND UINT64_C(1000000000)

/* CLOCK_MONOTONIC, CLOCK_REALTIME or another of clock_gettime(2). Safe anywhere. */
uint64_t clock_ns(clockid_t clock);

/* Sleeps for `ns`, or until a signal handler has run. A cancellation point, so that a thread in a long wait can be cancelled. */
extern void (*clock_sleep)(uint64_t ns) __attribute__((visibility("hidden")));

/* The same, and never a cancellation point. */
void clock_rest(uint64_t ns);

#endif

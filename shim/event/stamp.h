/*
 * A time of day as the log writes it, in UTC. Safe anywhere: gmtime_r takes libc's time zone lock, and this doesn't.
 */
#ifndef EVENT_STAMP_H
#define EVENT_STAMP_H

#include <stdint.h>

struct stamp {
    unsigned year, month, day, hour, minute, second, millisecond; /* months and days count from 1 */
};

/* `ns` counts from 1970. */
struct stamp stamp_of(uint64_t ns);

#define STAMP_SIZE 32

/* "2026-11-22T15:48:32.463Z" */
const char *stamp_text(char text[STAMP_SIZE], uint64_t ns);

#endif

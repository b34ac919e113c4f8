/*
 * Moments: milliseconds since 1970-01-01 UTC, as the log's `ts` counts them, and as a person gives and reads them.
 */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOMENT_SIZE 32

int64_t moment_now(void);

/* The log's own form and no other: 2026-11-22T15:48:32.463Z. */
bool moment_read_stamp(const char *text, size_t length, int64_t *ms);

/*
 * What stands behind --since: 2026-11-22, "2026-11-22 15:48[:32[.463]]" with a T or a blank between, in local time or with Z or
 * +01:00 behind; @SECONDS since 1970; now, today, yesterday; "2h ago", -2h, "-1d 12h".
 */
bool moment_read(const char *text, int64_t now, int64_t *ms);

/* 2026-11-22T15:48:32Z, with or without the milliseconds. */
void moment_write(char text[MOMENT_SIZE], int64_t ms, bool with_ms);

#endif

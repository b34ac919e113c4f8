/*
 * What happened when, over any span of time in a fixed amount of memory: the lines of a log, counted by verdict and by length of
 * the wait in columns of time, which get wider as the span grows.
 */
#ifndef CLI_TIMELINE_H
#define CLI_TIMELINE_H

#include <stdint.h>

#include "line.h"

#define TIMELINE_COLUMNS 2048

/* By how long the program was kept: not at all, < 1 ms, < 10 ms, < 100 ms, < 1 s, < 10 s, longer. */
#define TIMELINE_WAITS 7
extern const char *const timeline_waits[TIMELINE_WAITS];

struct timeline_column {
    uint64_t verdicts[LINE_VERDICTS], waits[TIMELINE_WAITS];
};

struct timeline {
    int64_t width_ms;                /* of a column; 0: nothing was added */
    int64_t first;                   /* the first column starts at first * width_ms */
    int64_t earliest, latest;        /* of what was added */
    struct timeline_column *columns; /* TIMELINE_COLUMNS */
};

void timeline_add(struct timeline *, const struct line *);

/*
 * A copy that shows what was added in at most so many columns. Returns their number; theirs are width_ms and first, and
 * `columns` has room for `count`.
 */
int timeline_fit(const struct timeline *, struct timeline *fitted, int count);

void timeline_free(struct timeline *);

#endif

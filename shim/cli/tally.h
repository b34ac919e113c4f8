/*
 * What many lines add up to: groups by path and operation, and the whole over time. In a bounded amount of memory: so many
 * groups, and for each the names that come most often.
 */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include "line.h"
#include "quantiles.h"
#include "timeline.h"

#define TALLY_GROUPS_MAX 5000
#define TALLY_TABLE_SIZE 8192
#define TALLY_HOSTS 32

/*
 * The names that come most often (Metwally, Agrawal, El Abbadi: "space saving"): with more names than places a newcomer takes
 * the place, and the count, of the rarest, so that a count may be too high and never too low.
 */
struct tally_names {
    struct tally_name {
        char *text;
        uint64_t count;
    } * names;
    int size, count;
    bool crowded;
};

struct group {
    char *path;
    enum line_operation operation;
    uint64_t ended; /* interventions; the lines of those that go on are in `outcomes` alone */
    uint64_t outcomes[LINE_OUTCOMES], verdicts[LINE_VERDICTS];
    uint64_t bytes; /* of new files that took a name */
    struct quantiles waits_us;
    struct tally_names holders; /* who had the file: "comm", or "comm (exe)" where the log says so */
    struct tally_names reasons;
    int64_t first_ms, last_ms;
    uint64_t long_waits, long_ends; /* waits that have lasted a second, and those of them whose end is on record */
    char *waited_for;               /* who held the file in the last of the former; NULL: nobody is named */
    enum line_verdict worst;
    /* Of the last line with the worst verdict. */
    char *comm, *error, *reason, *stage;
    int64_t held_fd;
    struct group *next; /* in the hash table */
};

struct tally {
    struct group *table[TALLY_TABLE_SIZE];
    struct group *groups[TALLY_GROUPS_MAX]; /* in the order in which they came; tally_sort changes it */
    size_t count;
    struct group rest; /* of the lines for whose group there was no room; path is NULL */
    struct tally_names hosts;
    struct timeline timeline;
    uint64_t lines;
};

void tally_begin(struct tally *);
void tally_add(struct tally *, const struct line *);

/* The worst first: paths by their worst verdict and how often they met it, and the operations of a path together. */
void tally_sort(struct tally *);

void tally_end(struct tally *);

/* How many waits are without an end: whoever waited was killed, waits still, or became a program that can't say so. */
uint64_t tally_unended(const struct group *);

/* The most frequent, or NULL. */
const struct tally_name *tally_first(const struct tally_names *);

#endif

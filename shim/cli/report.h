/*
 * `etxtbsy report`: what its parts share. report.c gathers, report_words.c names, and the others show:
 * on a terminal, as JSON, as a page.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "tally.h"

struct report {
    struct tally tally;     /* sorted */
    uint64_t lines, broken; /* that were read */
};

/* The quantiles that are shown, in thousandths, and their names. */
#define REPORT_QUANTILES 3
extern const unsigned report_quantiles[REPORT_QUANTILES];
extern const char *const report_quantile_names[REPORT_QUANTILES];

#define REPORT_WAIT_SIZE 24

/* "0", "350us", "1.25ms", "2.04s", "3min20s": at most nine characters. */
void report_wait(char text[REPORT_WAIT_SIZE], uint64_t us);

/* "3 succeeded, 1 gave-up", most frequent first; to be freed. */
char *report_outcomes(const struct group *);

void report_as_table(const struct report *, bool colours);
void report_as_json(const struct report *);
void report_as_html(const struct report *, FILE *);

#endif

/*
 * Whether lines can be written to the files that a log names. The library goes on in silence where they can't: it has no other
 * place to say so.
 */
#ifndef CLI_LOG_PLACE_H
#define CLI_LOG_PLACE_H

#include <stdbool.h>

struct log_trouble {
    const char *path, *what; /* "there is no directory /var/log/app" */
    const char *remedy;      /* "mkdir -p /var/log/app" */
    bool for_everyone;       /* and not just for this user */
};

/* Calls `say` for each file among the sinks, as they stand behind `log =`, that can't be written to; it keeps nothing of its
 * argument. */
void log_place_examine(const char *sinks, void (*say)(void *context, const struct log_trouble *), void *context);

#endif

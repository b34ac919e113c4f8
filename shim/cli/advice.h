/*
 * What to do about a group of lines that doesn't end well by itself: one sentence or two for a person.
 */
#ifndef CLI_ADVICE_H
#define CLI_ADVICE_H

#include "tally.h"

/*
 * NULL: there is nothing to do. To be freed. Has names from the log in it, so it must be escaped where it is shown.
 */
char *advice_for(const struct group *);

#endif

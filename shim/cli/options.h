/*
 * The options of a subcommand: one row for each, as getopt_long(3) reads them. Every subcommand has -h, --help besides.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>

struct option_row {
    char letter; /* 0 ends the rows */
    const char *name;
    bool *given;        /* of an option without a value */
    const char **value; /* of one with: the last that was given */
};

/* Whether an option may stand behind an argument, which may be a command with options of its own. */
enum options_place { OPTIONS_ANYWHERE, OPTIONS_FIRST };

/*
 * Takes them; the arguments stand from argv[optind] on. Returns false when there is nothing left to do: *status is what to exit
 * with then, after the help that was asked for, or the mistake, which has been said.
 */
bool options_take(int argc, char **argv, enum options_place, const struct option_row *, int (*usage)(void), int *status);

#endif

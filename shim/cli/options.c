#include "options.h"

#include <assert.h>
#include <getopt.h>

#include "cli.h"

#define OPTIONS_MAX 12

bool options_take(int argc, char **argv, enum options_place place, const struct option_row *rows, int (*usage)(void), int *status)
{
    struct option known[OPTIONS_MAX + 2] = { 0 };
    char letters[2 * OPTIONS_MAX + 3] = "", *end = letters;
    int count = 0, letter;

    if (place == OPTIONS_FIRST)
        *end++ = '+';
    for (; rows[count].letter; count++) {
        assert(count < OPTIONS_MAX);
        known[count] =
            (struct option){ rows[count].name, rows[count].value ? required_argument : no_argument, NULL, rows[count].letter };
        *end++ = rows[count].letter;
        if (rows[count].value)
            *end++ = ':';
    }
    known[count] = (struct option){ "help", no_argument, NULL, 'h' };
    *end = 'h';
    while ((letter = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        const struct option_row *row = rows;
        while (row->letter && row->letter != letter)
            row++;
        if (!row->letter) {
            if (letter != 'h')
                fprintf(stderr, "`%s --help` lists the options\n", argv[0]);
            *status = letter == 'h' ? usage() : CLI_TROUBLE;
            return false;
        }
        if (row->value)
            *row->value = optarg;
        else
            *row->given = true;
    }
    return true;
}

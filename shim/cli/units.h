/*
 * All services that have a drop-in of that name, ours or not.
 */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stddef.h>

#include "unit.h"

struct unit_list {
    char **names;
    size_t count;
};

void unit_list_add(struct unit_list *, const char *name);

/* Returns a cli_status; a directory that isn't there has none. Sorted, each once. */
int units_with_drop_in(struct unit_list *, const struct unit_manager *);
void unit_list_free(struct unit_list *);

#endif

/*
 * Which logs to read: those that are named, or those that the library writes.
 */
#ifndef CLI_LOGS_H
#define CLI_LOGS_H

#include <stdbool.h>

struct logs {
    char **files; /* up to a NULL */
    bool is_own;  /* to be freed */
};

/* `named` goes up to a NULL. False: none was named and the configuration has none, which has been said. */
bool logs_find(struct logs *, char **named);
void logs_free(struct logs *);

#endif

/*
 * Everybody who holds a file now, or runs an earlier version of it: the shim's own scan, without its haste.
 */
#ifndef CLI_CENSUS_H
#define CLI_CENSUS_H

#include <limits.h>
#include <sys/stat.h>

#include "../event/holders.h"

struct census_holder {
    struct holder holder;
    bool is_old; /* it runs a version that has been replaced */
    char unit[256];
    char container[68];
};

struct census {
    char target[PATH_MAX]; /* all links followed */
    struct stat file;
    struct census_holder *holders; /* by process id */
    size_t count, room;
    unsigned hidden;
};

/* Returns false when the path can't be looked at, with errno. */
bool census_take(struct census *, const char *path);
void census_free(struct census *);

/* The holder as one object of a JSON document: the fields of the log's `holders`, and `version`, `unit`, `container_id`. */
struct json_object *census_object(const struct census_holder *);

#endif

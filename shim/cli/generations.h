/*
 * The generations of a file, for the subcommands that list them and put one back.
 */
#ifndef CLI_GENERATIONS_H
#define CLI_GENERATIONS_H

#include <linux/limits.h>

#include "../stage/generation.h"

struct generations {
    char path[PATH_MAX]; /* of the file: symbolic links are followed, as the library does */
    const char *base;    /* its name, in `path` */
    bool missing;        /* there is no such file now, but there may be generations of it */
    struct statx file;
    int dirfd;
    struct generation *list; /* newest first */
    size_t count;
};

/* Returns CLI_FINE, or CLI_TROUBLE when it has said what is wrong. Then, and later, generations_free. */
int generations_find(struct generations *, const char *path);
void generations_free(struct generations *);

/* The path of a generation, to be freed. */
char *generations_path(const struct generations *, const char *name);

#endif

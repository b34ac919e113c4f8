/*
 * Who still runs an old version: the replacements that a log tells of, compared with what is running on this machine now.
 */
#ifndef CLI_REPLACED_H
#define CLI_REPLACED_H

#include "line.h"

struct replaced;

struct replaced *replaced_begin(void);

/* Notes a line that tells of a replacement on this host since it was started; any other is passed over. */
void replaced_add(struct replaced *, const struct line *);

struct replaced_user {
    pid_t pid;
    char comm[16];
    const char *path;
    int64_t since_ms; /* when what it runs was replaced */
};

/* Calls `use` for each process that runs what was replaced, as far as this user may see them. */
void replaced_find(const struct replaced *, void (*use)(void *context, const struct replaced_user *), void *context);

void replaced_end(struct replaced *);

#endif

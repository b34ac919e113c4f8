/*
 * The file that a stage is about to replace, kept in sight until it is known whether anybody still runs it. The kernel knows at
 * once and exactly, where a scan of /proc takes long and sees only part: a file without a name that can be opened for writing is
 * executed by nobody, and never will be.
 *
 * Safe anywhere. Holds one descriptor (O_PATH, close-on-exec) from old_version_open to old_version_close.
 */
#ifndef REMEDY_OLD_VERSION_H
#define REMEDY_OLD_VERSION_H

#include <stdbool.h>

#include "../sys/call.h"

struct old_version {
    int fd;            /* -1: there is none, or it can't be had */
    struct statx file; /* as it was under its name */
};

void old_version_open(struct old_version *, const char *path);

/* Whether other machines, or those who see it through another file system, may run it, of which this kernel doesn't know. True when
 * that can't be asked. */
bool old_version_is_seen_elsewhere(const struct old_version *);

/* After it has been replaced: true unless it is certain that nobody on this machine runs it. */
bool old_version_may_run(const struct old_version *);

void old_version_close(struct old_version *);

#endif

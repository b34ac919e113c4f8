/*
 * This process's own descriptors of the stages that it knows: the writers', and those by which it asks who else holds one. Found by
 * a walk through /proc when they are needed; there is no table of them. Safe anywhere. For use within stage/.
 */
#ifndef STAGE_OWN_H
#define STAGE_OWN_H

#include <stdbool.h>

#include "known.h"

/* The stage that a descriptor is of. */
struct known_use known_of(int fd);

/* Whether a descriptor is of this stage; and whether it is a writer's, not one that asks. */
bool own_is(int fd, const struct stage_known *);
bool own_is_writers(int fd, const struct stage_known *);

/* One of the writers' descriptors, of those that survive an exec or of all; -1 when there is none. */
enum own_which { OWN_ANY, OWN_SURVIVING };
int own_find(const struct stage_known *, enum own_which);

/*
 * Opens a stage through a descriptor that this process has of it, and takes the lock; -1 where it has none, or the file has no
 * name any more.
 */
int own_reopen(const struct stage_known *, int flags);

/*
 * Opens a stage under its name, with the flags of somebody's open and no others: fcntl(F_GETFL) would show them. A descriptor
 * opened through that of a file born without a name would keep saying "(deleted)" (measured on 6.18).
 */
int own_open_named(int dirfd, const char *name, uint64_t device, uint64_t inode, int flags);

/* Which PID namespace this process is in, as the name of a stage has it; and whether a creator's number is one of that. */
unsigned own_origin(void);
bool own_is_number(const struct stage_name *);

/* A description of our own for asking whether others hold the stage that `path` leads to; close-on-exec. */
int own_open_asker(const char *path);

#endif

/*
 * Advisory locks on a file: flock(2), and the record locks and open-file-description locks of fcntl(2), whoever has them.
 * Safe anywhere; no descriptor is left, and no lock but the one of locks_enter. A file that can't be read can't be asked, and
 * counts as not locked.
 *
 * "Ours" is a lock of this process or of one that it descends from: `flock app cp new app`, and a script that locks a file and
 * starts a program to replace it, mean that program to go on. A lock that descends with a descriptor is known by the
 * descriptor, wherever its taker has gone; /proc/locks doesn't show that in a pid namespace.
 */
#ifndef SYS_LOCKS_H
#define SYS_LOCKS_H

#include <stdbool.h>

#include "call.h"

enum locks_conflict { LOCKS_EXCLUSIVE, LOCKS_ANY };

/*
 * Whether a process that isn't one of ours has such a lock on any part of the file, which is `path` from `dirfd`. Asked by
 * trying: for this moment the file may seem locked to others.
 */
bool locks_of_others(int dirfd, const char *path, const struct statx *file, enum locks_conflict);

/*
 * Takes an exclusive flock on the file, for a few system calls during which nobody else who does the same can be here. Returns
 * false when somebody else has one. *fd is for locks_leave; -1 when the file is locked by ours already, or can't be locked.
 */
bool locks_enter(int dirfd, const char *path, const struct statx *file, int *fd);
void locks_leave(int fd);

#endif

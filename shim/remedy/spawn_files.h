/*
 * posix_spawn_file_actions_addopen opens its file inside libc, in the child, where no wrapper is called. So the stage for a busy
 * file is made when the action is added, and the child gets a dup2 of it instead. The stage's descriptor belongs to the file actions
 * and goes with them. It is close-on-exec and has a high number, out of the program's way.
 */
#ifndef REMEDY_SPAWN_FILES_H
#define REMEDY_SPAWN_FILES_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A descriptor to be used in place of the open, or -1 when the file isn't busy, isn't to be redirected, or can't be. `actions`
 * only identifies the file actions.
 */
int spawn_files_open(const void *actions, const char *path, int flags, mode_t mode);

/* Whether the file actions have such a descriptor. */
bool spawn_files_any(const void *actions);

/* Publishes their stages, for a child that can't adopt them. */
void spawn_files_publish(const char *op, const void *actions);

/* Lets go of them. */
void spawn_files_close(const char *op, const void *actions);

#endif

/*
 * posix_spawn_file_actions_addopen opens its file inside libc, in the child, where no wrapper is called. So the stage for a busy
 * file is made when the action is added, and the child gets a dup2 of it instead. The stage's descriptor belongs to the file
 * actions and goes with them. It is close-on-exec and has a high number, out of the program's way.
 */
#ifndef REMEDY_SPAWN_FILES_H
#define REMEDY_SPAWN_FILES_H

#include <stdbool.h>
#include <sys/types.h>

/* How many such descriptors there are. They outlive their stages, which are published when a program can't adopt them. */
extern int spawn_files_count __attribute__((visibility("hidden")));

/*
 * A descriptor to be used in place of the open, or -1 when the file isn't busy, isn't to be redirected, or can't be. `actions`
 * only identifies the file actions.
 */
int spawn_files_open(const void *actions, const char *path, int flags, mode_t mode);

/* Before each spawn: empties them again if they were opened with O_TRUNC, and goes to their start, as a new open would. */
void spawn_files_rewind(const void *actions);

/* A program was started with these file actions: their stages are to be committed. */
void spawn_files_used(const void *actions);

/* Lets go of them. What no program was started with is as if it had never been opened. */
void spawn_files_close(const char *op, const void *actions);

#endif

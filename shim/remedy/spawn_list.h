/*
 * libc's own list of the file actions of a posix_spawn. What it looks like (posix/spawn_int.h, the same from glibc 2.3 to 2.41) is
 * believed only after entries that libc has just added were found where they are expected. Safe anywhere.
 */
#ifndef REMEDY_SPAWN_LIST_H
#define REMEDY_SPAWN_LIST_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

struct spawn_action {
    enum { CLOSE, DUP2, OPEN, CHDIR, FCHDIR, CLOSEFROM, TCSETPGRP } tag;
    union {
        int fd; /* first in all but CHDIR */
        struct {
            int fd, new_fd;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
        char *directory;
    } of;
};

/* After libc has added one of these: whether it looks as expected. */
void spawn_list_learn_open(const posix_spawn_file_actions_t *, int fd, const char *path, int flags, mode_t mode);
void spawn_list_learn_dup2(const posix_spawn_file_actions_t *, int fd, int new_fd);
void spawn_list_learn_fd(const posix_spawn_file_actions_t *, int fd); /* close, fchdir, closefrom */
void spawn_list_learn_directory(const posix_spawn_file_actions_t *, const char *path);

/* Whether it can be read. There has to be an entry. */
bool spawn_list_is_understood(const posix_spawn_file_actions_t *);

static inline struct spawn_action *spawn_list_actions(const posix_spawn_file_actions_t *list)
{
    return (struct spawn_action *)list->__actions;
}

/* Whether a number isn't what it was when the child was made, at the moment that the action at `index` is carried out. */
bool spawn_list_touches(const struct spawn_action *, int index, int fd);

#endif

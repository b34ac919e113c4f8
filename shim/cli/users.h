/*
 * Which processes run some files, have them mapped, or open. Asked from /proc, once for all the files, when somebody wants to
 * read it: the answer is as old as the question. The processes of other users are out of sight for all but root.
 */
#ifndef CLI_USERS_H
#define CLI_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct json_object;

struct user {
    pid_t pid;
    char comm[16];
};

struct used_file {
    const struct statx *file;
    const char *path; /* that it has or had: the maps of some file systems (btrfs) tell another device than stat; may be NULL */
    struct user *users;
    size_t count;
};

/* USED_RUN: by those that run the file or have it mapped. USED_OPEN: by those that have it open or mapped. */
enum used_how { USED_RUN, USED_OPEN };

/* Fills in the users of each file, to be freed. Returns whether all processes could be looked at. */
bool users_find(struct used_file *files, size_t count, enum used_how);
void users_free(struct used_file *);

/* "1234 (service), 1240 (service)" */
void users_print(const struct used_file *);

/* Adds "processes", an array of objects with pid and comm. */
void users_add_json(struct json_object *, const struct used_file *);

#endif

/*
 * File actions of posix_spawn open their files inside libc, in the child, where no wrapper is called: the parent sees that the
 * spawn as a whole is refused. Then it asks which open was the reason, helps that one as any other open for writing, and
 * spawns again with a copy of the actions in which a dup2 of the descriptor that came of it stands for the open. Until something is
 * refused nothing is done, nor asked.
 */
#ifndef REMEDY_SPAWN_FILES_H
#define REMEDY_SPAWN_FILES_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/* The file actions of one spawn. In the caller's frame. */
struct spawn_files {
    const posix_spawn_file_actions_t *now; /* to spawn with: the program's own, or `copy`; NULL: none */
    bool opens;                            /* there are, or may be, opens among them that may be refused */
    bool exclusive;                        /* there is one with O_EXCL: a second attempt would not be the same */
    bool foreign;                          /* they are made with other ids than this process's */
    bool asked;
    posix_spawn_file_actions_t copy;
    struct spawn_file *files; /* for each action the descriptor that it has been given */
    size_t size;
};

/* Before the first attempt. Makes what the policy wants to be a stage, busy or not, and joins those that there are. */
void spawn_files_begin(struct spawn_files *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *);

/*
 * Whether the actions are why a spawn is refused, or would be: asked aside, where each open is tried as the child would, in its
 * directory and with descriptors that aren't this process's. Waits as an open for writing does. Once for each spawn.
 */
enum spawn_files_answer {
    SPAWN_FILES_IDLE,  /* they aren't */
    SPAWN_FILES_AGAIN, /* they were, and it is worth another attempt; this process may have stages that it hadn't */
    SPAWN_FILES_BUSY,  /* they are still */
};
enum spawn_files_answer spawn_files_remedy(struct spawn_files *);

/*
 * Lets go of what was opened for the child that was started, or any number but 0 where its own isn't known. With 0 none was: it is
 * as if nothing had ever been opened. Keeps errno.
 */
void spawn_files_end(struct spawn_files *, const char *op, pid_t child);

#endif

/*
 * The stages that this process knows: those it made, inherited over fork, or adopted after exec. Only a hint where to look:
 * what is true of a stage is asked from the kernel. A slot goes from free over filling to live, and back, by single atomic
 * operations, so threads, signal handlers and vfork children need no lock; a child forked while a slot was being filled loses
 * that slot. Each use of a slot has a number of its own, so that nobody can end a use that has come after the one they saw.
 *
 * For use within stage/, but for `stage_known_count`.
 */
#ifndef STAGE_KNOWN_H
#define STAGE_KNOWN_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "name.h"
#include "attributes.h"

#define STAGES_KNOWN_MAX 64

/* Made for a program that may never be started, the stage is nobody's until it is, or until another open joins it. */
enum stage_use { STAGE_USED, STAGE_UNUSED, STAGE_WITHDRAWN };

struct stage_known {
    uint64_t device, inode; /* of the stage */
    enum stage_kind kind;
    uint64_t target_device, target_inode; /* of the file that it will replace, when it was made; 0: there was none */
    struct attributes_seen then;          /* of that file, and of the stage, when both had the same */
    pid_t creator;
    enum stage_use use; /* by atomic operations */
    pid_t maker;        /* the thread that made it, where it is unused */
    bool pending;       /* the creator has let go, and said so */
    pid_t finisher;     /* the thread of this process that has got the exclusive lock, and finishes it; 0: none */
    int error;          /* of a write that failed: it is never published; 0: none; by atomic operations */
    pid_t bereaved;     /* the process of which a child was killed that wrote to it, and then it was: */
    struct statx_timestamp killed_mtime;
    uint64_t killed_size;
    const char *op;      /* the entry point that asked for it; NULL in a process that adopted it */
    char path[PATH_MAX]; /* when it was made or adopted; a directory may have moved since */
    char target[PATH_MAX];
};

/* How many are live: zero in nearly every process, and all that a wrapper looks at before it goes straight on. */
extern int stage_known_count __attribute__((visibility("hidden")));

/* A slot to fill, or NULL when all are taken or there is no memory. Then known_publish, or known_abandon. */
struct stage_known *known_reserve(void);
void known_publish(struct stage_known *);
void known_abandon(struct stage_known *);

/* A live slot as somebody saw it. */
struct known_use {
    struct stage_known *slot; /* NULL: none */
    unsigned state;
};

/* The live ones in turn: start with NULL. */
struct known_use known_next(const struct stage_known *previous);

struct known_use known_find(uint64_t device, uint64_t inode);

/* Whether the slot still has that use. Another thread may end it at any moment. */
bool known_is_current(struct known_use);

/* A write to it has failed. Returns false when that was known, or the use is over. */
bool known_fail(struct known_use, int error);

/* The stage is no more. Does nothing when that was known. */
void known_forget(struct known_use);

#endif

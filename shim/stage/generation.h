/*
 * Generations: what a target was before, as hidden hard links beside it. The highest number is the newest, whatever the
 * clock says.
 *
 * The old file gets its second name before the rename takes the first one away. So the rename stays the one step in which the
 * target changes; a process that runs the old file sees what it would see without a generation ("(deleted)" in /proc/PID/exe,
 * from which tools learn what has to be restarted); and no other file is ever under the stage's name, where somebody else who
 * commits at the same moment could rename it. Who is killed between the two steps leaves the target with a generation that is
 * the target itself: generation_links keeps that from being taken for a hard link, and the next generation_keep uses it.
 *
 * For use within stage/ and by the command; safe anywhere. A generation is no promise: whatever goes wrong, the
 * replacing goes on.
 */
#ifndef STAGE_GENERATION_H
#define STAGE_GENERATION_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../sys/call.h"
#include "../sys/directory.h"

/* What is wanted, and what became of it. */
struct stage_generation {
    uint64_t wanted;     /* how many to have in the end; 0: keep nothing, prune nothing */
    const char *reason;  /* why the file was not kept, a word that the log's schema explains */
    char path[PATH_MAX]; /* of the generation; empty: none */
};

/*
 * Before `base` in `dirfd`, of which `file` is the status, is replaced: gives it a second name. `beside` is any path in the
 * same directory. Keeps errno, as generation_end does.
 */
void generation_keep(struct stage_generation *, int dirfd, const char *beside, const char *base, const struct statx *file);

/* After it: prunes the oldest, or, when `base` was not replaced after all, takes the second name away. */
void generation_end(struct stage_generation *, int dirfd, const char *base, bool replaced);

/* How many of a file's names are generations of `base`. */
uint64_t generation_links(int dirfd, const char *base, const struct statx *file);

/* The generations of `base` in an open directory, one at a time, in no order: regular files only. False at the end. */
struct generation {
    uint64_t number;
    struct statx file;
    char name[NAME_MAX + 1];
};
bool generation_next(struct directory *, const char *base, struct generation *);

#endif

/*
 * Where a stage and its target are. For use within stage/; safe anywhere.
 */
#ifndef STAGE_PLACE_H
#define STAGE_PLACE_H

#include "stage.h"

/*
 * Where both names are: a descriptor of their directory, so that nobody who renames or links directories can lead a rename
 * elsewhere, and the names in it. Where no descriptor is to be had, AT_FDCWD and the whole paths.
 */
struct place {
    int dirfd;
    const char *stage, *target;
};

struct place place_open(struct stage_report *);

/* Keeps errno. */
void place_close(struct place *);

/*
 * Whether a rename that has failed was done all the same: on a network file system the answer may be lost. Not after ENOENT: then
 * the stage got there by somebody else's hands. Keeps errno.
 */
bool place_was_taken(int dirfd, const char *name, uint64_t device, uint64_t inode);

/* Renames a stage over another name. Returns false with errno. */
bool place_rename(int dirfd, const char *stage, const char *over, uint64_t device, uint64_t inode);

#endif

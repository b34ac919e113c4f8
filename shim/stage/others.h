/*
 * Who else is replacing a target. For use within stage/; safe anywhere.
 */
#ifndef STAGE_OTHERS_H
#define STAGE_OTHERS_H

#include <stdbool.h>

/*
 * Whether somebody holds a stage of the target with that name in the directory. What this process made, or one that it
 * descends from, doesn't count: they may be waiting for us. A stage's lock is tried for, so for this moment one that nobody holds
 * seems held.
 */
bool others_hold_stage(int dirfd, const char *base);

#endif

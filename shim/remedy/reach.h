/*
 * Whether a program about to be started will load this library, and so can adopt stages.
 */
#ifndef REMEDY_REACH_H
#define REMEDY_REACH_H

#include <stdbool.h>

#include "../stage/stage.h"
#include "run.h"

/*
 * Finds the file that the run will execute and writes its path, or its path from run->dirfd, into `candidate` (PATH_MAX
 * bytes). False when there is none: the real call will say why.
 */
bool reach_candidate(const struct run *, char *candidate);

/* Finds out what file that is, symbolic links followed. False when it can't be found out. */
bool reach_target(const struct run *run, const char *candidate, struct stage_target *);

/* False for static, set-id and foreign programs, and where the new environment doesn't name this library. */
bool reach_extends_to(const struct run *, const char *candidate);

/*
 * For the constructor: makes this library's own entry in LD_PRELOAD absolute, where the user gave it relative to a directory
 * ("LD_PRELOAD=build/libetxtbsy.so make install"). Programs that are started after a chdir would not find it, and say so.
 */
void reach_make_absolute(char **environment);

#endif

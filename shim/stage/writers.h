/*
 * Children that were killed while they wrote to a stage. For use within stage/.
 */
#ifndef STAGE_WRITERS_H
#define STAGE_WRITERS_H

#include "known.h"

/*
 * Whether the stage at `path` is as a child of this process left it that wrote to it and was killed: then nobody has finished it. A
 * program that goes on writing has taken note of the death.
 */
bool writers_left_spoilt(struct stage_known *, const char *path);

#endif

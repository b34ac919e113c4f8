/*
 * The old content of a target. For use within stage/; safe anywhere.
 */
#ifndef STAGE_COPY_H
#define STAGE_COPY_H

#include <stdint.h>

/*
 * Copies the first `length` bytes of `from` (or all there are) to the empty file `to`, sharing the blocks where the file system
 * can. Returns 0, or -1 with errno.
 */
int stage_copy(int from, int to, int64_t length);

#endif

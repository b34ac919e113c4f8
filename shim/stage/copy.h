/*
 * The old content of a target. For use within stage/; safe anywhere.
 */
#ifndef STAGE_COPY_H
#define STAGE_COPY_H

#include <stdbool.h>
#include <stdint.h>

struct statx;

/* Opens a file for reading, and leaves its access time alone where the caller may: reading it is our doing. */
int copy_open(int dirfd, const char *name);

/*
 * Copies the first `length` bytes of `from` (or all there are), which is `file`, to the empty file `to`, sharing the blocks where
 * the file system can; what is a hole stays one where it can tell. Both are at their start, and move. Returns 0, or -1 with errno.
 */
int stage_copy(int from, const struct statx *file, int to, int64_t length);

/* Whether two files have the same content. Reads from the start of both and moves their offsets; false when one can't be read. */
bool copy_is_equal(int a, int b);

#endif

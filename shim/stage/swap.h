/*
 * Swap files. The kernel lets one be opened for writing, and refuses to truncate it or to write to it with ETXTBSY: it looks
 * like a program that runs, and must never be replaced. For use within stage/; safe anywhere.
 */
#ifndef STAGE_SWAP_H
#define STAGE_SWAP_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether the system swaps to this file now. */
bool swap_is_active(const struct statx *file);

#endif

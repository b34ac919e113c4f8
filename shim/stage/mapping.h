/*
 * This process's own mappings. For use within stage/; safe anywhere.
 */
#ifndef STAGE_MAPPING_H
#define STAGE_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether the process has a shared mapping of the file that may be written; `name` is the last component of its path. Such a
 * mapping holds the open file description, and so its lock, after the last descriptor is closed, save on overlay.
 */
bool mapping_is_writable(uint64_t device, uint64_t inode, const char *name);

#endif

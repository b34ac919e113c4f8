/*
 * What a file has besides its content: owner, group, extended attributes with the ACL among them, mode. For use within
 * stage/; safe anywhere.
 */
#ifndef STAGE_ATTRIBUTES_H
#define STAGE_ATTRIBUTES_H

#include "../sys/call.h"

/*
 * Gives the file behind `to` what the file at `path` has. security.capability isn't kept: any write takes it away in place, too.
 * Returns NULL, or the reason why it can't be: "owner", "attributes", "unreadable".
 */
const char *attributes_copy(const char *path, const struct statx *file, int to);

#endif

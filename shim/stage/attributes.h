/*
 * What a file has besides its content: owner, group, extended attributes with the ACL among them, mode. For use within
 * stage/; safe anywhere.
 */
#ifndef STAGE_ATTRIBUTES_H
#define STAGE_ATTRIBUTES_H

#include "../sys/call.h"

/*
 * Gives the file behind `to` what the file behind `from` has, of which `file` is the status. `from` may be an O_PATH
 * descriptor. security.capability isn't kept: any write takes it away in place, too.
 * Returns NULL, or the reason why it can't be: "owner", "attributes", "unreadable".
 */
const char *attributes_copy(int from, const struct statx *file, int to);

/*
 * Carries over to the stage behind `fd` what has been changed by path at its target since the stage was made (`then`), as it
 * would have reached the writer's file in place: mode and owner unless the writer changed them too, and times that were set
 * after the last write.
 */
void attributes_carry(int fd, const struct statx *stage, const struct statx *then, const struct statx *now);

#endif

/*
 * What a file has besides its content: owner, group, extended attributes with the ACL among them, mode, times. For use within
 * stage/; safe anywhere.
 */
#ifndef STAGE_ATTRIBUTES_H
#define STAGE_ATTRIBUTES_H

#include "../sys/call.h"
#include "xattrs.h"

/*
 * Gives the file behind `to` what the file behind `from` has, of which `file` is the status. `from` may be an O_PATH
 * descriptor. `keeps_capability`: nothing has been written, so who may not give or take security.capability is content with what is
 * there. What extended attributes both have then is `seen`, which may be NULL. Returns NULL, or the reason why it can't be:
 * "owner", "attributes", "unreadable", or what errno gives away.
 */
const char *attributes_copy(int from, const struct statx *file, int to, bool keeps_capability, struct xattrs_seen *seen);

/* What a target had when its stage was made or adopted, and its stage with it. All zero: not known. */
struct attributes_seen {
    struct statx file;
    mode_t stage_mode; /* whoever isn't in a file's group can't give it the set-group-id bit, and isn't told */
    struct xattrs_seen xattrs;
};

/*
 * Carries over to the stage behind `fd` what has been changed by path at its target since `then`, as it would have reached
 * the writer's file in place: mode, owner and extended attributes unless the writer changed them too, and times that were
 * set after the last write. `target` may be an O_PATH descriptor; `now` is its status.
 */
void attributes_carry(int fd, const struct statx *stage, const struct attributes_seen *then, int target, const struct statx *now);

/* Whether anything at all but the content has been changed since. */
bool attributes_have_changed(const struct attributes_seen *then, const struct statx *now);

#endif

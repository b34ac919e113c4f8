/*
 * The extended attributes of a file, the POSIX ACL and a security label among them. A file that is only read from may be given by
 * an O_PATH descriptor. For use within stage/; safe anywhere.
 */
#ifndef STAGE_XATTRS_H
#define STAGE_XATTRS_H

#include <stdbool.h>
#include <stdint.h>

/* What a file had at some time: fingerprints of its first attributes, in place of up to 64 KiB each. */
#define XATTRS_SEEN_MAX 12
struct xattrs_seen {
    unsigned count;
    struct {
        uint64_t name, value;
    } each[XATTRS_SEEN_MAX];
};

void xattrs_see(int fd, struct xattrs_seen *);

/*
 * Gives `to` what `from` has, and takes from it what `from` hasn't. Returns NULL, or the reason why that can't be. Who may not
 * set security.capability loses it without a complaint, as any write would do; `keeps_capability`: nor take it away. What was
 * there to give is `seen`, which may be NULL.
 */
const char *xattrs_copy(int from, int to, bool keeps_capability, struct xattrs_seen *seen);

/*
 * Carries over to the stage what has been set or removed at its target since both had what was `seen`, save what the stage's
 * writer has set or removed itself. With `also_capability`, a new security.capability as well.
 */
void xattrs_carry(int target, int stage, const struct xattrs_seen *seen, bool also_capability);

#endif

#include "attributes.h"

#include "refusal.h"

#define SET_ID (S_ISUID | S_ISGID)

/*
 * Owner first: chown takes set-id bits away, and a capability with them. Mode last: an ACL brings a mode of its own. Whatever
 * is right already is left alone, so that a file to which nothing has happened keeps its ctime.
 */
const char *attributes_copy(int from, const struct statx *file, int to, bool keeps_capability, struct xattrs_seen *seen)
{
    struct statx now;
    if (sys_fstat(to, &now) < 0)
        return "attributes";
    if ((now.stx_uid != file->stx_uid || now.stx_gid != file->stx_gid) && sys_fchown(to, file->stx_uid, file->stx_gid) < 0)
        return refusal_of("owner");
    const char *reason = xattrs_copy(from, to, keeps_capability, seen);
    if (reason)
        return reason;
    if (sys_fstat(to, &now) < 0 || (now.stx_mode != file->stx_mode && sys_fchmod(to, file->stx_mode & 07777) < 0))
        return refusal_of("attributes");
    return NULL;
}

bool attributes_have_changed(const struct attributes_seen *then, const struct statx *now)
{
    return then->file.stx_mode && !sys_is_same_time(&then->file.stx_ctime, &now->stx_ctime);
}

/* Writes take set-id bits from the stage that they would have taken from the target: only a chmod brings those back. */
static mode_t carried_mode(const struct statx *stage, const struct statx *then, const struct statx *now)
{
    mode_t set_id = (now->stx_mode ^ then->stx_mode) & SET_ID ? now->stx_mode : stage->stx_mode;
    return (now->stx_mode & 07777 & ~(mode_t)SET_ID) | (set_id & SET_ID);
}

void attributes_carry(int fd, const struct statx *stage, const struct attributes_seen *seen, int target, const struct statx *now)
{
    const struct statx *then = &seen->file;
    bool set_last = sys_is_later(&now->stx_ctime, &stage->stx_ctime);
    bool owner_changed = now->stx_uid != then->stx_uid || now->stx_gid != then->stx_gid;
    if (owner_changed && stage->stx_uid == then->stx_uid && stage->stx_gid == then->stx_gid)
        sys_fchown(fd, now->stx_uid, now->stx_gid);
    xattrs_carry(target, fd, &seen->xattrs, set_last);
    /* chown may have taken set-id bits away at the target as well: the mode there is how it ended. */
    if ((owner_changed || now->stx_mode != then->stx_mode) && (stage->stx_mode & ~SET_ID) == (seen->stage_mode & ~SET_ID))
        sys_fchmod(fd, carried_mode(stage, then, now));
    if (!sys_is_same_time(&now->stx_mtime, &then->stx_mtime) && set_last)
        sys_set_times(fd, now);
}

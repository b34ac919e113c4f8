#include "attributes.h"

#include <string.h>

#include "../sys/directory.h"
#include "../sys/scratch.h"

#define NAMES_MAX 65536 /* XATTR_LIST_MAX */
#define VALUE_MAX 65536 /* XATTR_SIZE_MAX */
#define ACL "system.posix_acl_access"

struct work {
    char names[NAMES_MAX], value[VALUE_MAX], present[VALUE_MAX];
};

static bool has_value(int fd, const char *name, const struct work *work, ssize_t length, char *buffer)
{
    return sys_call(SYS_fgetxattr, fd, name, buffer, VALUE_MAX) == length && !memcmp(buffer, work->value, (size_t)length);
}

static const char *copy_one(const char *path, const char *name, int to, struct work *work)
{
    ssize_t length = sys_call(SYS_getxattr, path, name, work->value, VALUE_MAX);
    if (length < 0)
        return errno == ENODATA ? NULL : errno == EACCES ? "unreadable" : "attributes";
    if (sys_call(SYS_fsetxattr, to, name, work->value, length, 0) == 0)
        return NULL;
    /* A label that the new file was given anyway needs no right to set it. */
    return has_value(to, name, work, length, work->present) ? NULL : "attributes";
}

static const char *copy_all(const char *path, int to, struct work *work)
{
    ssize_t length = sys_call(SYS_listxattr, path, work->names, NAMES_MAX);
    if (length < 0)
        return errno == EOPNOTSUPP || errno == ENOSYS ? NULL : "attributes";
    bool has_acl = false;
    const char *reason = NULL;
    for (const char *name = work->names; !reason && name < work->names + length; name += strlen(name) + 1) {
        has_acl |= !strcmp(name, ACL);
        if (strcmp(name, "security.capability") != 0)
            reason = copy_one(path, name, to, work);
    }
    if (!has_acl) /* the directory's default ACL may have given the new file one */
        sys_call(SYS_fremovexattr, to, ACL);
    return reason;
}

/* Owner first: chown takes set-id bits away. Mode last: an ACL brings a mode of its own. */
const char *attributes_copy(int from, const struct statx *file, int to)
{
    char link[DESCRIPTOR_LINK_SIZE];
    struct statx now;
    if (sys_fstat(to, &now) < 0)
        return "attributes";
    if ((now.stx_uid != file->stx_uid || now.stx_gid != file->stx_gid) && sys_fchown(to, file->stx_uid, file->stx_gid) < 0)
        return "owner";
    struct work *work = scratch_map(sizeof *work);
    const char *reason = work ? copy_all(descriptor_link(link, from), to, work) : "attributes";
    scratch_unmap(work, sizeof *work);
    if (!reason && sys_fchmod(to, file->stx_mode & 07777) < 0)
        reason = "attributes";
    return reason;
}

static bool is_same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

void attributes_carry(int fd, const struct statx *stage, const struct statx *then, const struct statx *now)
{
    bool owner_changed = now->stx_uid != then->stx_uid || now->stx_gid != then->stx_gid;
    if (owner_changed && stage->stx_uid == then->stx_uid && stage->stx_gid == then->stx_gid)
        sys_fchown(fd, now->stx_uid, now->stx_gid);
    /* chown may have taken set-id bits away at the target as well: the mode there is how it ended. */
    if ((owner_changed || now->stx_mode != then->stx_mode) && stage->stx_mode == then->stx_mode)
        sys_fchmod(fd, now->stx_mode & 07777);
    if (!is_same_time(&now->stx_mtime, &then->stx_mtime) && sys_is_later(&now->stx_ctime, &stage->stx_ctime))
        sys_set_times(fd, now);
}

#include "attributes.h"

#include <string.h>

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
    ssize_t length = sys_call(SYS_lgetxattr, path, name, work->value, VALUE_MAX);
    if (length < 0)
        return errno == ENODATA ? NULL : errno == EACCES ? "unreadable" : "attributes";
    if (sys_call(SYS_fsetxattr, to, name, work->value, length, 0) == 0)
        return NULL;
    /* A label that the new file was given anyway needs no right to set it. */
    return has_value(to, name, work, length, work->present) ? NULL : "attributes";
}

static const char *copy_all(const char *path, int to, struct work *work)
{
    ssize_t length = sys_call(SYS_llistxattr, path, work->names, NAMES_MAX);
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
const char *attributes_copy(const char *path, const struct statx *file, int to)
{
    struct statx now;
    if (sys_fstat(to, &now) < 0)
        return "attributes";
    if ((now.stx_uid != file->stx_uid || now.stx_gid != file->stx_gid) && sys_fchown(to, file->stx_uid, file->stx_gid) < 0)
        return "owner";
    struct work *work = scratch_map(sizeof *work);
    const char *reason = work ? copy_all(path, to, work) : "attributes";
    scratch_unmap(work, sizeof *work);
    if (!reason && sys_fchmod(to, file->stx_mode & 07777) < 0)
        reason = "attributes";
    return reason;
}

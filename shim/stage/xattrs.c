#include "xattrs.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "refusal.h"

#define NAMES_MAX 65536 /* XATTR_LIST_MAX */
#define VALUE_MAX 65536 /* XATTR_SIZE_MAX */
#define ACL "system.posix_acl_access"
#define CAPABILITY "security.capability"
#define NOT_THERE 0 /* a fingerprint that no value has */

struct work {
    char from[DESCRIPTOR_LINK_SIZE]; /* an O_PATH descriptor can't be asked itself */
    int to;
    char names[NAMES_MAX + 1], value[VALUE_MAX], present[VALUE_MAX];
};

static struct work *start(int from, int to)
{
    struct work *work = scratch_map(sizeof *work);
    if (work) {
        descriptor_link(work->from, from);
        work->to = to;
    }
    return work;
}

/* Returns the end of the names that were read, or NULL. A file system without attributes has none. */
static const char *end_of_names(const struct work *work, ssize_t length)
{
    if (length < 0)
        return errno == EOPNOTSUPP || errno == ENOSYS ? work->names : NULL;
    return work->names + length;
}

/* Each reads all names. To go through them: for (name = work->names; name < end; name = next(name)). */
static const char *list_from(struct work *work)
{
    return end_of_names(work, sys_call(SYS_listxattr, work->from, work->names, NAMES_MAX));
}

static const char *list_to(struct work *work)
{
    return end_of_names(work, sys_call(SYS_flistxattr, work->to, work->names, NAMES_MAX));
}

static const char *next(const char *name)
{
    return name + strlen(name) + 1;
}

static bool is_capability(const char *name)
{
    return !strcmp(name, CAPABILITY);
}

static ssize_t get_from(struct work *work, const char *name)
{
    return sys_call(SYS_getxattr, work->from, name, work->value, VALUE_MAX);
}

static ssize_t get_to(struct work *work, const char *name)
{
    return sys_call(SYS_fgetxattr, work->to, name, work->present, VALUE_MAX);
}

/* FNV-1a, which needs no table. */
static uint64_t fingerprint(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash | 1;
}

static uint64_t fingerprint_of(const char *value, ssize_t length)
{
    return length < 0 ? NOT_THERE : fingerprint(value, (size_t)length);
}

static void see(struct xattrs_seen *seen, const char *name, const char *value, ssize_t length)
{
    if (!seen || seen->count == XATTRS_SEEN_MAX)
        return;
    seen->each[seen->count].name = fingerprint(name, strlen(name));
    seen->each[seen->count++].value = fingerprint_of(value, length);
}

void xattrs_see(int fd, struct xattrs_seen *seen)
{
    int saved = errno;
    struct work *work = start(fd, -1);
    seen->count = 0;
    const char *end = work ? list_from(work) : NULL;
    for (const char *name = end ? work->names : NULL; name < end; name = next(name))
        see(seen, name, work->value, get_from(work, name));
    scratch_unmap(work, sizeof *work);
    errno = saved;
}

/* Sets nothing that is there already: a label that a new file was given anyway needs no right to set it. */
static const char *copy_one(const char *name, struct work *work, struct xattrs_seen *seen)
{
    ssize_t length = get_from(work, name);
    if (length < 0)
        return errno == ENODATA ? NULL : errno == EACCES ? "unreadable" : "attributes";
    see(seen, name, work->value, length);
    if (get_to(work, name) == length && !memcmp(work->present, work->value, (size_t)length))
        return NULL;
    if (sys_call(SYS_fsetxattr, work->to, name, work->value, length, 0) == 0 || (is_capability(name) && errno == EPERM))
        return NULL;
    return refusal_of("attributes");
}

static const char *remove_others(struct work *work, bool keeps_capability)
{
    const char *reason = NULL, *end = list_to(work);
    for (const char *name = work->names; name < end; name = next(name))
        if (get_from(work, name) < 0 && errno == ENODATA && sys_call(SYS_fremovexattr, work->to, name) < 0 && errno != ENODATA &&
            !(keeps_capability && is_capability(name)))
            reason = "attributes";
    return reason;
}

static const char *copy_all(struct work *work, struct xattrs_seen *seen)
{
    const char *reason = NULL, *end = list_from(work);
    if (!end)
        return "attributes";
    for (const char *name = work->names; name < end && !reason; name = next(name))
        reason = copy_one(name, work, seen);
    return reason;
}

const char *xattrs_copy(int from, int to, bool keeps_capability, struct xattrs_seen *seen)
{
    if (seen)
        seen->count = 0;
    struct work *work = start(from, to);
    const char *reason = work ? remove_others(work, keeps_capability) : "attributes";
    if (!reason)
        reason = copy_all(work, seen);
    scratch_unmap(work, sizeof *work);
    return reason;
}

static uint64_t value_seen(const struct xattrs_seen *seen, const char *name)
{
    uint64_t key = fingerprint(name, strlen(name));
    for (unsigned i = 0; i < seen->count; i++)
        if (seen->each[i].name == key)
            return seen->each[i].value;
    return NOT_THERE;
}

static void carry_one(const char *name, struct work *work, const struct xattrs_seen *seen)
{
    ssize_t length = get_from(work, name);
    if (length < 0 && errno != ENODATA)
        return;
    uint64_t then = value_seen(seen, name), now = fingerprint_of(work->value, length);
    if (now == then)
        return;
    /* A capability that is gone from the stage was taken by its writes, not by its writer. */
    if (!is_capability(name) && fingerprint_of(work->present, get_to(work, name)) != then)
        return;
    if (length < 0)
        sys_call(SYS_fremovexattr, work->to, name);
    else
        sys_call(SYS_fsetxattr, work->to, name, work->value, length, 0);
}

void xattrs_carry(int target, int stage, const struct xattrs_seen *seen, bool also_capability)
{
    int saved = errno;
    struct work *work = start(target, stage);
    /* The target's names, for what has been set there, then the stage's, for what has been removed. */
    for (int i = 0; work && i < 2; i++) {
        const char *end = i ? list_to(work) : list_from(work);
        for (const char *name = work->names; name < end; name = next(name))
            if (also_capability || !is_capability(name))
                carry_one(name, work, seen);
    }
    scratch_unmap(work, sizeof *work);
    errno = saved;
}

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
    char from[DESCRIPTOR_LINK_SIZE], to[DESCRIPTOR_LINK_SIZE];
    char names[NAMES_MAX + 1], value[VALUE_MAX], present[VALUE_MAX];
};

static struct work *start(int from, int to)
{
    struct work *work = scratch_map(sizeof *work);
    if (work) {
        descriptor_link(work->from, from);
        descriptor_link(work->to, to);
    }
    return work;
}

/*
 * Reads all names; returns the end of them, or NULL. A file system without attributes has none. To go through them:
 * for (name = work->names; name < end; name = next(name)).
 */
static const char *list(const char *path, struct work *work)
{
    ssize_t length = sys_call(SYS_listxattr, path, work->names, NAMES_MAX);
    if (length < 0)
        return errno == EOPNOTSUPP || errno == ENOSYS ? work->names : NULL;
    return work->names + length;
}

static const char *next(const char *name)
{
    return name + strlen(name) + 1;
}

static bool is_capability(const char *name)
{
    return !strcmp(name, CAPABILITY);
}

static ssize_t get(const char *path, const char *name, char *value)
{
    return sys_call(SYS_getxattr, path, name, value, VALUE_MAX);
}

/* Sets nothing that is there already: a label that a new file was given anyway needs no right to set it. */
static const char *copy_one(const char *name, struct work *work)
{
    ssize_t length = get(work->from, name, work->value);
    if (length < 0)
        return errno == ENODATA ? NULL : errno == EACCES ? "unreadable" : "attributes";
    if (get(work->to, name, work->present) == length && !memcmp(work->present, work->value, (size_t)length))
        return NULL;
    if (sys_call(SYS_setxattr, work->to, name, work->value, length, 0) == 0 || (is_capability(name) && errno == EPERM))
        return NULL;
    return refusal_of("attributes");
}

static const char *remove_others(struct work *work, bool keeps_capability)
{
    const char *reason = NULL, *end = list(work->to, work);
    for (const char *name = work->names; name < end; name = next(name))
        if (get(work->from, name, work->value) < 0 && errno == ENODATA && sys_call(SYS_removexattr, work->to, name) < 0 &&
            errno != ENODATA && !(keeps_capability && is_capability(name)))
            reason = "attributes";
    return reason;
}

static const char *copy_all(struct work *work)
{
    const char *reason = NULL, *end = list(work->from, work);
    if (!end)
        return "attributes";
    for (const char *name = work->names; name < end && !reason; name = next(name))
        reason = copy_one(name, work);
    return reason;
}

const char *xattrs_copy(int from, int to, bool keeps_capability)
{
    struct work *work = start(from, to);
    const char *reason = work ? remove_others(work, keeps_capability) : "attributes";
    if (!reason)
        reason = copy_all(work);
    scratch_unmap(work, sizeof *work);
    return reason;
}

/* FNV-1a, which needs no table. */
static uint64_t fingerprint(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash | 1;
}

static uint64_t fingerprint_of(const char *path, const char *name, char *buffer)
{
    ssize_t length = get(path, name, buffer);
    return length < 0 ? NOT_THERE : fingerprint(buffer, (size_t)length);
}

void xattrs_see(int fd, struct xattrs_seen *seen)
{
    int saved = errno;
    struct work *work = start(fd, fd);
    seen->count = 0;
    const char *end = work ? list(work->from, work) : NULL;
    for (const char *name = end ? work->names : NULL; name < end; name = next(name))
        if (seen->count < XATTRS_SEEN_MAX) {
            seen->each[seen->count].name = fingerprint(name, strlen(name));
            seen->each[seen->count++].value = fingerprint_of(work->from, name, work->value);
        }
    scratch_unmap(work, sizeof *work);
    errno = saved;
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
    ssize_t length = get(work->from, name, work->value);
    if (length < 0 && errno != ENODATA)
        return;
    uint64_t then = value_seen(seen, name), now = length < 0 ? NOT_THERE : fingerprint(work->value, (size_t)length);
    if (now == then)
        return;
    /* A capability that is gone from the stage was taken by its writes, not by its writer. */
    if (!is_capability(name) && fingerprint_of(work->to, name, work->present) != then)
        return;
    if (length < 0)
        sys_call(SYS_removexattr, work->to, name);
    else
        sys_call(SYS_setxattr, work->to, name, work->value, length, 0);
}

void xattrs_carry(int target, int stage, const struct xattrs_seen *seen, bool also_capability)
{
    int saved = errno;
    struct work *work = start(target, stage);
    /* The target's names, for what has been set there, then the stage's, for what has been removed. */
    for (int i = 0; work && i < 2; i++) {
        const char *end = list(i ? work->to : work->from, work);
        for (const char *name = work->names; name < end; name = next(name))
            if (also_capability || !is_capability(name))
                carry_one(name, work, seen);
    }
    scratch_unmap(work, sizeof *work);
    errno = saved;
}

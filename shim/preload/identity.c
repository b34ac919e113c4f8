#include <linux/seccomp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../remedy/release.h"
#include "entries.h"

/*
 * A process that gives up its ids, or moves to another root, may not be able to put a stage in place any more, though in place
 * it could have gone on writing through the descriptor that it has. So it is put in place before. The same goes for these calls by
 * their numbers, and for the ways to restrict oneself that have no function in libc: see syscall.c.
 */
void preload_settle(const char *op)
{
    if (unlikely(stage_known_count))
        release_to_stranger(op, STAGE_OURS_OR_SURVIVES, false);
}

/*
 * In a user namespace of its own a process has no capability over the files of others any more. What else is unshared is as it was
 * before: also the mounts (measured on 6.18).
 */
void preload_settle_unshare(const char *op, int flags)
{
    if (flags & CLONE_NEWUSER)
        preload_settle(op);
}

/* Other mounts, or other capabilities; 0 is whatever the descriptor is of. */
void preload_settle_setns(const char *op, int kind)
{
    if (!kind || kind & (CLONE_NEWNS | CLONE_NEWUSER))
        preload_settle(op);
}

void preload_settle_prctl(const char *op, int option, unsigned long value)
{
    if (option == PR_SET_SECCOMP && (value == SECCOMP_MODE_STRICT || value == SECCOMP_MODE_FILTER))
        preload_settle(op);
}

#define SETTLES(name, parameters, arguments)                                                                                       \
    int wrap_##name parameters                                                                                                     \
    {                                                                                                                              \
        preload_settle(#name);                                                                                                     \
        return NEXT(name) arguments;                                                                                               \
    }
SETTLES(setuid, (uid_t uid), (uid))
SETTLES(seteuid, (uid_t uid), (uid))
SETTLES(setreuid, (uid_t ruid, uid_t euid), (ruid, euid))
SETTLES(setresuid, (uid_t ruid, uid_t euid, uid_t suid), (ruid, euid, suid))
SETTLES(setfsuid, (uid_t uid), (uid))
SETTLES(setgid, (gid_t gid), (gid))
SETTLES(setegid, (gid_t gid), (gid))
SETTLES(setregid, (gid_t rgid, gid_t egid), (rgid, egid))
SETTLES(setresgid, (gid_t rgid, gid_t egid, gid_t sgid), (rgid, egid, sgid))
SETTLES(setfsgid, (gid_t gid), (gid))
SETTLES(setgroups, (size_t count, const gid_t *groups), (count, groups))
SETTLES(initgroups, (const char *user, gid_t group), (user, group))
SETTLES(chroot, (const char *path), (path))
SETTLES(pivot_root, (const char *new_root, const char *old_root), (new_root, old_root))
SETTLES(capset, (void *header, const void *sets), (header, sets))

int wrap_unshare(int flags)
{
    preload_settle_unshare("unshare", flags);
    return NEXT(unshare)(flags);
}

int wrap_setns(int fd, int kind)
{
    preload_settle_setns("setns", kind);
    return NEXT(setns)(fd, kind);
}

int wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    preload_settle_prctl("prctl", option, a);
    return NEXT(prctl)(option, a, b, c, d);
}

#ifdef HAS_TIME64_NAMES
int wrap___prctl_time64(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    preload_settle_prctl("prctl", option, a);
    return NEXT(__prctl_time64)(option, a, b, c, d);
}
#endif

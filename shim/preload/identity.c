#include <sys/fsuid.h>
#include <unistd.h>

#include "../remedy/release.h"
#include "entries.h"

/*
 * A process that gives up its ids, or moves to another root, may not be able to put a stage in place any more, though in place
 * it could have gone on writing through the descriptor that it has. So it is put in place before. The same goes for the ways to
 * restrict oneself that have no function in libc: see syscall.c.
 */
void preload_settle(const char *op)
{
    if (unlikely(stage_known_count))
        release_to_stranger(op, STAGE_OURS_OR_SURVIVES, false);
}

int wrap_setuid(uid_t uid)
{
    preload_settle("setuid");
    return NEXT(setuid)(uid);
}

int wrap_seteuid(uid_t uid)
{
    preload_settle("seteuid");
    return NEXT(seteuid)(uid);
}

int wrap_setreuid(uid_t ruid, uid_t euid)
{
    preload_settle("setreuid");
    return NEXT(setreuid)(ruid, euid);
}

int wrap_setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
    preload_settle("setresuid");
    return NEXT(setresuid)(ruid, euid, suid);
}

int wrap_setfsuid(uid_t uid)
{
    preload_settle("setfsuid");
    return NEXT(setfsuid)(uid);
}

int wrap_setgid(gid_t gid)
{
    preload_settle("setgid");
    return NEXT(setgid)(gid);
}

int wrap_setegid(gid_t gid)
{
    preload_settle("setegid");
    return NEXT(setegid)(gid);
}

int wrap_setregid(gid_t rgid, gid_t egid)
{
    preload_settle("setregid");
    return NEXT(setregid)(rgid, egid);
}

int wrap_setresgid(gid_t rgid, gid_t egid, gid_t sgid)
{
    preload_settle("setresgid");
    return NEXT(setresgid)(rgid, egid, sgid);
}

int wrap_setfsgid(gid_t gid)
{
    preload_settle("setfsgid");
    return NEXT(setfsgid)(gid);
}

int wrap_setgroups(size_t count, const gid_t *groups)
{
    preload_settle("setgroups");
    return NEXT(setgroups)(count, groups);
}

int wrap_initgroups(const char *user, gid_t group)
{
    preload_settle("initgroups");
    return NEXT(initgroups)(user, group);
}

int wrap_chroot(const char *path)
{
    preload_settle("chroot");
    return NEXT(chroot)(path);
}

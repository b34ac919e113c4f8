#include "flags.h"

#include <linux/fs.h>

#include "../sys/call.h"
#include "../sys/directory.h"
#include "refusal.h"

/* What an owner may set on a regular file; the rest is the file system's own business, or, as immutable, refused before. */
#define FLAGS                                                                                                                      \
    (FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_NOCOMP_FL | FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL |      \
     FS_NOTAIL_FL | FS_NOCOW_FL | FS_DAX_FL)
#define EXTENDED_FLAGS (FS_XFLAG_REALTIME | FS_XFLAG_NODEFRAG | FS_XFLAG_EXTSIZE | FS_XFLAG_COWEXTSIZE)

static const char *copy_inode_flags(int from, int to, unsigned present)
{
    unsigned wanted;
    if (sys_ioctl(from, FS_IOC_GETFLAGS, (long)&wanted) < 0)
        return NULL;
    wanted = (present & ~(unsigned)FLAGS) | (wanted & FLAGS);
    if (wanted == present)
        return NULL;
    if (sys_ioctl(to, FS_IOC_SETFLAGS, (long)&wanted) < 0)
        return refusal_of("attributes");
    /* What can't be set may be ignored without an error. */
    return sys_ioctl(to, FS_IOC_GETFLAGS, (long)&present) == 0 && present == wanted ? NULL : "attributes";
}

static const char *copy_extended(int from, int to)
{
    struct fsxattr wanted, present;
    if (sys_ioctl(to, FS_IOC_FSGETXATTR, (long)&present) < 0 || sys_ioctl(from, FS_IOC_FSGETXATTR, (long)&wanted) < 0)
        return NULL;
    unsigned flags = (present.fsx_xflags & ~(unsigned)EXTENDED_FLAGS) | (wanted.fsx_xflags & EXTENDED_FLAGS);
    if (flags == present.fsx_xflags && wanted.fsx_projid == present.fsx_projid && wanted.fsx_extsize == present.fsx_extsize &&
        wanted.fsx_cowextsize == present.fsx_cowextsize)
        return NULL;
    present.fsx_xflags = flags;
    present.fsx_projid = wanted.fsx_projid;
    present.fsx_extsize = wanted.fsx_extsize;
    present.fsx_cowextsize = wanted.fsx_cowextsize;
    return sys_ioctl(to, FS_IOC_FSSETXATTR, (long)&present) == 0 ? NULL : refusal_of("attributes");
}

const char *flags_copy(int from, int to)
{
    char link[DESCRIPTOR_LINK_SIZE];
    unsigned present;
    if (sys_ioctl(to, FS_IOC_GETFLAGS, (long)&present) < 0) /* this file system has none */
        return NULL;
    /* The question needs a descriptor that was opened. */
    int file = sys_openat(AT_FDCWD, descriptor_link(link, from), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (file < 0)
        return errno == EACCES ? "unreadable" : refusal_of("attributes");
    const char *reason = copy_inode_flags(file, to, present);
    if (!reason)
        reason = copy_extended(file, to);
    sys_close_quietly(file);
    return reason;
}

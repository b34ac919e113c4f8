#include "old_version.h"

#include "../sys/directory.h"

void old_version_open(struct old_version *old, const char *path)
{
    int saved = errno;
    old->fd = sys_openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (old->fd < 0 || sys_fstat(old->fd, &old->file) < 0 || !S_ISREG(old->file.stx_mode))
        old_version_close(old);
    errno = saved;
}

/*
 * Under another name (a hard link, a kept generation) it could be started while it is open here, and that start would meet
 * ETXTBSY: it isn't asked then.
 */
bool old_version_may_run(const struct old_version *old)
{
    int saved = errno, fd = -1;
    char link[DESCRIPTOR_LINK_SIZE];
    struct statx now;
    if (old->fd >= 0 && sys_fstat(old->fd, &now) == 0 && now.stx_nlink == 0)
        fd = sys_openat(AT_FDCWD, descriptor_link(link, old->fd), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    sys_close_quietly(fd);
    errno = saved;
    return fd < 0;
}

void old_version_close(struct old_version *old)
{
    sys_close_quietly(old->fd);
    *old = (struct old_version){ .fd = -1 };
}

#include <linux/openat2.h>
#include <string.h>

#include "../sys/directory.h"
#include "../sys/text.h"
#include "name.h"
#include "stage.h"
#include "swap.h"

static int open_path(int dirfd, const char *path, int flags, uint64_t resolve)
{
    if (!resolve)
        return sys_openat(dirfd, path, flags, 0);
    struct open_how how = { .flags = (uint64_t)flags, .resolve = resolve };
    return (int)sys_call(SYS_openat2, dirfd, path, &how, sizeof how);
}

static int fill_path(struct stage_target *target, int fd)
{
    if (!descriptor_path(fd, target->path, sizeof target->path))
        return -1;
    if (target->path[0] != '/') { /* "(unreachable)/…", "pipe:[…]" */
        errno = ENOENT;
        return -1;
    }
    return 0;
}

static int look_up(struct stage_target *target, int dirfd, const char *path, int flags, uint64_t resolve)
{
    int fd = open_path(dirfd, path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW), resolve);
    if (fd < 0)
        return -1;
    bool found = fill_path(target, fd) == 0 && sys_fstat(fd, &target->file) == 0;
    sys_close_quietly(fd);
    return found ? 0 : -1;
}

/* A file that loses its name to another writer's between the open and the look is no longer the one that the path leads to. */
#define LOOKS_MAX 100

int stage_resolve(struct stage_target *target, int dirfd, const char *path, int flags, uint64_t resolve)
{
    int looks = 0;
    do
        if (look_up(target, dirfd, path, flags, resolve) < 0)
            return -1;
    while (!target->file.stx_nlink && ++looks < LOOKS_MAX);
    target->directory_length = (size_t)(text_base(target->path) - target->path) - 1;
    return 0;
}

int stage_resolve_new(struct stage_target *target, int dirfd, const char *path, uint64_t resolve)
{
    const char *base = text_base(path);
    size_t length = (size_t)(base - path);
    struct text directory = TEXT(target->path);
    struct statx file;
    text_bytes(&directory, path, length);
    text_add(&directory, length ? "" : ".");
    if (!*base || !strcmp(base, ".") || !strcmp(base, "..") || directory.full)
        return -1;
    int fd = open_path(dirfd, target->path, O_PATH | O_DIRECTORY | O_CLOEXEC, resolve);
    if (fd < 0)
        return -1;
    bool found = sys_statx(fd, base, AT_SYMLINK_NOFOLLOW, &file) < 0 && errno == ENOENT && fill_path(target, fd) == 0;
    sys_close_quietly(fd);
    if (!found)
        return -1;
    target->file = (struct statx){ 0 };
    target->directory_length = strlen(target->path);
    if (target->directory_length == 1) /* "/" */
        target->directory_length = 0;
    struct text whole = { .at = target->path, .size = sizeof target->path, .length = target->directory_length };
    text_add(&whole, "/");
    text_add(&whole, base);
    return whole.full ? -1 : 0;
}

bool stage_is_target(const struct stage_target *target)
{
    struct stage_name name;
    return stage_name_parse(stage_base(target), &name);
}

bool stage_is_swap_file(const struct stage_target *target)
{
    return swap_is_active(&target->file);
}

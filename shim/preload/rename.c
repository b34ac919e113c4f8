#include <fcntl.h>

#include "../remedy/rename.h"
#include "entries.h"

int wrap_rename(const char *path, const char *new_path)
{
    struct rename_call call = { .op = "rename", .dirfd = AT_FDCWD, .path = path, .newdirfd = AT_FDCWD, .new_path = new_path };
    int result;
    do
        result = NEXT(rename)(path, new_path);
    while (rename_again(&call, result));
    return result;
}

int wrap_renameat(int dirfd, const char *path, int newdirfd, const char *new_path)
{
    struct rename_call call = { .op = "renameat", .dirfd = dirfd, .path = path, .newdirfd = newdirfd, .new_path = new_path };
    int result;
    do
        result = NEXT(renameat)(dirfd, path, newdirfd, new_path);
    while (rename_again(&call, result));
    return result;
}

#if __GLIBC_PREREQ(2, 28)
int wrap_renameat2(int dirfd, const char *path, int newdirfd, const char *new_path, unsigned flags)
{
    struct rename_call call = { .op = "renameat2", .dirfd = dirfd, .path = path, .newdirfd = newdirfd, .new_path = new_path };
    int result;
    do
        result = NEXT(renameat2)(dirfd, path, newdirfd, new_path, flags);
    while (rename_again(&call, result));
    return result;
}
#endif

int wrap_link(const char *path, const char *new_path)
{
    struct rename_call call = { .op = "link", .dirfd = AT_FDCWD, .path = path };
    int result;
    do
        result = NEXT(link)(path, new_path);
    while (rename_again(&call, result));
    return result;
}

int wrap_linkat(int dirfd, const char *path, int newdirfd, const char *new_path, int flags)
{
    struct rename_call call = { .op = "linkat", .dirfd = dirfd, .path = path };
    int result;
    do
        result = NEXT(linkat)(dirfd, path, newdirfd, new_path, flags);
    while (rename_again(&call, result));
    return result;
}

int wrap_unlink(const char *path)
{
    struct rename_call call = { .op = "unlink", .dirfd = AT_FDCWD, .path = path };
    int result;
    do
        result = NEXT(unlink)(path);
    while (rename_again(&call, result));
    return result;
}

int wrap_unlinkat(int dirfd, const char *path, int flags)
{
    struct rename_call call = { .op = "unlinkat", .dirfd = dirfd, .path = path };
    int result;
    do
        result = NEXT(unlinkat)(dirfd, path, flags);
    while (rename_again(&call, result));
    return result;
}

int wrap_rmdir(const char *path)
{
    struct rename_call call = { .op = "rmdir", .dirfd = AT_FDCWD, .path = path };
    int result;
    do
        result = NEXT(rmdir)(path);
    while (rename_again(&call, result));
    return result;
}

/* libc's own calls unlink and then, perhaps, rmdir, which don't come by here. */
int wrap_remove(const char *path)
{
    struct rename_call call = { .op = "remove", .dirfd = AT_FDCWD, .path = path };
    int result;
    do
        result = NEXT(remove)(path);
    while (rename_again(&call, result));
    return result;
}

/*
 * A file system that does some things its own way: a directory shown again through FUSE.
 *
 *     odd_filesystem DIRECTORY ODDITY MOUNT_POINT
 *
 * ODDITY is "none", "flock" (everybody gets any lock), "rename" (never), or "names" (none longer than 60 bytes). It stays in the
 * foreground until it is unmounted. Without O_TMPFILE and link, as most FUSE file systems are.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int root;
static const char *oddity;

static int is(const char *name)
{
    return !strcmp(oddity, name);
}

static const char *inside(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int answer(long result)
{
    return result < 0 ? -errno : (int)result;
}

static int odd_getattr(const char *path, struct stat *file, struct fuse_file_info *info)
{
    if (is("names") && strlen(strrchr(path, '/')) > 61)
        return -ENAMETOOLONG;
    return answer(info ? fstat((int)info->fh, file) : fstatat(root, inside(path), file, AT_SYMLINK_NOFOLLOW));
}

static int odd_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                       enum fuse_readdir_flags flags)
{
    (void)offset, (void)info, (void)flags;
    DIR *directory = fdopendir(openat(root, inside(path), O_RDONLY | O_DIRECTORY));
    if (!directory)
        return -errno;
    for (struct dirent *entry; (entry = readdir(directory));)
        fill(buffer, entry->d_name, NULL, 0, 0);
    closedir(directory);
    return 0;
}

static int odd_open(const char *path, struct fuse_file_info *info)
{
    int fd = openat(root, inside(path), info->flags & ~O_NOFOLLOW);
    info->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int odd_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int fd = openat(root, inside(path), info->flags | O_CREAT, mode);
    info->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int odd_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)path;
    return answer(pread((int)info->fh, buffer, size, offset));
}

static int odd_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)path;
    return answer(pwrite((int)info->fh, buffer, size, offset));
}

static int odd_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    return answer(close((int)info->fh));
}

static int odd_truncate(const char *path, off_t length, struct fuse_file_info *info)
{
    if (info)
        return answer(ftruncate((int)info->fh, length));
    int fd = openat(root, inside(path), O_WRONLY);
    int result = answer(fd < 0 ? -1 : ftruncate(fd, length));
    if (fd >= 0)
        close(fd);
    return result;
}

static int odd_mkdir(const char *path, mode_t mode)
{
    return answer(mkdirat(root, inside(path), mode));
}

static int odd_unlink(const char *path)
{
    return answer(unlinkat(root, inside(path), 0));
}

static int odd_rmdir(const char *path)
{
    return answer(unlinkat(root, inside(path), AT_REMOVEDIR));
}

static int odd_rename(const char *from, const char *to, unsigned flags)
{
    return is("rename") || flags ? -EPERM : answer(renameat(root, inside(from), root, inside(to)));
}

static int odd_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    return answer(info ? fchmod((int)info->fh, mode) : fchmodat(root, inside(path), mode, 0));
}

static int odd_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info)
{
    return answer(info ? fchown((int)info->fh, uid, gid) : fchownat(root, inside(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int odd_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
    return answer(info ? futimens((int)info->fh, times) : utimensat(root, inside(path), times, AT_SYMLINK_NOFOLLOW));
}

static int odd_flock(const char *path, struct fuse_file_info *info, int operation)
{
    (void)path, (void)info, (void)operation;
    return 0;
}

int main(int argc, char **argv)
{
    static struct fuse_operations operations = {
        .getattr = odd_getattr,
        .readdir = odd_readdir,
        .open = odd_open,
        .create = odd_create,
        .read = odd_read,
        .write = odd_write,
        .release = odd_release,
        .truncate = odd_truncate,
        .mkdir = odd_mkdir,
        .unlink = odd_unlink,
        .rmdir = odd_rmdir,
        .rename = odd_rename,
        .chmod = odd_chmod,
        .chown = odd_chown,
        .utimens = odd_utimens,
    };
    if (argc != 4)
        return 2;
    oddity = argv[2];
    if (is("flock"))
        operations.flock = odd_flock; /* without one the kernel does it, and does it well */
    root = open(argv[1], O_RDONLY | O_DIRECTORY);
    char *const arguments[] = { argv[0], (char *)"-f", (char *)"-oallow_other,default_permissions", argv[3], NULL };
    return fuse_main(4, (char **)arguments, &operations, NULL);
}

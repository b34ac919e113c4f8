#include "../stage/stage.h"
#include "entries.h"

/*
 * Programs compare the identity of what they have opened with that of what the path leads to, and give up when they differ
 * (vim's :w). Until a stage takes its target's name, its descriptor answers with the target's device and inode.
 */

static bool find_identity(int result, int fd, struct stage_identity *identity)
{
    return unlikely(stage_known_count) && result == 0 && stage_identify(fd, identity);
}

/* As makedev, which may be a call of libc's, by a symbol version that every process would look for at its start. */
static dev_t device_number(const struct stage_identity *identity)
{
    uint64_t major = identity->major, minor = identity->minor;
    return (major & ~UINT64_C(0xfff)) << 32 | (minor & ~UINT64_C(0xff)) << 12 | (major & 0xfff) << 8 | (minor & 0xff);
}

static int answer(int result, int fd, struct stat *file)
{
    struct stage_identity identity;
    if (find_identity(result, fd, &identity)) {
        file->st_dev = device_number(&identity);
        file->st_ino = identity.inode;
    }
    return result;
}

static int answer64(int result, int fd, struct stat64 *file)
{
    struct stage_identity identity;
    if (find_identity(result, fd, &identity)) {
        file->st_dev = device_number(&identity);
        file->st_ino = identity.inode;
    }
    return result;
}

/*
 * A call that has a path is about the descriptor itself only with AT_EMPTY_PATH and an empty path, which is looked at when the
 * kernel could read it.
 */
static bool is_of_descriptor(int result, const char *path, int flags)
{
    return result == 0 && (flags & AT_EMPTY_PATH) && (!path || !*path);
}

#if __GLIBC_PREREQ(2, 33)
ASIDE int watch_fstat(int fd, struct stat *file)
{
    return answer(NEXT(fstat)(fd, file), fd, file);
}

int wrap_fstat(int fd, struct stat *file)
{
    return likely(!stage_known_count && next.fstat) ? next.fstat(fd, file) : watch_fstat(fd, file);
}

ASIDE int watch_fstat64(int fd, struct stat64 *file)
{
    return answer64(NEXT(fstat64)(fd, file), fd, file);
}

int wrap_fstat64(int fd, struct stat64 *file)
{
    return likely(!stage_known_count && next.fstat64) ? next.fstat64(fd, file) : watch_fstat64(fd, file);
}

int wrap_fstatat(int dirfd, const char *path, struct stat *file, int flags)
{
    int result = NEXT(fstatat)(dirfd, path, file, flags);
    return unlikely(stage_known_count) && is_of_descriptor(result, path, flags) ? answer(result, dirfd, file) : result;
}

int wrap_fstatat64(int dirfd, const char *path, struct stat64 *file, int flags)
{
    int result = NEXT(fstatat64)(dirfd, path, file, flags);
    return unlikely(stage_known_count) && is_of_descriptor(result, path, flags) ? answer64(result, dirfd, file) : result;
}
#endif

int wrap___fxstat(int version, int fd, struct stat *file)
{
    return answer(NEXT(__fxstat)(version, fd, file), fd, file);
}

int wrap___fxstat64(int version, int fd, struct stat64 *file)
{
    return answer64(NEXT(__fxstat64)(version, fd, file), fd, file);
}

int wrap___fxstatat(int version, int dirfd, const char *path, struct stat *file, int flags)
{
    int result = NEXT(__fxstatat)(version, dirfd, path, file, flags);
    return unlikely(stage_known_count) && is_of_descriptor(result, path, flags) ? answer(result, dirfd, file) : result;
}

int wrap___fxstatat64(int version, int dirfd, const char *path, struct stat64 *file, int flags)
{
    int result = NEXT(__fxstatat64)(version, dirfd, path, file, flags);
    return unlikely(stage_known_count) && is_of_descriptor(result, path, flags) ? answer64(result, dirfd, file) : result;
}

int wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *file)
{
    struct stage_identity identity;
    int result = NEXT(statx)(dirfd, path, flags, mask, file);
    if (unlikely(stage_known_count) && is_of_descriptor(result, path, flags) && find_identity(result, dirfd, &identity)) {
        file->stx_dev_major = identity.major;
        file->stx_dev_minor = identity.minor;
        file->stx_ino = identity.inode;
    }
    return result;
}

#ifdef HAS_TIME64_NAMES
static int answer_time64(int result, int fd, struct stat_time64 *file)
{
    struct stage_identity identity;
    if (find_identity(result, fd, &identity)) {
        file->st_dev = device_number(&identity);
        file->st_ino = identity.inode;
    }
    return result;
}

int wrap___fstat64_time64(int fd, struct stat_time64 *file)
{
    return answer_time64(NEXT(__fstat64_time64)(fd, file), fd, file);
}

int wrap___fstatat64_time64(int dirfd, const char *path, struct stat_time64 *file, int flags)
{
    int result = NEXT(__fstatat64_time64)(dirfd, path, file, flags);
    return unlikely(stage_known_count) && is_of_descriptor(result, path, flags) ? answer_time64(result, dirfd, file) : result;
}
#endif

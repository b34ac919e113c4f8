#include "locks.h"

#include <string.h>
#include <sys/file.h>

#include "directory.h"
#include "process.h"
#include "scratch.h"
#include "text.h"

#define GENERATIONS_MAX 64

struct search {
    struct directory descriptors;
    char path[PROCESS_PATH_SIZE], info[1024];
};

/* "/proc/PID/fdinfo/FD" and the like; the calling thread's own for pid 0. */
static const char *proc_path(struct search *search, pid_t pid, const char *name)
{
    if (pid)
        return process_path(search->path, pid, name);
    struct text text = TEXT(search->path);
    text_add(&text, "/proc/thread-self");
    text_add(&text, name);
    return search->path;
}

/* The kernel lists in fdinfo the locks that belong to this description, and the process's record locks taken through it. */
static bool has_lock_line(struct search *search, pid_t pid, const char *number)
{
    char name[32];
    struct text text = TEXT(name);
    text_add(&text, "/fdinfo/");
    text_add(&text, number);
    int fd = sys_openat(AT_FDCWD, proc_path(search, pid, name), O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = fd < 0 ? 0 : sys_read(fd, search->info, sizeof search->info - 1);
    sys_close_quietly(fd);
    search->info[length > 0 ? length : 0] = '\0';
    return strstr(search->info, "\nlock:");
}

/* Whether a process (0: this one) has a lock on the file. False for one whose descriptors we may not see. */
static bool has_lock(pid_t pid, const struct statx *file)
{
    bool found = false;
    const char *number;
    struct statx opened;
    struct search *search = scratch_map(sizeof *search);
    if (!search)
        return false;
    if (directory_open(&search->descriptors, AT_FDCWD, proc_path(search, pid, "/fd")) == 0)
        while (!found && (number = directory_next(&search->descriptors))) {
            if (sys_statx(search->descriptors.fd, number, AT_STATX_DONT_SYNC, &opened) == 0)
                found = sys_same_file(&opened, file) && has_lock_line(search, pid, number);
            else if (errno == EACCES) /* all of them, then */
                break;
        }
    directory_close(&search->descriptors);
    scratch_unmap(search, sizeof *search);
    return found;
}

static bool ancestor_has_lock(const struct statx *file)
{
    pid_t pid = sys_getpid();
    for (int generation = 0; generation < GENERATIONS_MAX && (pid = process_parent(pid)) > 0; generation++)
        if (has_lock(pid, file))
            return true;
    return false;
}

/*
 * Opens the file, or returns -1. Not when this process itself has a lock on it: that is ours, and the close of any descriptor
 * takes a process's record locks away (fcntl_locking(2)).
 */
static int open_file(int dirfd, const char *path, const struct statx *file)
{
    struct statx opened;
    if (!S_ISREG(file->stx_mode) || has_lock(0, file))
        return -1;
    int fd = sys_openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0 || (sys_fstat(fd, &opened) == 0 && sys_same_file(&opened, file)))
        return fd;
    sys_close(fd);
    return -1;
}

/* EBADF, EOPNOTSUPP, ENOLCK: not here. */
static bool is_refused(int fd, int operation)
{
    return sys_flock(fd, operation | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* A read-only description may ask for a write lock, though it couldn't take one (measured on 6.18). */
static bool has_record_lock(int fd, enum locks_conflict conflict)
{
    struct flock64 lock = { .l_type = conflict == LOCKS_ANY ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
    return sys_fcntl(fd, F_OFD_GETLK, (long)&lock) == 0 && lock.l_type != F_UNLCK;
}

bool locks_of_others(int dirfd, const char *path, const struct statx *file, enum locks_conflict conflict)
{
    int saved = errno, fd = open_file(dirfd, path, file);
    bool locked = fd >= 0 && (has_record_lock(fd, conflict) || is_refused(fd, conflict == LOCKS_ANY ? LOCK_EX : LOCK_SH));
    locks_leave(fd);
    locked = locked && !ancestor_has_lock(file);
    errno = saved;
    return locked;
}

bool locks_enter(int dirfd, const char *path, const struct statx *file, int *fd)
{
    int saved = errno;
    *fd = open_file(dirfd, path, file);
    bool refused = *fd >= 0 && is_refused(*fd, LOCK_EX);
    if (refused) {
        sys_close(*fd);
        *fd = -1;
    }
    bool entered = !refused || ancestor_has_lock(file);
    errno = saved;
    return entered;
}

/* Unlocks by name: a child that another thread forks meanwhile keeps the description, and must not keep the lock. */
void locks_leave(int fd)
{
    int saved = errno;
    if (fd >= 0) {
        sys_flock(fd, LOCK_UN);
        sys_close(fd);
    }
    errno = saved;
}

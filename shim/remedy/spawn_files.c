#include "spawn_files.h"

#include <unistd.h>

#include "../policy/policy.h"
#include "../sys/lasting.h"
#include "release.h"
#include "write.h"

#define OUT_OF_THE_WAY 256

/* Which descriptor belongs to which file actions; taken and given back by compare-and-swap on `actions`. */
struct file {
    const void *actions;
    int fd;
    bool truncates, used;
};

#define FILES STAGES_KNOWN_MAX

static void *table; /* of FILES; NULL as long as there has been none */

int spawn_files_count;

static bool remember(const void *actions, int fd, int flags)
{
    struct file *files = lasting_memory(&table, FILES * sizeof *files, LASTING_PRIVATE);
    for (size_t i = 0; files && i < FILES; i++) {
        const void *none = NULL;
        if (__atomic_compare_exchange_n(&files[i].actions, &none, actions, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            files[i].fd = fd;
            files[i].truncates = flags & O_TRUNC;
            files[i].used = false;
            __atomic_add_fetch(&spawn_files_count, 1, __ATOMIC_RELEASE);
            return true;
        }
    }
    return false;
}

static void close_stage(const char *op, int fd)
{
    struct stage_release release;
    stage_release_begin(&release, fd);
    sys_close_quietly(fd);
    release_end(&release, op, 0);
}

static void discard_stage(int fd)
{
    struct stage_release release;
    bool is = stage_release_begin(&release, fd);
    sys_close_quietly(fd);
    if (is)
        stage_discard(&release);
}

/*
 * Whether an open for writing would be refused. Asked only of files that can be executed, and nothing is created or emptied:
 * an open and close here would take away the POSIX locks that this process has on the file (fcntl_locking(2)).
 */
static bool is_busy(const char *path, int flags)
{
    struct statx file;
    if (sys_statx(AT_FDCWD, path, 0, &file) < 0 || !S_ISREG(file.stx_mode) || !(file.stx_mode & 0111))
        return false;
    int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (flags & O_NOFOLLOW), 0);
    sys_close_quietly(fd);
    return fd < 0 && errno == ETXTBSY;
}

/* Other file actions mustn't put something else under the number; where few are allowed, as high as they go. */
static int move_out_of_the_way(int fd)
{
    int high = -1;
    for (int least = OUT_OF_THE_WAY; high < 0 && least > fd; least--)
        high = sys_fcntl(fd, F_DUPFD_CLOEXEC, least);
    if (high < 0)
        return fd;
    sys_close(fd);
    return high;
}

int spawn_files_open(const void *actions, const char *path, int flags, mode_t mode)
{
    static const char op[] = "posix_spawn_file_actions_addopen";
    int saved = errno, fd = -1;
    const struct write_open open = {
        .op = op, .dirfd = AT_FDCWD, .path = path, .flags = flags | O_LARGEFILE | O_CLOEXEC, .mode = mode, .only_stage = true
    };
    if (is_busy(path, flags))
        fd = write_open_at_once(&open);
    else if (write_is_foreseen(flags))
        fd = write_open_forestalled(&open);
    if (fd >= 0) {
        fd = move_out_of_the_way(fd);
        if (!remember(actions, fd, flags)) {
            discard_stage(fd);
            fd = -1;
        }
    }
    errno = saved;
    return fd;
}

void spawn_files_rewind(const void *actions)
{
    int saved = errno;
    const struct file *files = table;
    for (size_t i = 0; files && actions && i < FILES; i++)
        if (files[i].actions == actions && sys_lseek(files[i].fd, 0, SEEK_SET) == 0 && files[i].truncates)
            sys_ftruncate(files[i].fd, 0);
    errno = saved;
}

void spawn_files_used(const void *actions)
{
    struct file *files = table;
    for (size_t i = 0; files && actions && i < FILES; i++)
        if (files[i].actions == actions)
            files[i].used = true;
}

void spawn_files_close(const char *op, const void *actions)
{
    struct file *files = table;
    for (size_t i = 0; files && i < FILES; i++) {
        if (files[i].actions != actions)
            continue;
        int fd = files[i].fd;
        bool used = files[i].used;
        __atomic_store_n(&files[i].actions, NULL, __ATOMIC_RELEASE);
        __atomic_sub_fetch(&spawn_files_count, 1, __ATOMIC_RELEASE);
        if (used)
            close_stage(op, fd);
        else
            discard_stage(fd);
    }
}

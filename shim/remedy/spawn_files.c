#include "spawn_files.h"

#include "release.h"
#include "write.h"

#define OUT_OF_THE_WAY 256

/* Which descriptor belongs to which file actions; taken and given back by compare-and-swap on `actions`. */
static struct {
    const void *actions;
    int fd;
} table[STAGES_KNOWN_MAX];

#define SLOTS (sizeof table / sizeof *table)

static bool remember(const void *actions, int fd)
{
    for (size_t i = 0; i < SLOTS; i++) {
        const void *none = NULL;
        if (__atomic_compare_exchange_n(&table[i].actions, &none, actions, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            table[i].fd = fd;
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

/* Asks without side effect whether an open for writing would be refused: the file is regular, and nothing is created or emptied. */
static bool is_busy(const char *path, int flags)
{
    struct statx file;
    if (sys_statx(AT_FDCWD, path, 0, &file) < 0 || !S_ISREG(file.stx_mode))
        return false;
    int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (flags & O_NOFOLLOW), 0);
    sys_close_quietly(fd);
    return fd < 0 && errno == ETXTBSY;
}

int spawn_files_open(const void *actions, const char *path, int flags, mode_t mode)
{
    static const char op[] = "posix_spawn_file_actions_addopen";
    int saved = errno, fd = -1;
    if (is_busy(path, flags))
        fd = write_open_at_once(&(struct write_open){
            .op = op, .dirfd = AT_FDCWD, .path = path, .flags = flags | O_CLOEXEC, .mode = mode });
    if (fd >= 0) {
        int high = sys_fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (high >= 0) {
            sys_close(fd);
            fd = high;
        }
        if (!remember(actions, fd)) {
            close_stage(op, fd);
            fd = -1;
        }
    }
    errno = saved;
    return fd;
}

bool spawn_files_any(const void *actions)
{
    for (size_t i = 0; actions && i < SLOTS; i++)
        if (table[i].actions == actions)
            return true;
    return false;
}

void spawn_files_publish(const char *op, const void *actions)
{
    for (size_t i = 0; actions && i < SLOTS; i++) {
        struct stage_release release;
        if (table[i].actions == actions && stage_publish_begin(&release, table[i].fd))
            release_end(&release, op, 0);
    }
}

void spawn_files_close(const char *op, const void *actions)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (table[i].actions != actions)
            continue;
        int fd = table[i].fd;
        __atomic_store_n(&table[i].actions, NULL, __ATOMIC_RELEASE);
        close_stage(op, fd);
    }
}

#include "spawn_files.h"

#include <string.h>
#include <unistd.h>

#include "../sys/process.h"
#include "../sys/scratch.h"
#include "release.h"
#include "write.h"

#define OUT_OF_THE_WAY 256

/* libc's entry. */
struct action {
    enum { CLOSE, DUP2, OPEN, CHDIR, FCHDIR, CLOSEFROM, TCSETPGRP } tag;
    union {
        int fd; /* first in all but CHDIR */
        struct {
            int fd, new_fd;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
        char *directory;
    } of;
};

struct spawn_file {
    int fd; /* -1: none */
    bool joined;
};

/* ---- what the list looks like ---- */

enum { OPENS = 1, SEVERAL = 2, OTHERWISE = 4 };
static unsigned char understood; /* changes once or twice in the life of a process that uses file actions */

static void learn(unsigned what)
{
    if (~understood & what)
        __atomic_fetch_or(&understood, (unsigned char)what, __ATOMIC_RELAXED);
}

static struct action *actions_of(const posix_spawn_file_actions_t *list)
{
    return (struct action *)list->__actions;
}

/* The entry that was added last. */
static const struct action *last_of(const posix_spawn_file_actions_t *list)
{
    return list->__used > 0 ? &actions_of(list)[list->__used - 1] : NULL;
}

static void learn_if(const posix_spawn_file_actions_t *list, bool expected, unsigned what)
{
    learn(!expected ? OTHERWISE : list->__used > 1 ? what | SEVERAL : what);
}

void spawn_files_learn_open(const posix_spawn_file_actions_t *list, int fd, const char *path, int flags, mode_t mode)
{
    const struct action *last = last_of(list);
    learn_if(list,
             last && last->tag == OPEN && last->of.open.fd == fd && last->of.open.flags == flags && last->of.open.mode == mode &&
                 last->of.open.path && !strcmp(last->of.open.path, path),
             OPENS);
}

void spawn_files_learn_dup2(const posix_spawn_file_actions_t *list, int fd, int new_fd)
{
    const struct action *last = last_of(list);
    learn_if(list, last && last->tag == DUP2 && last->of.dup2.fd == fd && last->of.dup2.new_fd == new_fd, 0);
}

void spawn_files_learn_close(const posix_spawn_file_actions_t *list, int fd)
{
    const struct action *last = last_of(list);
    learn_if(list, last && last->tag == CLOSE && last->of.fd == fd, 0);
}

static bool is_understood(const posix_spawn_file_actions_t *list)
{
    return understood & OPENS && !(understood & OTHERWISE) && (list->__used == 1 || understood & SEVERAL);
}

static bool may_be_refused(const struct action *action)
{
    return action->tag == OPEN && action->of.open.flags & (O_ACCMODE | O_TRUNC) && !(action->of.open.flags & O_EXCL);
}

/* ---- what they would do ---- */

/* Whether a number isn't what it was when the child was made, at the moment that some action is carried out. */
static bool is_touched(const struct action *actions, int index, int fd)
{
    for (int i = 0; i < index; i++)
        switch (actions[i].tag) {
        case CLOSE:
        case OPEN:
            if (actions[i].of.fd == fd)
                return true;
            break;
        case DUP2:
            if (actions[i].of.dup2.new_fd == fd)
                return true;
            break;
        case CLOSEFROM:
            if (actions[i].of.fd <= fd)
                return true;
            break;
        case CHDIR:
        case FCHDIR:
        case TCSETPGRP:
            break;
        }
    return false;
}

/*
 * The directory that the path of an open starts from: AT_FDCWD, or a descriptor of ours. False where it can't be known
 * here, because an earlier action opens it.
 */
static bool find_directory(const struct action *actions, int index, int *dirfd)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    bool found = true;
    *dirfd = AT_FDCWD;
    for (int i = 0; found && i < index && actions[index].of.open.path[0] != '/'; i++) {
        int next = *dirfd;
        if (actions[i].tag == CHDIR)
            next = sys_openat(*dirfd, actions[i].of.directory, flags, 0);
        else if (actions[i].tag == FCHDIR)
            next = is_touched(actions, i, actions[i].of.fd) ? -1 : sys_openat(actions[i].of.fd, ".", flags, 0);
        if (next != *dirfd)
            sys_close_quietly(*dirfd);
        *dirfd = next;
        found = next != -1;
    }
    return found;
}

/* A child that only asks ends with a SIGCHLD: before anything has been refused it is made for programs alone. */
static bool is_worth_asking(const struct spawn_files *files, int dirfd, const char *path)
{
    struct statx file;
    return sys_statx(dirfd, path, 0, &file) == 0 && S_ISREG(file.stx_mode) && (!files->exclusive || file.stx_mode & 0111);
}

/* Spawns what there can't be, behind the one open, that neither creates nor empties, and what its path depends on. */
static bool is_refused(const struct run *run, run_attempt *attempt, int index)
{
    const struct action *actions = actions_of(run->files->now);
    struct spawn_files question = { .now = &question.copy };
    size_t size = (size_t)(index + 1) * sizeof *actions;
    struct action *asked = scratch_map(size);
    if (!asked)
        return false;
    int count = 0;
    for (int i = 0; i < index; i++)
        if (actions[i].tag == CHDIR || actions[i].tag == FCHDIR)
            asked[count++] = actions[i];
    struct action *open = &asked[count++];
    *open = actions[index];
    open->of.open.flags = (open->of.open.flags & (O_ACCMODE | O_NOFOLLOW)) | O_NONBLOCK | O_NOCTTY;
    if ((open->of.open.flags & O_ACCMODE) == O_RDONLY) /* with O_TRUNC */
        open->of.open.flags |= O_WRONLY;
    question.copy = *run->files->now;
    question.copy.__actions = (void *)asked;
    question.copy.__used = question.copy.__allocated = count;

    struct run nothing = *run;
    nothing.path = "";
    nothing.files = &question;
    bool refused = attempt(&nothing) == ETXTBSY;
    scratch_unmap(asked, size);
    return refused;
}

/* ---- the copy ---- */

static bool make_copy(struct spawn_files *files)
{
    if (files->now == &files->copy)
        return true;
    size_t count = (size_t)files->now->__used;
    files->size = count * (sizeof(struct action) + sizeof *files->files);
    struct action *actions = scratch_map(files->size);
    if (!actions)
        return false;
    memcpy(actions, files->now->__actions, count * sizeof *actions);
    files->files = (struct spawn_file *)(actions + count);
    for (size_t i = 0; i < count; i++)
        files->files[i].fd = -1;
    files->copy = *files->now;
    files->copy.__actions = (void *)actions;
    files->copy.__allocated = (int)count;
    files->now = &files->copy;
    return true;
}

static void let_go(const struct spawn_file *file, const char *op, bool used)
{
    struct stage_release release;
    bool is_stage = stage_release_begin(&release, file->fd);
    sys_close_quietly(file->fd);
    if (used || file->joined)
        release_handed_on(&release, op);
    else if (is_stage)
        stage_discard(&release);
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

static bool put_in_place(struct spawn_files *files, int index, struct spawn_file file)
{
    file.fd = move_out_of_the_way(file.fd);
    struct action *actions = actions_of(files->now);
    if (is_touched(actions, index, file.fd)) {
        let_go(&file, "posix_spawn", false);
        return false;
    }
    int number = actions[index].of.open.fd;
    files->files[index] = file;
    actions[index].tag = DUP2;
    actions[index].of.dup2.fd = file.fd;
    actions[index].of.dup2.new_fd = number;
    return true;
}

static int write_by(int (*how)(const struct write_open *), const struct action *action, int dirfd, bool *joined)
{
    const struct write_open open = { .op = "posix_spawn_file_actions_addopen",
                                     .dirfd = dirfd,
                                     .path = action->of.open.path,
                                     .flags = action->of.open.flags | O_LARGEFILE | O_CLOEXEC,
                                     .mode = action->of.open.mode,
                                     .only_stage = true,
                                     .joined = joined };
    return how(&open);
}

static void foresee(struct spawn_files *files, int index)
{
    struct spawn_file file = { -1, false };
    int dirfd;
    if (files->foreign || !find_directory(actions_of(files->now), index, &dirfd))
        return;
    int held = process_hold_cancellation();
    if (make_copy(files))
        file.fd = write_by(write_open_forestalled, &actions_of(files->now)[index], dirfd, &file.joined);
    process_let_cancellation(held);
    sys_close_quietly(dirfd);
    if (file.fd >= 0)
        put_in_place(files, index, file);
}

void spawn_files_begin(struct spawn_files *files, const posix_spawn_file_actions_t *list, const posix_spawnattr_t *attributes)
{
    *files = (struct spawn_files){ .now = list };
    if (!list || !is_understood(list))
        return;
    int saved = errno;
    files->foreign = attributes && attributes->__flags & POSIX_SPAWN_RESETIDS && sys_geteuid() != sys_getuid();
    for (int i = 0; i < list->__used; i++) {
        const struct action *action = &actions_of(list)[i];
        files->exclusive |= action->tag == OPEN && action->of.open.flags & O_EXCL;
        if (!may_be_refused(action))
            continue;
        files->opens = true;
        if (unlikely(write_is_foreseen(action->of.open.flags)))
            foresee(files, i);
    }
    errno = saved;
}

static enum spawn_files_answer remedy(const struct run *run, run_attempt *attempt, int index)
{
    struct spawn_files *files = run->files;
    const struct action *action = &actions_of(files->now)[index];
    struct spawn_file file = { -1, false };
    enum spawn_files_answer answer = SPAWN_FILES_IDLE;
    int dirfd;
    if (!may_be_refused(action) || !find_directory(actions_of(files->now), index, &dirfd))
        return answer;
    if (is_worth_asking(files, dirfd, action->of.open.path) && is_refused(run, attempt, index)) {
        answer = SPAWN_FILES_BUSY;
        if (!files->foreign && make_copy(files) && (file.fd = write_by(write_open, action, dirfd, &file.joined)) >= 0 &&
            put_in_place(files, index, file))
            answer = SPAWN_FILES_REPLACED;
    }
    sys_close_quietly(dirfd);
    return answer;
}

enum spawn_files_answer spawn_files_remedy(const struct run *run, run_attempt *attempt)
{
    struct spawn_files *files = run->files;
    enum spawn_files_answer answer = SPAWN_FILES_IDLE;
    if (!files || !files->opens || files->asked)
        return answer;
    files->asked = true;
    int saved = errno, held = process_hold_cancellation();
    for (int i = 0; i < files->now->__used && answer != SPAWN_FILES_BUSY; i++) {
        enum spawn_files_answer one = remedy(run, attempt, i);
        if (one != SPAWN_FILES_IDLE)
            answer = one;
    }
    process_let_cancellation(held);
    errno = saved;
    return answer;
}

void spawn_files_end(struct spawn_files *files, const char *op, bool started)
{
    int saved = errno;
    if (!files->files)
        return;
    for (int i = 0; i < files->copy.__used; i++)
        if (files->files[i].fd >= 0)
            let_go(&files->files[i], op, started);
    scratch_unmap(files->copy.__actions, files->size);
    errno = saved;
}

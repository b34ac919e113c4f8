#include "spawn_files.h"

#include <string.h>
#include <unistd.h>

#include "../sys/aside.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "release.h"
#include "spawn_list.h"
#include "write.h"

#define OUT_OF_THE_WAY 256

struct spawn_file {
    int fd; /* -1: none */
    bool joined;
};

static bool may_be_refused(const struct spawn_action *action)
{
    return action->tag == OPEN && action->of.open.flags & (O_ACCMODE | O_TRUNC) && !(action->of.open.flags & O_EXCL);
}

static bool is_exclusive(const struct spawn_action *action)
{
    return action->tag == OPEN && action->of.open.flags & O_EXCL;
}

/* ---- what they would do ---- */

/*
 * The directory that the path of an open starts from: AT_FDCWD, or a descriptor of ours. False where it can't be known
 * here, because an earlier action opens it.
 */
static bool find_directory(const struct spawn_action *actions, int index, int *dirfd)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    bool found = true;
    *dirfd = AT_FDCWD;
    for (int i = 0; found && i < index && actions[index].of.open.path[0] != '/'; i++) {
        int next = *dirfd;
        if (actions[i].tag == CHDIR)
            next = sys_openat(*dirfd, actions[i].of.directory, flags, 0);
        else if (actions[i].tag == FCHDIR)
            next = spawn_list_touches(actions, i, actions[i].of.fd) ? -1 : sys_openat(actions[i].of.fd, ".", flags, 0);
        if (next != *dirfd)
            sys_close_quietly(*dirfd);
        *dirfd = next;
        found = next != -1;
    }
    return found;
}

/* What is asked aside, of one open. */
struct question {
    const struct spawn_action *actions;
    int index;
    struct statx file; /* what the path leads to here */
};

enum answer { NOT_REFUSED, REFUSED, REFUSED_THE_SAME }; /* the same file as here: /proc and /dev/fd are others' in each process */

/*
 * What stands before the open, but for other opens: these have been made once. What they have opened is missing here, and so is
 * what is made of that.
 */
static bool come_to(const struct question *question)
{
    long result = 0;
    for (int i = 0; result >= 0 && i < question->index; i++) {
        const struct spawn_action *action = &question->actions[i];
        if (action->tag == CHDIR)
            result = sys_call(SYS_chdir, action->of.directory);
        else if (action->tag == FCHDIR)
            result = sys_call(SYS_fchdir, action->of.fd);
        else if (action->tag == CLOSE || action->tag == OPEN)
            sys_close(action->of.fd);
        else if (action->tag == CLOSEFROM)
            sys_call(SYS_close_range, action->of.fd, ~0U, 0);
        else if (action->tag == DUP2 && action->of.dup2.fd != action->of.dup2.new_fd &&
                 sys_dup3(action->of.dup2.fd, action->of.dup2.new_fd, 0) < 0)
            sys_close(action->of.dup2.new_fd);
    }
    return result >= 0;
}

/* Nothing is created or emptied, and nobody at the other end of a FIFO is told. */
static int ask(void *context)
{
    const struct question *question = context;
    const struct spawn_action *action = &question->actions[question->index];
    const char *path = action->of.open.path;
    int follow = action->of.open.flags & O_NOFOLLOW;
    struct statx file;
    if (!come_to(question) || sys_statx(AT_FDCWD, path, follow ? AT_SYMLINK_NOFOLLOW : 0, &file) < 0 || !S_ISREG(file.stx_mode))
        return NOT_REFUSED;
    int mode = action->of.open.flags & O_ACCMODE;
    mode = mode == O_RDONLY ? O_WRONLY : mode; /* with O_TRUNC */
    if (sys_openat(AT_FDCWD, path, mode | follow | O_NONBLOCK | O_NOCTTY, 0) >= 0 || errno != ETXTBSY)
        return NOT_REFUSED;
    return question->file.stx_mode && sys_same_file(&file, &question->file) ? REFUSED_THE_SAME : REFUSED;
}

static struct question question_about(const struct spawn_files *files, int index, int dirfd)
{
    struct question question = { .actions = spawn_list_actions(files->now), .index = index };
    const struct spawn_action *action = &question.actions[index];
    int flags = action->of.open.flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (sys_statx(dirfd, action->of.open.path, flags, &question.file) < 0)
        question.file.stx_mode = 0;
    return question;
}

static bool is_refused(const void *context)
{
    return aside(ask, (void *)context) > NOT_REFUSED;
}

/* ---- the copy ---- */

static bool make_copy(struct spawn_files *files)
{
    if (files->now == &files->copy)
        return true;
    size_t count = (size_t)files->now->__used;
    files->size = count * (sizeof(struct spawn_action) + sizeof *files->files);
    struct spawn_action *actions = scratch_map(files->size);
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
    scratch_may_be_left(actions, files->size, files);
    return true;
}

/* `child`: who was started with it; 0: nobody was. */
static void let_go(const struct spawn_file *file, int number, const char *op, pid_t child)
{
    struct stage_release release;
    bool discard = false;
    if (child) {
        stage_set_used(file->fd);
        stage_note_child_with(child, number, file->fd);
    } else {
        discard = !file->joined && stage_withdraw(file->fd);
    }
    bool is_stage = stage_release_begin(&release, file->fd);
    sys_close_quietly(file->fd);
    if (!discard)
        release_handed_on(&release, op);
    else if (is_stage)
        stage_discard(&release);
}

/* Other file actions mustn't put something else under the number, or close it; where few are allowed, as high as they go. */
static int move_out_of_the_way(const struct spawn_action *actions, int index, int fd)
{
    int high = -1;
    for (int least = OUT_OF_THE_WAY + index; high < 0 && least > fd; least--) {
        high = sys_fcntl(fd, F_DUPFD_CLOEXEC, least);
        if (high >= 0 && spawn_list_touches(actions, index, high)) {
            sys_close(high);
            high = -1;
        }
    }
    if (high < 0)
        return fd;
    sys_close(fd);
    return high;
}

static bool put_in_place(struct spawn_files *files, int index, struct spawn_file file)
{
    struct spawn_action *actions = spawn_list_actions(files->now);
    file.fd = move_out_of_the_way(actions, index, file.fd);
    if (spawn_list_touches(actions, index, file.fd)) {
        let_go(&file, 0, "posix_spawn", 0);
        return false;
    }
    int number = actions[index].of.open.fd;
    files->files[index] = file;
    actions[index].tag = DUP2;
    actions[index].of.dup2.fd = file.fd;
    actions[index].of.dup2.new_fd = number;
    return true;
}

/* Whether all numbers are closed before it. */
static bool is_behind_closefrom(const struct spawn_action *actions, int index)
{
    return spawn_list_touches(actions, index, INT_MAX);
}

static int write_by(int (*how)(const struct write_open *), const struct question *question, bool same, int dirfd, bool *joined)
{
    const struct spawn_action *action = &question->actions[question->index];
    const struct write_open open = { .op = "posix_spawn_file_actions_addopen",
                                     .dirfd = dirfd,
                                     .path = action->of.open.path,
                                     .flags = action->of.open.flags | O_LARGEFILE | O_CLOEXEC,
                                     .mode = action->of.open.mode,
                                     .only_stage = true,
                                     .joined = joined,
                                     .is_refused = is_refused,
                                     .context = question,
                                     .out_of_reach = !same || is_behind_closefrom(question->actions, question->index) };
    return how(&open);
}

/* /proc and /dev/fd are others' in each process; what they are there can only be asked aside, and nothing has been refused yet. */
static bool is_everybodys(const char *path)
{
    return strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/dev/", 5) != 0;
}

static void foresee(struct spawn_files *files, int index)
{
    struct spawn_file file = { -1, false };
    int dirfd;
    if (files->foreign || !is_everybodys(spawn_list_actions(files->now)[index].of.open.path) ||
        !find_directory(spawn_list_actions(files->now), index, &dirfd))
        return;
    int held = process_hold_cancellation();
    if (make_copy(files)) {
        const struct question question = question_about(files, index, dirfd);
        if (!is_behind_closefrom(question.actions, index))
            file.fd = write_by(write_open_forestalled, &question, true, dirfd, &file.joined);
    }
    process_let_cancellation(held);
    sys_close_quietly(dirfd);
    if (file.fd >= 0)
        put_in_place(files, index, file);
}

void spawn_files_begin(struct spawn_files *files, const posix_spawn_file_actions_t *list, const posix_spawnattr_t *attributes)
{
    *files = (struct spawn_files){ .now = list };
    if (!list || !list->__used)
        return;
    if (!spawn_list_is_understood(list)) {
        files->opens = true; /* for all that is known */
        return;
    }
    int saved = errno;
    files->foreign = attributes && attributes->__flags & POSIX_SPAWN_RESETIDS && sys_geteuid() != sys_getuid();
    for (int i = 0; i < list->__used; i++) {
        const struct spawn_action *action = &spawn_list_actions(list)[i];
        files->exclusive |= is_exclusive(action);
        if (!may_be_refused(action))
            continue;
        files->opens = true;
        if (unlikely(write_is_foreseen(action->of.open.flags)))
            foresee(files, i);
    }
    errno = saved;
}

/* `made`: an earlier action has made a file that has to be new; another attempt would find it. */
static enum spawn_files_answer remedy(struct spawn_files *files, int index, bool made)
{
    struct spawn_file file = { -1, false };
    enum spawn_files_answer answer = SPAWN_FILES_IDLE;
    int dirfd;
    if (!may_be_refused(&spawn_list_actions(files->now)[index]) || !find_directory(spawn_list_actions(files->now), index, &dirfd))
        return answer;
    struct question question = question_about(files, index, dirfd);
    int asked = aside(ask, &question);
    if (asked > NOT_REFUSED) {
        answer = SPAWN_FILES_BUSY;
        if (!made && !files->foreign && make_copy(files)) {
            question.actions = spawn_list_actions(files->now);
            file.fd = write_by(write_open, &question, asked == REFUSED_THE_SAME, dirfd, &file.joined);
        }
        if (file.fd == WRITE_NOT_REFUSED || (file.fd >= 0 && put_in_place(files, index, file)))
            answer = SPAWN_FILES_AGAIN;
    }
    sys_close_quietly(dirfd);
    return answer;
}

enum spawn_files_answer spawn_files_remedy(struct spawn_files *files)
{
    enum spawn_files_answer answer = SPAWN_FILES_IDLE;
    if (!files->opens || files->asked || !spawn_list_is_understood(files->now))
        return answer;
    files->asked = true;
    bool made = false;
    int saved = errno, held = process_hold_cancellation();
    for (int i = 0; i < files->now->__used && answer != SPAWN_FILES_BUSY; i++) {
        enum spawn_files_answer one = remedy(files, i, made);
        if (one != SPAWN_FILES_IDLE)
            answer = one;
        made |= is_exclusive(&spawn_list_actions(files->now)[i]);
    }
    process_let_cancellation(held);
    errno = saved;
    return answer;
}

void spawn_files_end(struct spawn_files *files, const char *op, pid_t child)
{
    int saved = errno;
    if (!files->files)
        return;
    for (int i = 0; i < files->copy.__used; i++)
        if (files->files[i].fd >= 0)
            let_go(&files->files[i], spawn_list_actions(&files->copy)[i].of.dup2.new_fd, op, child);
    scratch_unmap(files->copy.__actions, files->size);
    errno = saved;
}

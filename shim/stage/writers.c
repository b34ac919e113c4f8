#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../sys/directory.h"
#include "../sys/lasting.h"
#include "../sys/lines.h"
#include "../sys/process.h"
#include "../sys/signals.h"
#include "own.h"
#include "stage.h"
#include "writers.h"

/*
 * Which process writes to which stage: one page that a process shares with its fork children, so that a child can note what it is
 * about to become. A pid has one place in it; of two that have the same the later one is known.
 */
struct writer {
    pid_t pid;
    int number;     /* of the descriptor by which it has the stage */
    uint64_t asked; /* the signals that another process has sent it when it had written nothing, SIGNAL_BIT of each */
    uint64_t device, inode, size;
    struct statx_timestamp mtime; /* both as they were when this was noted */
};

#define PAGE_SIZE 4096
#define WRITERS (PAGE_SIZE / sizeof(struct writer))

#define DYING_TRIES 20
#define DYING_PAUSE_NS 1000000

static void *page; /* of struct writer; NULL as long as there has been no stage */

void stage_share_writers(void)
{
    lasting_memory(&page, PAGE_SIZE, LASTING_SHARED);
}

/* What isn't a stage is noted, too: then nothing is assumed about the process. */
static void note(pid_t pid, int number, const struct statx *output)
{
    struct writer *writers = page;
    if (writers)
        writers[((unsigned)pid + 7 * (unsigned)number) % WRITERS] = (struct writer){ .pid = pid,
                                                                                     .number = number,
                                                                                     .device = sys_device(output),
                                                                                     .inode = output->stx_ino,
                                                                                     .size = output->stx_size,
                                                                                     .mtime = output->stx_mtime };
}

void stage_note_writer(void)
{
    int saved = errno;
    struct statx output = { 0 };
    sys_fstat(STAGE_OUTPUT, &output);
    note(sys_getpid(), STAGE_OUTPUT, &output);
    errno = saved;
}

/*
 * Whom the program has asked to end, and who ended so: a helper that isn't needed any more, if there is something in the file, and
 * nobody has written to it since that one came.
 */
static bool is_excused(const struct writer *writer, int signal, const struct statx *file)
{
    return writer->asked & SIGNAL_BIT(signal) && file->stx_size && file->stx_size == writer->size &&
           sys_is_same_time(&file->stx_mtime, &writer->mtime);
}

/* Remembers that a child that wrote to it was killed, and what it left. Without a `writer`: one who was to be the first to write.
 */
static void note_killed(struct stage_known *known, const struct writer *writer, int signal)
{
    struct statx file;
    int fd = own_find(known, OWN_ANY);
    if (sys_statx(fd < 0 ? AT_FDCWD : fd, fd < 0 ? known->path : "", fd < 0 ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, &file) < 0 ||
        (writer ? is_excused(writer, signal, &file) : file.stx_size != 0))
        return;
    known->killed_mtime = file.stx_mtime;
    known->killed_size = file.stx_size;
    known->bereaved = sys_getpid();
}

/* A child that was killed before it came to exec: if nobody has written yet, it was to be the first. */
static void note_unborn(void)
{
    for (struct known_use known = { 0 }; (known = known_next(known.slot)).slot;)
        note_killed(known.slot, NULL, 0);
}

static const char *output_link(char link[PROCESS_PATH_SIZE], pid_t pid)
{
    return process_path(link, pid, "/fd/1");
}

/*
 * By which signal a child of this process was killed for which nobody has waited yet; 0: it wasn't. One that is dying has let go
 * of its descriptors, and so of its locks, a moment before it can be waited for.
 */
static int killed_by(pid_t pid)
{
    const struct timespec pause = { .tv_nsec = DYING_PAUSE_NS };
    char link[PROCESS_PATH_SIZE], path[1];
    for (int tries = 0; tries < DYING_TRIES; tries++) {
        siginfo_t info = { 0 };
        if (sys_call(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, 0L) < 0)
            return 0;
        if (info.si_pid == pid)
            return info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ? info.si_status : 0;
        if (sys_readlink(output_link(link, pid), path, sizeof path) >= 0) /* it lives */
            return 0;
        sys_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0L, &pause, NULL);
    }
    return 0;
}

void stage_note_child(pid_t child)
{
    int saved = errno;
    struct statx output;
    char link[PROCESS_PATH_SIZE];
    if (sys_statx(AT_FDCWD, output_link(link, child), 0, &output) == 0)
        note(child, STAGE_OUTPUT, &output);
    else if (killed_by(child))
        note_unborn();
    errno = saved;
}

void stage_note_child_with(pid_t child, int number, int fd)
{
    int saved = errno;
    struct statx output;
    if (child > 0 && sys_fstat(fd, &output) == 0)
        note(child, number, &output);
    errno = saved;
}

bool stage_writer_ended(pid_t pid, int signal)
{
    int saved = errno;
    struct writer *writers = page;
    bool noted = false, wrote = false;
    for (size_t i = 0; writers && i < WRITERS; i++) {
        if (writers[i].pid != pid)
            continue;
        struct known_use known = known_find(writers[i].device, writers[i].inode);
        noted = true;
        wrote |= known.slot && known.slot->pending;
        writers[i].pid = 0;
        if (signal && known.slot)
            note_killed(known.slot, &writers[i], signal);
    }
    if (!noted && signal)
        note_unborn();
    errno = saved;
    return wrote;
}

/* As kill(2) has it. */
static bool is_meant(pid_t pid, pid_t target)
{
    if (target > 0 || target == -1)
        return target == -1 || pid == target;
    return sys_call(SYS_getpgid, pid) == (target ? -target : sys_call(SYS_getpgid, 0));
}

/* Anything, anywhere, since its fork, also before it became what it is. In doubt, yes. */
static bool has_written(pid_t pid)
{
    static const char nothing[] = "wchar: 0\n"; /* proc_pid_io(5) */
    char path[PROCESS_PATH_SIZE], counts[256];
    return lines_read_file(AT_FDCWD, process_path(path, pid, "/io"), counts, sizeof counts) < 0 || !strstr(counts, nothing);
}

void stage_note_kill(pid_t target, int number)
{
    int saved = errno;
    struct writer *writers = page;
    for (size_t i = 0; writers && i < WRITERS; i++)
        if (writers[i].pid && writers[i].pid != sys_getpid() && is_meant(writers[i].pid, target))
            writers[i].asked |= has_written(writers[i].pid) ? 0 : SIGNAL_BIT(number);
    errno = saved;
}

static void look(struct stage_known *known)
{
    const struct writer *writers = page;
    for (size_t i = 0; writers && i < WRITERS; i++) {
        const struct writer *writer = &writers[i];
        int signal = writer->pid && writer->inode == known->inode && writer->device == known->device ? killed_by(writer->pid) : 0;
        if (signal)
            note_killed(known, writer, signal);
    }
}

static bool is_as_killed(const struct stage_known *known, const char *path)
{
    struct statx file;
    return sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_size == known->killed_size &&
           sys_is_same_time(&file.stx_mtime, &known->killed_mtime);
}

bool writers_left_spoilt(struct stage_known *known, const char *path)
{
    look(known);
    return known->bereaved == sys_getpid() && is_as_killed(known, path);
}

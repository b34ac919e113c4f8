#include "holders.h"

#include <string.h>
#include <sys/auxv.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/process.h"
#include "../sys/text.h"
#include "host.h"

#define NAME_SIZE (HOST_DIRECTORY_SIZE + 16)

const char *holder_how_name(enum holder_how how)
{
    return how == HOLDS_EXEC ? "exec" : how == HOLDS_WRITE ? "write" : "map";
}

void holders_begin(struct holders_scan *scan, unsigned looks_for)
{
    scan->looks_for = looks_for;
    scan->looking_for = looks_for & -looks_for;
}

void holders_add_file(struct holders_scan *scan, uint64_t device, uint64_t inode)
{
    if (scan->file_count == HOLDERS_FILES_MAX)
        return;
    scan->files[scan->file_count].device = device;
    scan->files[scan->file_count++].inode = inode;
}

static bool is_one(const struct holders_scan *scan, const struct statx *file)
{
    for (size_t i = 0; i < scan->file_count; i++)
        if (scan->files[i].inode == file->stx_ino && scan->files[i].device == sys_device(file))
            return true;
    return false;
}

static void list_processes(struct holders_scan *scan)
{
    const char *name;
    uint64_t pid;
    if (directory_open(&scan->descriptors, AT_FDCWD, "/proc") < 0)
        scan->incomplete = true;
    while ((name = directory_next(&scan->descriptors)))
        if (text_to_number(name, strlen(name), &pid)) {
            if (scan->count < HOLDERS_PIDS_MAX)
                scan->pids[scan->count++] = (pid_t)pid;
            else
                scan->incomplete = true;
        }
    directory_close(&scan->descriptors);
    scan->next = scan->count;
}

static const char *file_of(char name[NAME_SIZE], pid_t pid, const char *file)
{
    char directory[HOST_DIRECTORY_SIZE];
    struct text text = text_over(name, NAME_SIZE);
    text_add(&text, host_directory(directory, pid));
    text_add(&text, file);
    return name;
}

/* The clock of the log when the machine was started. */
static uint64_t boot_ns(void)
{
    return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
}

static void report(struct holders_scan *scan, pid_t pid, enum holder_how how, int fd)
{
    struct holder *holder = &scan->holder;
    char name[NAME_SIZE];
    struct statx directory;
    struct host_process process;
    uint64_t ticks = process_auxiliary(AT_CLKTCK, 100);
    ssize_t length = sys_readlink(file_of(name, pid, "/exe"), holder->exe, sizeof holder->exe - 1);

    holder->exe[length > 0 ? length : 0] = '\0';
    holder->pid = pid;
    holder->how = how;
    holder->fd = fd;
    /* The directory belongs to the effective user, whatever else in it belongs to (task_dump_owner in the kernel). */
    holder->uid = sys_statx(AT_FDCWD, file_of(name, pid, ""), 0, &directory) == 0 ? directory.stx_uid : 0;
    host_process(&process, name);
    memcpy(holder->comm, process.comm, sizeof holder->comm);
    holder->started_ns = boot_ns() + process.start_ticks * (CLOCK_SECOND / ticks);
    scan->found_count++;
    scan->found(scan->context, holder);
}

/* Whoever has hardly been given the CPU has hardly looked. */
static bool is_late(const struct holders_scan *scan)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    return now >= scan->deadline_ns &&
           (now >= scan->last_deadline_ns || clock_ns(CLOCK_THREAD_CPUTIME_ID) >= scan->cpu_deadline_ns);
}

/* Within one process; asked now and then, for some have a million descriptors. */
static bool is_over(struct holders_scan *scan, unsigned *steps)
{
    const unsigned often = 64;
    if (++*steps % often || !is_late(scan))
        return false;
    return scan->incomplete = true;
}

/* ENOENT: it has ended, or is one of the kernel's own. */
static void note_refusal(struct holders_scan *scan)
{
    if ((errno == EACCES || errno == EPERM) && scan->looking_for == (scan->looks_for & -scan->looks_for))
        scan->hidden++;
}

static bool is_old_version(struct holders_scan *scan, const char *name, const struct statx *file)
{
    char *exe = scan->holder.exe;
    if (!scan->is_old || !scan->file_count || scan->files[0].device != sys_device(file))
        return false;
    ssize_t length = sys_readlink(name, exe, sizeof scan->holder.exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    return scan->is_old(scan->context, exe);
}

/*
 * What is asked of a file here and below is what this kernel knows of it: a network server that is gone must not make this
 * process wait for somebody else's file.
 */
static void look_at_program(struct holders_scan *scan, pid_t pid)
{
    char name[NAME_SIZE];
    struct statx file;
    if (sys_statx(AT_FDCWD, file_of(name, pid, "/exe"), AT_STATX_DONT_SYNC, &file) < 0)
        note_refusal(scan);
    else if (is_one(scan, &file) || is_old_version(scan, name, &file))
        report(scan, pid, HOLDS_EXEC, -1);
}

/* The link of a descriptor has the mode that the file was opened with (proc_pid_fd(5)). */
static bool is_for_writing(int directory, const char *fd)
{
    struct statx link;
    return sys_statx(directory, fd, AT_SYMLINK_NOFOLLOW, &link) == 0 && (link.stx_mode & S_IWUSR);
}

static void look_at_descriptors(struct holders_scan *scan, pid_t pid)
{
    char name[NAME_SIZE];
    struct directory *all = &scan->descriptors;
    const char *entry;
    struct statx file;
    uint64_t fd;
    unsigned steps = 0;
    if (directory_open(all, AT_FDCWD, file_of(name, pid, "/fd")) < 0)
        note_refusal(scan);
    while ((entry = directory_next(all)) && !is_over(scan, &steps))
        if (text_to_number(entry, strlen(entry), &fd) && sys_statx(all->fd, entry, AT_STATX_DONT_SYNC, &file) == 0 &&
            is_one(scan, &file) && is_for_writing(all->fd, entry)) {
            report(scan, pid, HOLDS_WRITE, (int)fd);
            break;
        }
    directory_close(all);
}

/* The device in the line isn't the file's own on btrfs and overlay: there its path must lead to the file. */
static bool is_mapped_here(const struct holders_scan *scan, const struct maps_line *maps)
{
    struct statx file;
    for (size_t i = 0; i < scan->file_count; i++)
        if (maps->inode == scan->files[i].inode &&
            (maps->device == scan->files[i].device ||
             (sys_statx(AT_FDCWD, maps->path, AT_SYMLINK_NOFOLLOW, &file) == 0 && is_one(scan, &file))))
            return true;
    return false;
}

static void look_at_mappings(struct holders_scan *scan, pid_t pid)
{
    char name[NAME_SIZE];
    struct lines *lines = &scan->lines;
    struct maps_line maps;
    struct host_process process;
    const char *line;
    unsigned steps = 0;
    if (!host_process(&process, file_of(name, pid, "")))
        return;
    if (process.state == 'D') {
        scan->incomplete = true;
        return;
    }
    if (lines_open(lines, AT_FDCWD, file_of(name, pid, "/maps")) < 0)
        note_refusal(scan);
    while ((line = lines_next(lines)) && !is_over(scan, &steps))
        if (maps_parse(&maps, line) && maps.shared && maps.writable && is_mapped_here(scan, &maps)) {
            report(scan, pid, HOLDS_MAP, -1);
            break;
        }
    lines_close(lines);
}

static void look_at(struct holders_scan *scan, pid_t pid)
{
    if (pid == scan->leave_out)
        return;
    if (scan->looking_for == HOLDS_EXEC)
        look_at_program(scan, pid);
    else if (scan->looking_for == HOLDS_WRITE)
        look_at_descriptors(scan, pid);
    else
        look_at_mappings(scan, pid);
}

/* The next way of holding, of those that are looked for. */
static void go_on(struct holders_scan *scan)
{
    unsigned later = scan->looks_for & ~(scan->looking_for | (scan->looking_for - 1));
    scan->looking_for = scan->found_count && !scan->thorough ? 0 : later & -later;
    scan->next = scan->count;
}

bool holders_look(struct holders_scan *scan, uint64_t budget_ns)
{
    int saved = errno;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    scan->deadline_ns = now + budget_ns;
    scan->last_deadline_ns = now + 10 * budget_ns;
    scan->cpu_deadline_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + budget_ns;
    if (!scan->count)
        list_processes(scan);
    while (scan->looking_for && !is_late(scan)) {
        if (scan->next)
            look_at(scan, scan->pids[--scan->next]);
        else
            go_on(scan);
    }
    errno = saved;
    return !scan->looking_for;
}

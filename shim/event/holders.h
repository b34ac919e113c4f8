/*
 * Who holds a file: executes it, has it open for writing, or has a writable shared mapping of it. Found by going through
 * /proc, which costs about 4 us a process for "executes" and 25 us each for the others (5,086 processes: 19, 125 and 147 ms,
 * Linux 6.18), so a scan has a budget, may be done in pieces, and says when it isn't complete.
 *
 *     holders_begin(scan, HOLDS_WRITE | HOLDS_MAP);
 *     holders_add_file(scan, device, inode);
 *     while (!holders_look(scan, 5 * CLOCK_MS))
 *         do something else;
 *
 * Newest processes first: who holds a file for a moment has mostly just been started, and the kernel's own threads come last.
 * Only root sees what others' processes hold: `hidden` counts those that couldn't be looked at. Nobody's mappings are looked at
 * while it sleeps uninterruptibly: whoever reads them then may have to wait for it.
 *
 * Safe anywhere; allocates nothing. Belongs in a scratch mapping; keeps no descriptor between two calls.
 */
#ifndef EVENT_HOLDERS_H
#define EVENT_HOLDERS_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../sys/directory.h"
#include "../sys/lines.h"

enum holder_how { HOLDS_EXEC = 1, HOLDS_WRITE = 2, HOLDS_MAP = 4 };

struct holder {
    pid_t pid;
    uid_t uid; /* effective */
    enum holder_how how;
    int fd;              /* of HOLDS_WRITE */
    uint64_t started_ns; /* since 1970 */
    char comm[16];
    char exe[PATH_MAX + 16]; /* as the kernel says it: " (deleted)" behind it when the name is gone; empty: not to be read */
};

#define HOLDERS_FILES_MAX 4
#define HOLDERS_PIDS_MAX 32768 /* pid_max, unless somebody has raised it */

struct holders_scan {
    unsigned looks_for; /* of enum holder_how */
    struct {
        uint64_t device, inode; /* device as sys_device has it */
    } files[HOLDERS_FILES_MAX];
    size_t file_count;
    pid_t leave_out; /* a process that isn't to be named; 0: none */
    /* Whether what runs under that name (as the kernel says it) on the file's file system is an earlier version of it. NULL: no. */
    bool (*is_old)(void *context, const char *exe);
    bool thorough; /* looks for every way of holding; else for a later one only where nobody holds it in an earlier one */

    /* Called for each holder, once for each process and way of holding. */
    void (*found)(void *context, const struct holder *);
    void *context;

    bool incomplete; /* there is more to look at than fits, or than there was time for */
    unsigned hidden;

    unsigned looking_for; /* now; 0: done, or not begun */
    uint64_t deadline_ns, cpu_deadline_ns, last_deadline_ns;
    size_t count, next, found_count;
    struct lines lines;
    pid_t pids[HOLDERS_PIDS_MAX];
    struct holder holder;
    struct directory descriptors;
};

/* `looks_for` is a set of enum holder_how. What else the scan has before `lines` is zero. */
void holders_begin(struct holders_scan *, unsigned looks_for);
void holders_add_file(struct holders_scan *, uint64_t device, uint64_t inode);

/*
 * Goes on for about so long, as long as it has the CPU; on a machine that is busy with other things ten times as long at most.
 * Returns true when all processes have been looked at. Keeps errno.
 */
bool holders_look(struct holders_scan *, uint64_t budget_ns);

const char *holder_how_name(enum holder_how);

#endif

/*
 * The lines of a file, of one in /proc above all, without allocation. Safe anywhere. Belongs in a scratch mapping; holds one
 * descriptor (close-on-exec) from lines_open to lines_close.
 */
#ifndef SYS_LINES_H
#define SYS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    int fd;
    char end; /* what a line ends with: a newline, unless somebody sets it after lines_open */
    size_t at, filled;
    char buffer[8192];
};

/* Returns 0, or -1 with errno. A file that failed to open has no lines and may be closed. */
int lines_open(struct lines *, int dirfd, const char *path);

/* The next line, terminated and without its end, valid until the next call; NULL at the end. A longer one comes in pieces. */
char *lines_next(struct lines *);

void lines_close(struct lines *);

/*
 * Reads a small file whole: as many bytes as fit, terminated. Returns their number, or -1 with errno.
 */
long lines_read_file(int dirfd, const char *path, char *buffer, size_t size);

/* A line of proc_pid_maps(5). */
struct maps_line {
    bool writable, executable, shared;
    uint64_t device, inode; /* device as sys_device has it. On btrfs and overlay it isn't what stat says */
    const char *path;       /* within the line; empty: none */
};

bool maps_parse(struct maps_line *, const char *line);

#endif

/*
 * The names in a directory, read without allocation, and this process's own descriptors, which are one.
 * Safe anywhere. Holds one descriptor (close-on-exec) from directory_open to directory_close, which the walk leaves out.
 */
#ifndef SYS_DIRECTORY_H
#define SYS_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

struct directory {
    int fd;
    size_t at, end;
    char buffer[4096] __attribute__((aligned(8)));
};

/* Returns 0, or -1 with errno. A directory that failed to open has no names and may be closed. */
int directory_open(struct directory *, int dirfd, const char *path);

/* The next name, valid until the next call, or NULL at the end. "." and ".." are among them. */
const char *directory_next(struct directory *);

void directory_close(struct directory *);

/*
 * This process's open descriptors, in no order that matters. Asked through /proc/thread-self: /proc/self is unreadable once
 * the main thread has ended. Where that can't be read (no memory, no descriptor left, no /proc), each number is tried: a stage that
 * isn't found would be lost. Then some may come twice.
 */
struct descriptors {
    struct directory *directory; /* NULL: the numbers are tried */
    int number, end;
};

void descriptors_open(struct descriptors *);

/* The next descriptor, or -1 at the end. */
int descriptors_next(struct descriptors *);

/* Keeps errno. */
void descriptors_close(struct descriptors *);

#define DESCRIPTOR_LINK_SIZE 40

/* "/proc/thread-self/fd/N": the name under which the kernel opens or reads a descriptor's file, whatever happened to its path. */
const char *descriptor_link(char link[DESCRIPTOR_LINK_SIZE], int fd);

/*
 * The path of a descriptor's file as the kernel knows it now. Returns false with errno where there is none or it is longer
 * than `size`. The text of an unlinked file ends in " (deleted)".
 */
bool descriptor_path(int fd, char *path, size_t size);

#endif

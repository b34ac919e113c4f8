/*
 * What kind of program a file is, from its first bytes and its mode: what execve(2) and ld.so(8) will make of it.
 * Safe anywhere.
 */
#ifndef SYS_IMAGE_H
#define SYS_IMAGE_H

#include <stdbool.h>

#define IMAGE_INTERPRETER_SIZE 256

struct image {
    bool script;     /* starts with #!; interpreter is the program that runs it */
    bool dynamic;    /* an ELF program for this process's class and machine that names a dynamic loader: interpreter */
    bool privileged; /* would run in secure mode (AT_SECURE): set-id, with capabilities, or this process's ids differ */
    char interpreter[IMAGE_INTERPRETER_SIZE]; /* empty: none, or longer than this */
};

/* Returns 0, or -1 with errno where the file can't be read. An empty path stands for the file of `dirfd` itself. */
int image_inspect(struct image *, int dirfd, const char *path);

#endif

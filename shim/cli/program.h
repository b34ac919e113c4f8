/*
 * A program as a user names it: where it is, and whether the library can be loaded into it.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#define PROGRAM_LIBRARY "libetxtbsy.so"

/* Looks for it along PATH as execvp does. False: there is none that can be executed. */
bool program_find(const char *name, char *path, size_t size);

/* Why ld.so won't load the library into it (or into what interprets it), for a person; NULL: it will, or that can't be known. */
const char *program_refuses(const char *path);

/* Whether Go made it: then it calls the kernel without libc, also where it is linked dynamically, and nothing that it does is seen.
 */
bool program_is_go(const char *path);

/*
 * The library: beside this command, or where it was installed, with $LIB in it for ld.so to fill in. NULL: there is none that can
 * be loaded, which has been said.
 */
const char *program_library(void);

/* What LD_PRELOAD has to be for `library`: behind those that are there already, so that it is nearest to libc. To be freed. */
char *program_preload(const char *present, const char *library);

/* Whether one of a list of libraries, as in LD_PRELOAD, is this one by its name. */
bool program_names_library(const char *list);

#endif

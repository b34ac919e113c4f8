/*
 * Where the program's other libraries have what this library stands before.
 *
 * dlsym(RTLD_NEXT) would answer the same, but it waits for the loader's lock, and a thread that is in dlopen holds that while it
 * runs constructors: one that waits for a thread which makes its first open() would wait for ever (glibc 2.36, measured). It also
 * allocates where a name is missing, and has another version, or another library, in every second glibc. So these read the
 * loader's list as a debugger does. They may be called from anywhere, and keep errno; the caller keeps the answer.
 */
#ifndef SYS_NEXT_H
#define SYS_NEXT_H

#include <stdbool.h>

typedef void (*next_function)(void);

/* The definition that the program would have called without this library; NULL where no later one has the name. */
next_function next_symbol(const char *name);

/* The definition that everybody uses: the first from the program on. For variables, which a program may hold a copy of. */
void *next_shared(const char *name);

/* The path by which the loader has this library; NULL where it can't be known. */
const char *next_own_path(void);

/* Whether that may be a relative one; true also where only next_own_path can tell. For the constructor: a hundred instructions. */
bool next_may_be_relative(void);

#endif

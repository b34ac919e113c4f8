/*
 * Declares, from the table in entries.def, for each entry point `name`:
 *
 *     wrap_name     the wrapper, exported under libc's own name
 *     NEXT(name)    the function that the program would have called without this library
 *
 * Wrappers are declared under a name of their own so that no macro, fortified inline or large-file redirection of libc's
 * headers gets between them and their definition.
 */
#ifndef PRELOAD_ENTRIES_H
#define PRELOAD_ENTRIES_H

#include <features.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "../sys/call.h"
#include "../sys/next.h"

#define EXPORT __attribute__((visibility("default")))

/* The head of what a program's own struct stat is when its time_t is 64 bits in a libc of 32; and a struct that nobody here reads.
 */
struct stat_time64 {
    uint64_t st_dev, st_ino;
};
struct rusage_time64;

#define LEFT_OUT(name, reason)
#define ENTRY(result, name, parameters) result wrap_##name parameters __asm__(#name) EXPORT;
#include "entries.def"
#undef ENTRY

/* Found at the first call, never before: a look-up costs 0.5 us, and most programs call few of them. */
struct next {
#define ENTRY(result, name, parameters) result(*name) parameters;
#include "entries.def"
#undef ENTRY
};

extern struct next next __attribute__((visibility("hidden")));

/* Any of them: a pointer to a function of whatever type. */
typedef next_function next_slot __attribute__((may_alias));

/* Finds a libc function for NEXT, once. One that this libc lacks answers -1 and ENOSYS. */
next_function next_find(next_slot *slot, const char *name);

#define ENTRY(result, name, parameters)                                                                                            \
    static inline result(*next_##name(void)) parameters                                                                            \
    {                                                                                                                              \
        return (result(*) parameters)next_find((next_slot *)&next.name, #name);                                                    \
    }
#include "entries.def"
#undef ENTRY
#undef LEFT_OUT

#define NEXT(name) next_##name()

/*
 * What libc's functions and syscall() have in common: before an identity or a right is given up; before another process is sent a
 * signal; after a wait for a child.
 */
void preload_settle(const char *op);
void preload_settle_unshare(const char *op, int flags);
void preload_settle_setns(const char *op, int kind);
void preload_settle_prctl(const char *op, int option, unsigned long value);
void preload_kill(pid_t target, int number);
pid_t preload_waited(pid_t, const int *status);
int preload_told(int result, const siginfo_t *);

/* All but the shortest way of a wrapper, apart from it: so that it needs no stack, and is a load, a branch and a jump. */
#define ASIDE static __attribute__((noinline, cold))

#endif

/*
 * Facts about the calling process, asked from the kernel when they are needed: nothing is remembered, so nothing is
 * stale after fork. Safe anywhere.
 */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether this is a child that runs in its parent's memory (vfork, or clone with CLONE_VM). The kernel clears the list of
 * robust mutexes for a new task; glibc sets it again for threads and fork children and can't for these (measured on 2.36).
 */
bool process_borrows_memory(void);

/*
 * Puts off a cancellation of the calling thread, around a call of libc's that would act on one while this library has
 * something in hand. Returns what process_let_cancellation takes.
 */
int process_hold_cancellation(void);
void process_let_cancellation(int held);

/* The variables of the process as they are now; NULL where it has cleared them. */
char **process_environment(void);

/* What the kernel has handed to the program for `type` (getauxval(3)); `unknown` where that can't be found out. */
unsigned long process_auxiliary(unsigned long type, unsigned long unknown);

/* Whether it has more rights than who started it (set-id, file capabilities), so that its environment isn't to be trusted. */
bool process_is_secure(void);

/* How many threads the process has; 1 where that can't be found out. */
unsigned process_threads(void);

/* The parent of a process; 0 where there is none that we can see. */
pid_t process_parent(pid_t);

/* "/proc/PID" and `name` behind it, which starts with a slash. Returns `path`. */
#define PROCESS_PATH_SIZE 64
const char *process_path(char path[PROCESS_PATH_SIZE], pid_t, const char *name);

/* The number of this process's PID namespace, as /proc has it; 0 where there is no /proc. Keeps errno. */
uint64_t process_namespace(void);

/* Whether this is that process, or descends from it. */
bool process_descends_from(pid_t);

/* Whether the calling thread has a capability in force, by its number in linux/capability.h. */
bool process_has_capability(int number);

/* The name of the calling thread, and the path of the program; empty where they can't be found out. */
void process_comm(char comm[16]);
void process_exe(char *path, size_t size);

#endif

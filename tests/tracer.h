/*
 * Runs a command with every system call of its whole process tree in sight, so that a test can do something to one of them. The
 * processes stand still while a test looks.
 */
#ifndef TESTS_TRACER_H
#define TESTS_TRACER_H

#include <sys/ptrace.h>

#include "harness.h"

struct traced_call {
    pid_t pid;
    unsigned task; /* which process or thread of the tree, in the order of their births; the first is 0 */
    struct __ptrace_syscall_info info;
    unsigned long which;      /* before a call: which one of the whole tree, from 1 on */
    unsigned which_of_number; /* likewise, of those of this number in its task */
};

/*
 * What is called before each system call, and behind it; either may be NULL. What is behind an exec or a fork is in sight as well.
 */
struct tracer {
    void (*entered)(struct tracer *, const struct traced_call *);
    void (*left)(struct tracer *, const struct traced_call *);
    bool seen_enough; /* set by a function: the rest of the tree runs at its full speed, and isn't counted */

    unsigned long calls; /* the answers: how many calls there were */
    bool hung;           /* the tree had to be killed */
};

/* Runs it by /bin/sh, behind "exec", to the end of its last process. Returns the wait status of the first. */
int trace_tree(struct tracer *, const struct place *, enum shim, const char *environment, const char *command);

/* Whether a call can be made to fail on this machine. */
bool trace_can_fail_calls(void);

/* In `entered`: the call isn't made. In `left`: it gives back this error. */
void trace_skip_call(const struct traced_call *);
void trace_fail_call(const struct traced_call *, int error);

/* In `entered`: whether the library itself makes this call, not the program or libc. */
bool trace_is_librarys(const struct traced_call *);

#endif

/*
 * What happens when a program is started: stages are handed over or finished, and when the file is still open for writing
 * somewhere, the start is tried again within the policy's bounds.
 *
 * Safe anywhere, also in a vfork child. A cancellation point only while it waits.
 */
#ifndef REMEDY_RUN_H
#define REMEDY_RUN_H

#include <stdbool.h>

/* Of execveat (linux/fcntl.h, 6.14): whether the kernel would start the program. Nothing is started, and nothing has to be done. */
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

struct spawn_files;

/* One start of a program, by whichever entry point. */
struct run {
    const char *op; /* the libc entry point */
    int dirfd;      /* of `path`; AT_FDCWD where the entry point has none */
    const char *path;
    int flags;                 /* AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW */
    bool searches;             /* a path without a slash is looked for along PATH */
    bool spawns;               /* a child runs the program, and this process lives on */
    bool once;                 /* a second attempt would not be the same (O_EXCL file actions): waits before the first */
    struct spawn_files *files; /* of a spawn; NULL: it is none */
    const void *call;          /* for the attempt alone */
    char *const *argv, *const *envp;
};

/* Makes the real call with what is in the `run` now. Returns 0, or an errno (an exec that succeeds doesn't return). */
typedef int run_attempt(const struct run *);

/* Returns what the attempt returned, in the end; exactly ETXTBSY when a wait ended without success. */
int run_program(struct run *, run_attempt *);

/*
 * Words in a new program's environment that the shim in the old one puts there: that there are stages among the descriptors,
 * and the line about a wait that ended with this program's start, which the old one could not write any more. The constructor takes
 * them out, so that the program never sees them.
 */
#define RUN_LEGACY_STAGES "ETXTBSY_STAGES="
#define RUN_LEGACY_LINE "ETXTBSY_LINE="

struct run_legacy {
    bool stages;
    const char *line; /* NULL: none */
};

/* Does what they say: adopts the stages, says the line. */
void run_legacy_accept(const struct run_legacy *);

#endif

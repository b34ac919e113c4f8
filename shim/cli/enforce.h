/*
 * Whether the kernel, on this file system, refuses to write to a program that runs, and to start one that is being written to.
 * Found out by a real attempt, with a copy of the shell in a directory of its own: versions and names of file systems don't tell
 * (Linux 6.11, gVisor, some network file systems).
 */
#ifndef CLI_ENFORCE_H
#define CLI_ENFORCE_H

enum enforcement {
    ENFORCED,
    NOT_ENFORCED,        /* the attempt succeeded */
    ENFORCEMENT_UNKNOWN, /* it couldn't be made: errno */
};

struct enforce {
    enum enforcement write; /* opening a program that runs */
    enum enforcement exec;  /* starting a program that is open for writing */
    int error;              /* of what couldn't be tried */
};

/* Leaves nothing in `directory`. */
struct enforce enforce_probe(const char *directory);

#endif

/*
 * Where a process runs: which machine, boot, systemd unit and container, and who its ancestors are. Asked from /proc when its first
 * line is written; what can't be found out is empty. Safe anywhere.
 */
#ifndef EVENT_HOST_H
#define EVENT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../sys/lines.h"

#define HOST_ANCESTORS 4

struct host {
    pid_t pid, parent, thread;
    uid_t user;    /* effective */
    char name[65]; /* of the machine */
    char boot_id[40];
    char unit[256];
    char invocation_id[36];
    char container_id[68];
    char ancestors[HOST_ANCESTORS][16]; /* the parent first; empty: no further */
};

/*
 * All of it, for the calling process and thread. What comes behind `user` is remembered for the next line, unless the parent is
 * another one then: a process that is moved to another unit, which a service manager does before the exec, is said to be where it
 * was. `lines` is room to read in.
 */
void host_learn(struct host *, struct lines *);

/*
 * The systemd unit of a process (`directory` is its directory in /proc, such as "/proc/self"): the service, scope, ... that its
 * cgroup belongs to; of a user's manager, the unit within that. For v1, v2 and both mounted together. And the container: the 64
 * hexadecimal digits that Docker, Podman and containerd give it.
 */
void host_find_unit_and_container(struct host *, struct lines *, const char *directory);

/* The fields of proc_pid_stat(5) that are of use here. False when there is no such process. */
struct host_process {
    pid_t parent;
    char comm[16], state;
    unsigned long long start_ticks; /* since the boot */
};
bool host_process(struct host_process *, const char *directory);

/* "/proc/N" */
#define HOST_DIRECTORY_SIZE 32
const char *host_directory(char directory[HOST_DIRECTORY_SIZE], pid_t);

#endif

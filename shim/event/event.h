/*
 * What is said about one intervention: one line of JSON (RFC 8259) that ends with a newline, in one write.
 * The fields are described in event.schema.json beside this file; `v` is that schema's version.
 *
 * Safe anywhere. Never disturbs the program: no signal, no changed errno, no wait longer than 100 ms for a full pipe.
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holder_list.h"
#include "host.h"

#define EVENT_VERSION 1
#define EVENT_LINE_SIZE 65536

/* What a pipe takes in one piece, whoever else writes to it (PIPE_BUF): a line that goes through one is cut to this. */
#define EVENT_SHORT_SIZE 4096

struct event {
    const char *event;  /* wait, redirect, pending, observe, refuse, config */
    const char *op;     /* the libc entry point that met the conflict, or that ended it */
    const char *path;   /* as the program gave it; the target where that isn't known any more */
    const char *target; /* resolved; NULL: not known */
    int error;          /* the errno that it is about; 0: none */
    const char *outcome, *verdict;
    const char *action;  /* NULL: none applies */
    const char *rule;    /* where the action came from */
    const char *reason;  /* why not something better; NULL: nothing to say */
    const char *message; /* one sentence for a person */
    uint64_t attempts;
    uint64_t waited_ns;
    uint64_t first_delay_ns, last_delay_ns; /* between two attempts; said when there were two */
    int held_fd;                            /* this process's own descriptor that is in the way; -1: none */
    const char *stage;                      /* the temporary file's path; NULL: none */
    uint64_t bytes, old_inode, new_inode;   /* these and the next three are said when there is a new_inode */
    uint64_t hard_links;                    /* names that the target had */
    const char *sync;                       /* NULL: not settled yet */
    bool published_early;
    const char *generation;            /* where the replaced file is kept; NULL: it isn't */
    const struct holder_list *holders; /* NULL: nobody has looked */
    const struct host *host;           /* this and the next two: of the thread that says it */
    const char *comm, *exe;
    /* A file that must not get the line, even if stderr leads there: the one that is being replaced. 0: none. */
    uint64_t avoid_device, avoid_inode;
};

/* Writes the line into `line` and returns its length, newline included. What is too long is cut, and stays valid JSON. */
size_t event_format(const struct event *, char *line, size_t size);

/*
 * Brings a line that event_format made of this event up to date, at a small part of the cost, where nothing but the numbers of
 * the wait have changed since (`attempts` from two or more). The line is terminated. Returns its new length, or 0, and leaves it
 * as it was, when there is no room.
 */
size_t event_renew(const struct event *, char *line, size_t length, size_t size);

/*
 * Sends a line, as event_format makes it, to each sink of a list such as "stderr,/var/log/etxtbsy.json,fd:7,journal,syslog"; "none"
 * stands for no sink. A sink that fails doesn't keep the others from it. A line for a pipe, a socket or a terminal is made again,
 * shorter, where it isn't sure to go through in one piece; a blank event stands for a line that can't be.
 */
void event_send(const char *sinks, const struct event *, const char *line, size_t length);

/* Whether there is a sink at all: where there is none, nothing need be found out for a line. */
bool event_is_wanted(const char *sinks);

/*
 * For the constructor: remembers where stderr leads, so that a line for it never goes into a file that the program itself has
 * opened under that number since. A process that hasn't called it trusts number 2.
 */
void event_remember_stderr(void);

#endif

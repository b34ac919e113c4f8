/*
 * The holders that a line names: what a scan has found, kept until the line is written, when they may have ended.
 * Safe anywhere. Belongs in a scratch mapping; what it has before `holder` is zero at first.
 */
#ifndef EVENT_HOLDER_LIST_H
#define EVENT_HOLDER_LIST_H

#include "holders.h"

#define HOLDER_LIST_MAX 64
#define HOLDER_TEXT_SIZE 24576

struct json;

struct holder_list {
    bool truncated; /* time or room ran out: there may be more */
    unsigned hidden;
    bool with_cmdline; /* set before the scan */
    size_t count, used;
    struct {
        pid_t pid;
        uid_t uid;
        enum holder_how how;
        int fd;
        uint64_t started_ns;
        char comm[16];
        size_t exe, cmdline; /* where in `text`; 0: none */
    } holder[HOLDER_LIST_MAX];
    char text[HOLDER_TEXT_SIZE];
};

/* For holders_scan.found, with the list as its context. */
void holder_list_add(void *list, const struct holder *);

/* Writes "holders", "holders_truncated" and "holders_hidden" as far as there is room; nothing for NULL. */
void holder_list_write(struct json *, const struct holder_list *);

#endif

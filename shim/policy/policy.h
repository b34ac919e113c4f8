/*
 * What may be done about one conflict.
 *
 * A policy is decided afresh for each conflict from, weakest first: the built-in values, /etc/etxtbsy.conf, the file that
 * ETXTBSY_CONF names, and the ETXTBSY_* variables that the process was started with. Within one file a matching [rule] beats
 * the sections; among rules the first that matches and gives a key wins, and keys that it doesn't give fall through.
 * Nothing is kept between two decisions, so there is no state to lock, and a process that meets no conflict reads no file.
 *
 * Safe anywhere. Bad input is reported to the `complain` function and the weaker value stays in force.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sys/call.h"
#include "../sys/text.h"

/* POLICY_RENAME: a name is to be made, changed or removed (rename, link, unlink and their like). */
enum policy_operation { POLICY_EXEC, POLICY_WRITE, POLICY_TRUNCATE, POLICY_RENAME, POLICY_OPERATIONS };

enum policy_action { ACTION_RETRY, ACTION_REDIRECT, ACTION_ATOMIC, ACTION_OBSERVE, ACTION_OFF };

enum policy_io_uring { IO_URING_ALLOW, IO_URING_REFUSE };

enum policy_sync { SYNC_NONE, SYNC_DATA, SYNC_FULL };

enum policy_holders { HOLDERS_ALWAYS, HOLDERS_GIVE_UP, HOLDERS_NEVER };

enum policy_hard_links { HARD_LINKS_REFUSE, HARD_LINKS_BREAK };

enum policy_switch { SWITCH_OFF, SWITCH_ON };

/* The keys that have a value for each operation. Durations are in nanoseconds. */
enum policy_key {
    KEY_LOG, /* text: policy.log */
    KEY_HOLDERS,
    KEY_CMDLINE,
    KEY_IO_URING,
    KEY_SYNC,
    KEY_HARD_LINKS,
    KEY_KEEP,
    KEY_RESPECT_LOCKS,
    KEY_SERIALISE,
    KEY_ACTION,
    KEY_FIRST,
    KEY_CAP,
    KEY_MAX_WAIT,
    KEY_MAX_WAIT_VFORK,
    KEY_MAX_ATTEMPTS,
    POLICY_KEYS
};

#define POLICY_LOG_SIZE 1024

/* One more sink, without the prefix: gets every line, whatever `log` says and wherever it says so. `etxtbsy run` sets it. */
#define POLICY_ALSO_LOG "ALSO_LOG"

/* Where a value came from: a file and line, a variable, or neither: built in. */
struct policy_origin {
    const char *file, *variable;
    unsigned line;
    bool by_rule;
};

struct policy {
    uint64_t value[POLICY_KEYS];
    struct policy_origin origin[POLICY_KEYS];
    char log[2 * POLICY_LOG_SIZE]; /* a value of the key, a comma and one of ALSO_LOG */
};

struct policy_question {
    enum policy_operation operation;
    const char *path; /* the resolved target */
    const char *exe;  /* path of the program that asks */
    const char *comm; /* and its name, which tells the applets of one multi-call binary apart */
};

struct policy_complaint {
    const char *file; /* or NULL: found in the environment */
    unsigned line;
    const char *found;
    size_t found_length;
    const char *expected;
};

struct policy_listener {
    void (*complain)(void *context, const struct policy_complaint *);
    void *context;
};

/* The files and variables to decide from; either file may be NULL, and a missing system file is no error. */
struct policy_sources {
    const char *system_file, *user_file;
    const char *environment; /* "NAME=value" strings, each terminated, the last followed by an empty one */
};

/* What this process decides from: the standard file and the environment that policy_remember_environment kept. */
struct policy_sources policy_sources(void);

void policy_decide(struct policy *, const struct policy_question *, const struct policy_sources *, const struct policy_listener *);

/*
 * What has to be decided before a call that meets no conflict: a truncating open under the action atomic, any start or
 * write under respect_locks. Nearly nobody asks for it, so this says whether any source so much as mentions it. The sources are
 * looked through at the first question; from then on, for the rest of the process, the answer is one load. Only where a file
 * couldn't be read for the moment (EMFILE) the next question looks again.
 */
enum policy_foresight { POLICY_KNOWN = 1, POLICY_ATOMIC = 2, POLICY_LOCKS = 4 };
extern unsigned policy_foreseen __attribute__((visibility("hidden")));
unsigned policy_foresee(void);

static inline unsigned policy_foresight(void)
{
    return policy_foreseen ? policy_foreseen : policy_foresee();
}

#define POLICY_PREFIX "ETXTBSY_" /* of the variables that are ours */

static inline bool policy_is_variable(const char *entry)
{
    static const char prefix[] AT_START_STRING = POLICY_PREFIX;
    return text_behind(entry, prefix);
}

/*
 * Keeps the ETXTBSY_* variables of `environment`, for the constructor: later the program may change or overwrite them.
 * Call it once, with no other thread running.
 */
void policy_remember_environment(char *const *environment);

/* A remembered variable's value, or NULL. `name` is without the prefix: "CONF". */
const char *policy_variable(const struct policy_sources *, const char *name);

/* Writes where a value came from: "built-in", "/etc/etxtbsy.conf:12", "ETXTBSY_WRITE". */
void policy_add_origin(struct text *, const struct policy_origin *);

/* Writes a value as it would stand in a file: "10s", "redirect". */
void policy_add_value(struct text *, const struct policy *, enum policy_key);

const char *policy_key_name(enum policy_key);
const char *policy_operation_name(enum policy_operation);
const char *policy_action_name(enum policy_action);

#define POLICY_SYSTEM_FILE "/etc/etxtbsy.conf"

#endif

/*
 * One line of the log as facts: what the commands that read logs share. A line may come from anywhere, so everything is
 * examined: a line is either wholly understood or broken. All fields beyond the first version's required ones may be missing.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_HOLDERS 4 /* of one line, kept; the others are many of a kind */

/* The first four are the policy's (enum policy_operation). OTHER: neither, such as a mistake in the configuration. */
enum line_operation { LINE_EXEC, LINE_WRITE, LINE_TRUNCATE, LINE_RENAME, LINE_OTHER, LINE_OPERATIONS };

/* What a newer version says in words that aren't known here is UNKNOWN. */
enum line_outcome {
    OUTCOME_SUCCEEDED,
    OUTCOME_REPLACED,
    OUTCOME_CREATED,
    OUTCOME_IN_PLACE,
    OUTCOME_UNCHANGED,
    OUTCOME_PUBLISHED_EARLY,
    OUTCOME_DISCARDED,
    OUTCOME_OBSERVED,
    OUTCOME_REFUSED,
    OUTCOME_GAVE_UP,
    OUTCOME_ABORTED,
    OUTCOME_FAILED,
    OUTCOME_IGNORED,
    OUTCOME_WAITING, /* these two aren't ends: another line may follow */
    OUTCOME_PENDING,
    OUTCOME_UNKNOWN,
    LINE_OUTCOMES
};

/* The later, the more it asks for a person. */
enum line_verdict {
    VERDICT_OBSERVED,
    VERDICT_TRANSIENT,
    VERDICT_REPLACED,
    VERDICT_UNKNOWN,
    VERDICT_REFUSED,
    VERDICT_SELF_HELD,
    VERDICT_PERSISTENT,
    VERDICT_FAILED,
    LINE_VERDICTS
};

extern const char *const line_operations[LINE_OPERATIONS];
extern const char *const line_outcomes[LINE_OUTCOMES];
extern const char *const line_verdicts[LINE_VERDICTS];

struct line_holder {
    int64_t pid, fd; /* -1: not said */
    const char *comm, *exe, *how, *started;
};

/* Strings are never NULL; what isn't there is empty. They are the exact bytes where the line has them (`_b64`). */
struct line {
    int64_t at_ms;
    enum line_operation operation;
    enum line_outcome outcome;
    enum line_verdict verdict;
    uint64_t waited_us, bytes, old_inode;
    int64_t pid, held_fd;
    const char *path; /* the target; the path where that isn't known; the program where there is neither */
    const char *host, *comm, *exe, *unit, *boot_id, *reason, *error, *stage;
    struct line_holder holders[LINE_HOLDERS];
    int holder_count;
};

/* Whether the intervention had ended, so that the line's wait is all of it. */
static inline bool line_is_end(const struct line *line)
{
    return line->outcome != OUTCOME_WAITING && line->outcome != OUTCOME_PENDING;
}

/* Whether a writer got a new file that took the target's name: somebody may still run the old one. */
static inline bool line_is_replacement(const struct line *line)
{
    return line->outcome == OUTCOME_REPLACED || line->outcome == OUTCOME_PUBLISHED_EARLY;
}

/* Room for the strings of lines: as many bytes as their text had will do, for no string is copied twice. */
struct line_room {
    char *at, *end;
};

/* Makes the tokener that line_parse wants: strict, and no deeper than any line goes. */
struct json_tokener *line_tokener(void);

/*
 * Returns NULL, or what is wrong with the text, for a person. An entry of the journal (`journalctl -o json`) whose fields are those
 * of a line is such a line, too.
 */
const char *line_parse(struct line *, struct json_tokener *, const char *text, size_t length, struct line_room *);

#endif

/*
 * The one table of configuration keys: name, kind, where it may stand, built-in value. The reader, the environment,
 * `etxtbsy check` and the tests all follow it. For use within policy/ and by those two.
 *
 * Like every table of the library it holds its words, and not pointers to them, each of which would be a relocation in every
 * process that starts.
 */
#ifndef POLICY_KEYS_H
#define POLICY_KEYS_H

#include "policy.h"

enum key_kind { KIND_SINKS, KIND_CHOICE, KIND_ACTION, KIND_DURATION, KIND_COUNT };

/* The length of any word, with its end; a list of words ends with an empty one. */
#define KEY_WORD_SIZE 12

struct key {
    char name[16];
    enum key_kind kind;
    bool global; /* stands before the first section; the others stand in [exec], [write], [truncate] or [rename] */
    char choices[6][KEY_WORD_SIZE];
    char expected[48]; /* empty: the same for all keys of the kind */
    uint64_t built_in[POLICY_OPERATIONS];
};

extern const struct key policy_keys[POLICY_KEYS] __attribute__((visibility("hidden")));

/* For each operation a set of the actions that it allows. */
extern const unsigned policy_allowed_actions[POLICY_OPERATIONS] __attribute__((visibility("hidden")));
extern const char policy_expected_action[POLICY_OPERATIONS][48] __attribute__((visibility("hidden")));

/*
 * Reads `text` as a value of `key` for `operation`. Returns NULL when it is one, else what was expected. A KIND_SINKS value
 * is only examined: it is its own text.
 */
const char *key_parse(enum policy_key key, enum policy_operation operation, const char *text, size_t length, uint64_t *value);

/* The key of that name, or POLICY_KEYS. */
enum policy_key key_find(const char *name, size_t length);

/* The operation of that name ("exec"), or POLICY_OPERATIONS. */
enum policy_operation key_find_operation(const char *name, size_t length);

#endif

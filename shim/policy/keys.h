/*
 * The one table of configuration keys: name, kind, where it may stand, built-in value. The reader, the environment,
 * `etxtbsy check` and the tests all follow it. For use within policy/ and by those two.
 */
#ifndef POLICY_KEYS_H
#define POLICY_KEYS_H

#include "policy.h"

enum key_kind { KIND_SINKS, KIND_CHOICE, KIND_ACTION, KIND_DURATION, KIND_COUNT };

struct key {
    const char *name;
    enum key_kind kind;
    bool global; /* stands before the first section; the others stand in [exec], [write], [truncate] or [rename] */
    const char *const *choices;
    const char *expected;
    uint64_t built_in[POLICY_OPERATIONS];
};

extern const struct key policy_keys[POLICY_KEYS];

/* The words of enum policy_action, and for each operation a set of the actions that it allows. */
extern const char *const policy_actions[];
extern const unsigned policy_allowed_actions[POLICY_OPERATIONS];
extern const char *const policy_expected_action[POLICY_OPERATIONS];

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

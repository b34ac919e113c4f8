#include "keys.h"

#include <string.h>

#include "../sys/clock.h"

#define US UINT64_C(1000)

#define WAITS (1 << ACTION_RETRY | 1 << ACTION_OBSERVE | 1 << ACTION_OFF)
#define REPLACES (WAITS | 1 << ACTION_REDIRECT | 1 << ACTION_ATOMIC)

const unsigned policy_allowed_actions[] = {
    [POLICY_EXEC] = WAITS,
    [POLICY_WRITE] = REPLACES,
    [POLICY_TRUNCATE] = REPLACES,
    [POLICY_RENAME] = WAITS,
};

const char policy_expected_action[][48] = {
    [POLICY_EXEC] = "retry, observe or off",
    [POLICY_WRITE] = "retry, redirect, atomic, observe or off",
    [POLICY_TRUNCATE] = "retry, redirect, atomic, observe or off",
    [POLICY_RENAME] = "retry, observe or off",
};

/* A built-in value that is the same for all operations. */
#define ALL(value)                                                                                                                 \
    {                                                                                                                              \
        [0 ... POLICY_OPERATIONS - 1] = (value)                                                                                    \
    }

/* clang-format off */
const struct key policy_keys[] = {
    [KEY_LOG] = { "log", KIND_SINKS, true, {}, "", ALL(0) },
    [KEY_HOLDERS] = { "holders", KIND_CHOICE, true, { "always", "give-up", "never" }, "always, give-up or never", ALL(HOLDERS_ALWAYS) },
    [KEY_CMDLINE] = { "cmdline", KIND_CHOICE, true, { "off", "on" }, "on or off", ALL(SWITCH_OFF) },
    [KEY_IO_URING] = { "io_uring", KIND_CHOICE, true, { "allow", "refuse" }, "allow or refuse", ALL(IO_URING_ALLOW) },
    [KEY_SYNC] = { "sync", KIND_CHOICE, true, { "none", "data", "full" }, "none, data or full", ALL(SYNC_FULL) },
    [KEY_HARD_LINKS] = { "hard_links", KIND_CHOICE, true, { "refuse", "break" }, "refuse or break", ALL(HARD_LINKS_REFUSE) },
    [KEY_KEEP] = { "keep", KIND_COUNT, true, {}, "a whole number; 0 to keep no replaced file", ALL(0) },
    [KEY_RESPECT_LOCKS] = { "respect_locks", KIND_CHOICE, true, { "off", "on" }, "on or off", ALL(SWITCH_OFF) },
    [KEY_SERIALISE] = { "serialise", KIND_CHOICE, true, { "off", "on" }, "on or off", ALL(SWITCH_OFF) },
    [KEY_ACTION] = { "action", KIND_ACTION, false, { "retry", "redirect", "atomic", "observe", "off" }, "",
                     { [POLICY_EXEC] = ACTION_RETRY, [POLICY_WRITE] = ACTION_REDIRECT, [POLICY_TRUNCATE] = ACTION_REDIRECT,
                       [POLICY_RENAME] = ACTION_RETRY } },
    [KEY_FIRST] = { "first", KIND_DURATION, false, {}, "", ALL(100 * US) },
    [KEY_CAP] = { "cap", KIND_DURATION, false, {}, "", ALL(200 * CLOCK_MS) },
    [KEY_MAX_WAIT] = { "max_wait", KIND_DURATION, false, {}, "",
                       { [POLICY_EXEC] = 10 * CLOCK_SECOND, [POLICY_WRITE] = 2 * CLOCK_SECOND,
                         [POLICY_TRUNCATE] = 2 * CLOCK_SECOND, [POLICY_RENAME] = 2 * CLOCK_SECOND } },
    [KEY_MAX_WAIT_VFORK] = { "max_wait_vfork", KIND_DURATION, false, {}, "", ALL(CLOCK_SECOND) },
    [KEY_MAX_ATTEMPTS] = { "max_attempts", KIND_COUNT, false, {}, "a whole number; 0 for no limit", ALL(0) },
};
/* clang-format on */

/* Those that are a word. */
static const char sinks[][KEY_WORD_SIZE] = { "stderr", "journal", "syslog", "none", "" };

static const char operations[POLICY_OPERATIONS + 1][KEY_WORD_SIZE] = {
    [POLICY_EXEC] = "exec",
    [POLICY_WRITE] = "write",
    [POLICY_TRUNCATE] = "truncate",
    [POLICY_RENAME] = "rename",
};

/* The place of a word in a list, or -1. */
static int find_word(const char (*words)[KEY_WORD_SIZE], const char *text, size_t length)
{
    for (int i = 0; words[i][0]; i++)
        if (strlen(words[i]) == length && !memcmp(words[i], text, length))
            return i;
    return -1;
}

enum policy_key key_find(const char *name, size_t length)
{
    for (int key = 0; key < POLICY_KEYS; key++)
        if (strlen(policy_keys[key].name) == length && !memcmp(policy_keys[key].name, name, length))
            return key;
    return POLICY_KEYS;
}

enum policy_operation key_find_operation(const char *name, size_t length)
{
    int found = find_word(operations, name, length);
    return found < 0 ? POLICY_OPERATIONS : (enum policy_operation)found;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One or more terms such as "1.5s" or "1min 30s"; a bare number counts seconds, as in systemd.time(7). */
static bool parse_duration(const char *text, size_t length, uint64_t *ns)
{
    static const struct {
        char name[4];
        uint64_t ns;
    } units[] = {
        { "us", US },
        { "ms", CLOCK_MS },
        { "s", CLOCK_SECOND },
        { "sec", CLOCK_SECOND },
        { "min", 60 * CLOCK_SECOND },
        { "m", 60 * CLOCK_SECOND },
        { "h", 3600 * CLOCK_SECOND },
    };
    const uint64_t limit = 365 * 24 * 3600 * CLOCK_SECOND; /* a year: more is a typing error */
    uint64_t sum = 0;
    size_t i = 0;

    if (!length)
        return false;
    while (i < length) {
        uint64_t whole = 0, fraction = 0, scale = 1, unit = CLOCK_SECOND;
        size_t start = i;
        for (; i < length && is_digit(text[i]); i++)
            if ((whole = whole * 10 + (uint64_t)(text[i] - '0')) > limit)
                return false;
        if (i == start)
            return false;
        if (i < length && text[i] == '.')
            for (i++; i < length && is_digit(text[i]); i++)
                if (scale < CLOCK_SECOND) {
                    fraction = fraction * 10 + (uint64_t)(text[i] - '0');
                    scale *= 10;
                }
        while (i < length && text[i] == ' ')
            i++;
        size_t name = i;
        while (i < length && text[i] >= 'a' && text[i] <= 'z')
            i++;
        if (i > name) {
            unit = 0;
            for (size_t u = 0; u < sizeof units / sizeof *units; u++)
                if (strlen(units[u].name) == i - name && !memcmp(units[u].name, text + name, i - name))
                    unit = units[u].ns;
            if (!unit)
                return false;
        }
        if (whole > limit / unit)
            return false;
        sum += whole * unit + fraction * (unit / US) / scale * US;
        if (sum > limit)
            return false;
        while (i < length && text[i] == ' ')
            i++;
    }
    *ns = sum;
    return true;
}

static bool is_sink(const char *text, size_t length)
{
    uint64_t fd;
    if (length && text[0] == '/')
        return true;
    if (length > 3 && !memcmp(text, "fd:", 3))
        return text_to_number(text + 3, length - 3, &fd) && fd <= INT32_MAX;
    return find_word(sinks, text, length) >= 0;
}

static bool is_sink_list(const char *text, size_t length)
{
    size_t start = 0;
    if (length >= POLICY_LOG_SIZE)
        return false;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != ',')
            continue;
        while (start < i && text[start] == ' ')
            start++;
        size_t end = i;
        while (end > start && text[end - 1] == ' ')
            end--;
        if (!is_sink(text + start, end - start))
            return false;
        start = i + 1;
    }
    return true;
}

const char *key_parse(enum policy_key key, enum policy_operation operation, const char *text, size_t length, uint64_t *value)
{
    const struct key *entry = &policy_keys[key];
    int word;
    switch (entry->kind) {
    case KIND_SINKS:
        return is_sink_list(text, length) ? NULL
                                          : "stderr, journal, syslog, none, fd:N or an absolute path, several separated by commas";
    case KIND_CHOICE:
        word = find_word(entry->choices, text, length);
        if (word < 0)
            return entry->expected;
        *value = (uint64_t)word;
        return NULL;
    case KIND_ACTION:
        word = find_word(entry->choices, text, length);
        if (word < 0 || !(policy_allowed_actions[operation] & 1u << word))
            return policy_expected_action[operation];
        *value = (uint64_t)word;
        return NULL;
    case KIND_DURATION:
        return parse_duration(text, length, value) ? NULL : "a duration such as 10s, 250ms or 100us";
    case KIND_COUNT:
        return text_to_number(text, length, value) && *value <= UINT32_MAX ? NULL : entry->expected;
    }
    return entry->expected;
}

const char *policy_key_name(enum policy_key key)
{
    return policy_keys[key].name;
}

const char *policy_operation_name(enum policy_operation operation)
{
    return operations[operation];
}

const char *policy_action_name(enum policy_action action)
{
    return policy_keys[KEY_ACTION].choices[action];
}

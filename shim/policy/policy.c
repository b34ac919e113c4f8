#include "policy.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/scratch.h"
#include "file.h"
#include "glob.h"
#include "keys.h"

#define PATTERN_MAX 1024

/* One decision in the making. */
struct decision {
    struct policy *policy;
    const struct policy_question *question;
    const struct policy_listener *listener;
    const char *file; /* the one being read */
};

static void complain(const struct decision *decision, unsigned line, struct span found, const char *expected)
{
    struct policy_complaint complaint = {
        .file = decision->file,
        .line = line,
        .found = found.at,
        .found_length = found.length,
        .expected = expected,
    };
    if (decision->listener)
        decision->listener->complain(decision->listener->context, &complaint);
}

static struct span span_of(const char *string)
{
    return (struct span){ string, strlen(string) };
}

static void set(const struct decision *decision, enum policy_key key, struct span text, uint64_t value, struct policy_origin origin)
{
    struct policy *policy = decision->policy;
    policy->value[key] = value;
    policy->origin[key] = origin;
    if (key == KEY_LOG) {
        memcpy(policy->log, text.at, text.length);
        policy->log[text.length] = '\0';
    }
}

/* A rule's value yields to an earlier rule of the same file, a section's to any rule of it. */
static bool is_settled(const struct decision *decision, enum policy_key key)
{
    const struct policy_origin *origin = &decision->policy->origin[key];
    return origin->file == decision->file && origin->by_rule;
}

/*
 * Examines a value for `key`, and puts it in force when `applies`. `operation` is the one that it is for, which matters to
 * the actions alone.
 */
static void take_value(const struct decision *decision, enum policy_key key, enum policy_operation operation,
                       const struct file_item *item, bool applies, bool by_rule)
{
    uint64_t value = 0;
    const char *expected = key_parse(key, operation, item->value.at, item->value.length, &value);
    if (expected) {
        complain(decision, item->line, item->whole, expected);
        return;
    }
    if (applies && !is_settled(decision, key))
        set(decision, key, item->value, value,
            (struct policy_origin){ .file = decision->file, .line = item->line, .by_rule = by_rule });
}

/* A pattern with a slash is for the whole path, one without for the last component. */
static bool matches(struct span pattern, const char *path)
{
    char terminated[PATTERN_MAX];
    if (pattern.length >= sizeof terminated)
        return false;
    memcpy(terminated, pattern.at, pattern.length);
    terminated[pattern.length] = '\0';
    return glob_match(terminated, strchr(terminated, '/') ? path : text_base(path));
}

static bool is_rule_name(struct span name)
{
    enum policy_key key = key_find(name.at, name.length);
    return span_is(name, "path") || span_is(name, "program") || key_find_operation(name.at, name.length) != POLICY_OPERATIONS ||
           (key != POLICY_KEYS && key != KEY_ACTION);
}

/*
 * Looks ahead through a rule for its conditions: they may stand anywhere in it, and all of them must hold. A rule in which
 * something can't be read doesn't hold at all: a misspelt condition must not make it one for every path.
 */
static bool rule_matches(const struct decision *decision, struct file_reader reader)
{
    const struct policy_question *question = decision->question;
    struct file_item item;
    enum file_line kind;
    while ((kind = file_next(&reader, &item)) != LINE_END && kind != LINE_SECTION) {
        if (kind == LINE_BROKEN || !is_rule_name(item.name))
            return false;
        if (span_is(item.name, "path") && !matches(item.value, question->path))
            return false;
        if (span_is(item.name, "program") && !matches(item.value, question->exe) && !matches(item.value, question->comm))
            return false;
    }
    return true;
}

static void take_rule_pair(const struct decision *decision, const struct file_item *item, bool applies)
{
    enum policy_operation asked = decision->question->operation;
    if (span_is(item->name, "path") || span_is(item->name, "program")) {
        if (!item->value.length || item->value.length >= PATTERN_MAX)
            complain(decision, item->line, item->whole, "a pattern such as /usr/local/bin/** or cp");
        return;
    }
    enum policy_operation operation = key_find_operation(item->name.at, item->name.length);
    if (operation != POLICY_OPERATIONS) {
        take_value(decision, KEY_ACTION, operation, item, applies && operation == asked, true);
        return;
    }
    if (is_rule_name(item->name))
        take_value(decision, key_find(item->name.at, item->name.length), asked, item, applies, true);
    else
        complain(decision, item->line, item->whole, "path, program, exec, write, truncate, rename or another key");
}

static void take_section_pair(const struct decision *decision, enum policy_operation section, const struct file_item *item)
{
    enum policy_key key = key_find(item->name.at, item->name.length);
    bool global = section == POLICY_OPERATIONS;
    if (key == POLICY_KEYS || policy_keys[key].global != global)
        complain(decision, item->line, item->whole,
                 global ? "log, holders, cmdline, sync, hard_links, keep, respect_locks, serialise, io_uring or a [section]"
                        : "action, first, cap, max_wait, max_wait_vfork or max_attempts");
    else
        take_value(decision, key, section, item, global || section == decision->question->operation, false);
}

static void take_text(const struct decision *decision, const char *text, size_t length)
{
    enum { SECTION, RULE, UNKNOWN } place = SECTION;
    enum policy_operation section = POLICY_OPERATIONS; /* before the first heading: the global keys */
    bool applies = false;
    struct file_reader reader = file_reader(text, length);
    struct file_item item;
    enum file_line kind;

    while ((kind = file_next(&reader, &item)) != LINE_END) {
        if (kind == LINE_BROKEN) {
            complain(decision, item.line, item.whole, "key = value, [section] or # comment");
            if (item.whole.at[0] == '[') /* what follows belongs to the section that this was to be, not to the one before */
                place = UNKNOWN;
        } else if (kind == LINE_SECTION) {
            section = key_find_operation(item.name.at, item.name.length);
            place = span_is(item.name, "rule") ? RULE : section == POLICY_OPERATIONS ? UNKNOWN : SECTION;
            if (place == RULE)
                applies = rule_matches(decision, reader);
            else if (place == UNKNOWN)
                complain(decision, item.line, item.whole, "[exec], [write], [truncate], [rename] or [rule]");
        } else if (place == RULE) {
            take_rule_pair(decision, &item, applies);
        } else if (place == SECTION) {
            take_section_pair(decision, section, &item);
        }
    }
}

static void take_file(struct decision *decision, const char *path, bool may_be_missing)
{
    int fd = file_open(path);
    if (fd < 0 && errno == ENOENT && may_be_missing)
        return;

    char *text = fd < 0 ? NULL : scratch_map(FILE_SIZE_MAX + 1);
    long length = text ? file_read(fd, text, FILE_SIZE_MAX + 1) : -1;
    sys_close_quietly(fd); /* before a complaint is sent, which may need one */
    decision->file = path;
    if (length >= 0)
        take_text(decision, text, (size_t)length);
    else if (fd >= 0 && !text)
        complain(decision, 0, span_of("no memory"), "64 KiB to read the file");
    else if (errno == EFBIG)
        complain(decision, 0, span_of("a larger file"), "at most 64 KiB");
    else if (errno == EINVAL)
        complain(decision, 0, span_of("something else"), "a regular file");
    else
        complain(decision, 0, span_of(errno == ENOENT ? "no such file" : "a file that can't be read"), "a readable file");
    decision->file = NULL;
    scratch_unmap(text, FILE_SIZE_MAX + 1);
}

/* Lowers "EXEC_MAX_WAIT" into `name`; false for what is too long to be a key. */
static bool lower_name(struct span variable, char *name, size_t size)
{
    if (variable.length >= size)
        return false;
    for (size_t i = 0; i < variable.length; i++) {
        char c = variable.at[i];
        if (c >= 'a' && c <= 'z')
            return false;
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    name[variable.length] = '\0';
    return true;
}

/*
 * Which key a variable sets: "exec" is the action of [exec], "exec_cap" its cap, "max_wait" that of every operation.
 * Returns POLICY_KEYS for an unknown one, and in *operation whom it is for: POLICY_OPERATIONS for all.
 */
static enum policy_key variable_key(const char *name, enum policy_operation *operation)
{
    *operation = key_find_operation(name, strlen(name));
    if (*operation != POLICY_OPERATIONS)
        return KEY_ACTION;
    const char *underscore = strchr(name, '_');
    if (underscore) {
        *operation = key_find_operation(name, (size_t)(underscore - name));
        if (*operation != POLICY_OPERATIONS) {
            enum policy_key key = key_find(underscore + 1, strlen(underscore + 1));
            return key == POLICY_KEYS || policy_keys[key].global ? POLICY_KEYS : key;
        }
    }
    enum policy_key key = key_find(name, strlen(name));
    return key == KEY_ACTION ? POLICY_KEYS : key;
}

/* Of a variable that is there twice the first counts, as for getenv. */
static bool is_repeated(const char *environment, const char *entry, size_t name_length)
{
    while (environment != entry && strncmp(environment, entry, name_length + 1))
        environment += strlen(environment) + 1;
    return environment != entry;
}

/* Puts the variables in force: first those for all operations, then, over them, those for one. */
static void take_environment(const struct decision *decision, const char *environment, bool for_one)
{
    for (const char *entry = environment; *entry; entry += strlen(entry) + 1) {
        const char *equals = strchr(entry, '=');
        if (!equals || is_repeated(environment, entry, (size_t)(equals - entry)))
            continue;
        const char *name_at = entry + strlen(POLICY_PREFIX);
        struct span variable = { name_at, (size_t)(equals - name_at) };
        struct span text = span_of(equals + 1);
        if (span_is(variable, "CONF") || span_is(variable, "DISABLE") || span_is(variable, POLICY_ALSO_LOG))
            continue;

        char name[32];
        enum policy_operation operation = POLICY_OPERATIONS;
        enum policy_key key = lower_name(variable, name, sizeof name) ? variable_key(name, &operation) : POLICY_KEYS;
        enum policy_operation asked = decision->question->operation;
        if ((operation != POLICY_OPERATIONS) != for_one)
            continue;
        uint64_t value = 0;
        const char *expected = key == POLICY_KEYS ? "the name of a key, such as ETXTBSY_LOG, ETXTBSY_WRITE or ETXTBSY_EXEC_MAX_WAIT"
                                                  : key_parse(key, for_one ? operation : asked, text.at, text.length, &value);
        if (expected)
            complain(decision, 0, span_of(entry), expected);
        else if (!for_one || operation == asked)
            set(decision, key, text, value, (struct policy_origin){ .variable = entry });
    }
}

/* Behind the list that is in force, so that it takes nothing from it. */
static void take_also_log(const struct decision *decision, const char *sinks)
{
    uint64_t unused;
    const char *expected = key_parse(KEY_LOG, decision->question->operation, sinks, strlen(sinks), &unused);
    if (expected) {
        complain(decision, 0, span_of(sinks - strlen(POLICY_PREFIX POLICY_ALSO_LOG "=")), expected);
        return;
    }
    char *list = decision->policy->log;
    size_t length = strlen(list);
    struct text log = text_over(list + length, sizeof decision->policy->log - length);
    text_add(&log, ",");
    text_add(&log, sinks);
}

void policy_decide(struct policy *policy, const struct policy_question *question, const struct policy_sources *sources,
                   const struct policy_listener *listener)
{
    int saved = errno;
    struct decision decision = { .policy = policy, .question = question, .listener = listener };

    memset(policy, 0, sizeof *policy);
    for (int key = 0; key < POLICY_KEYS; key++)
        policy->value[key] = policy_keys[key].built_in[question->operation];
    memcpy(policy->log, "stderr", sizeof "stderr");

    if (sources->system_file)
        take_file(&decision, sources->system_file, true);
    if (sources->user_file && sources->user_file[0])
        take_file(&decision, sources->user_file, false);
    take_environment(&decision, sources->environment, false);
    take_environment(&decision, sources->environment, true);

    const char *also = policy_variable(sources, POLICY_ALSO_LOG);
    if (also)
        take_also_log(&decision, also);
    const char *disable = policy_variable(sources, "DISABLE");
    if (disable && strcmp(disable, "1") && strcmp(disable, "0"))
        complain(&decision, 0, span_of(disable - strlen(POLICY_PREFIX "DISABLE=")), "ETXTBSY_DISABLE=1, or 0");
    if (disable && !strcmp(disable, "1"))
        set(&decision, KEY_ACTION, (struct span){ 0 }, ACTION_OFF, (struct policy_origin){ .variable = "ETXTBSY_DISABLE=1" });
    errno = saved;
}

void policy_add_origin(struct text *text, const struct policy_origin *origin)
{
    if (origin->variable) {
        const char *equals = strchr(origin->variable, '=');
        text_bytes(text, origin->variable, (size_t)(equals - origin->variable));
    } else if (origin->file) {
        text_add(text, origin->file);
        text_add(text, ":");
        text_number(text, origin->line);
    } else {
        text_add(text, "built-in");
    }
}

static void add_duration(struct text *text, uint64_t ns)
{
    static const struct {
        uint64_t ns;
        char name[4];
    } units[] = {
        { CLOCK_SECOND, "s" },
        { CLOCK_MS, "ms" },
        { 1000, "us" },
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ns % units[i].ns == 0) {
            text_number(text, ns / units[i].ns);
            text_add(text, units[i].name);
            return;
        }
}

void policy_add_value(struct text *text, const struct policy *policy, enum policy_key key)
{
    uint64_t value = policy->value[key];
    switch (policy_keys[key].kind) {
    case KIND_SINKS:
        text_add(text, policy->log);
        break;
    case KIND_CHOICE:
    case KIND_ACTION:
        text_add(text, policy_keys[key].choices[value]);
        break;
    case KIND_DURATION:
        add_duration(text, value);
        break;
    case KIND_COUNT:
        text_number(text, value);
        break;
    }
}

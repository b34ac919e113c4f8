/*
 * The configuration reader: a file's text up to the first zero byte, then environment entries, each up to the next zero byte.
 * Whatever stands there, a decision is one that the operation allows, the same each time, and can be shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../shim/policy/keys.h"
#include "../../shim/policy/policy.h"

#define PREFIX_LENGTH (sizeof POLICY_PREFIX - 1)

#define ENTRIES_MAX 64

static unsigned complained;

static void complain(void *context, const struct policy_complaint *complaint)
{
    (void)context;
    for (size_t i = 0; i < complaint->found_length; i++)
        complained += (unsigned char)complaint->found[i];
    complained += (unsigned)strlen(complaint->expected);
}

/* Takes the data apart, into a file and an environment. */
static void load(int file, const char *data, size_t size)
{
    static char entry[ENTRIES_MAX][512];
    char *entries[ENTRIES_MAX + 1];
    size_t count = 0, text = strnlen(data, size);
    if (ftruncate(file, 0) < 0 || pwrite(file, data, text, 0) != (ssize_t)text)
        abort();
    for (size_t at = text + 1; at < size && count < ENTRIES_MAX; count++) {
        size_t length = strnlen(data + at, size - at), room = sizeof entry[0] - PREFIX_LENGTH - 1;
        memcpy(entry[count], POLICY_PREFIX, PREFIX_LENGTH);
        memcpy(entry[count] + PREFIX_LENGTH, data + at, length < room ? length : room);
        entry[count][PREFIX_LENGTH + (length < room ? length : room)] = '\0';
        entries[count] = entry[count];
        at += length + 1;
    }
    entries[count] = NULL;
    policy_remember_environment(entries);
}

static void decide(struct policy *policy, const char *file, enum policy_operation operation)
{
    const struct policy_question question = { operation, "/usr/local/bin/app", "/usr/bin/cp", "cp" };
    const struct policy_listener listener = { complain, NULL };
    struct policy_sources sources = policy_sources();
    sources.system_file = NULL;
    sources.user_file = file;
    policy_decide(policy, &question, &sources, &listener);
}

static void show(const struct policy *policy)
{
    for (enum policy_key key = 0; key < POLICY_KEYS; key++) {
        char buffer[POLICY_LOG_SIZE + 64];
        struct text text = TEXT(buffer);
        policy_add_value(&text, policy, key);
        if (text.full || !text.length)
            abort();
        policy_add_origin(&text, &policy->origin[key]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    static struct policy first, second;
    if (file < 0) {
        file = memfd_create("configuration", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    load(file, (const char *)data, size);
    for (enum policy_operation operation = 0; operation < POLICY_OPERATIONS; operation++) {
        decide(&first, path, operation);
        decide(&second, path, operation);
        if (memcmp(first.value, second.value, sizeof first.value) || strcmp(first.log, second.log))
            abort();
        unsigned action = (unsigned)first.value[KEY_ACTION];
        if (action != ACTION_OFF && !(policy_allowed_actions[operation] & 1U << action))
            abort();
        show(&first);
    }
    return 0;
}

/*
 * The ETXTBSY_* variables that the process was started with, kept from the constructor on: the program may change its
 * environment, or write over it (setproctitle), while another thread reads.
 */
#include <string.h>

#include "../sys/call.h"
#include "../sys/lasting.h"
#include "policy.h"

#define PREFIX_LENGTH (sizeof POLICY_PREFIX - 1)

/*
 * Ends with an empty string. Of a variable that doesn't fit only the name is kept, with a value that no key takes, so that the
 * policy complains: nobody has 4 KiB of these, and most have so few that no memory need be mapped.
 */
#define MORE_SIZE 4096
#define TOO_LONG "(too long)"
static char few[256];
static void *more;
static bool has_more;

struct kept {
    char *at;
    size_t size, length;
    bool cut; /* not all fitted */
};

/* Copied by hand: a call costs a start more than it saves. Keeps a byte for the end. */
static inline bool keep_whole(struct kept *kept, const char *entry)
{
    for (size_t at = kept->length; at + 1 < kept->size; at++, entry++)
        if (!(kept->at[at] = *entry)) {
            kept->length = at + 1;
            return true;
        }
    return false;
}

static __attribute__((noinline, cold)) void keep_name(struct kept *kept, const char *entry)
{
    size_t name = strcspn(entry, "=") + 1;
    kept->cut = true;
    if (name + sizeof TOO_LONG < kept->size - kept->length) {
        memcpy(kept->at + kept->length, entry, name);
        memcpy(kept->at + kept->length + name, TOO_LONG, sizeof TOO_LONG);
        kept->length += name + sizeof TOO_LONG;
    }
}

AT_START static bool keep_all(char *buffer, size_t size, char *const *environment)
{
    struct kept kept = { .at = buffer, .size = size };
    for (; *environment; environment++)
        if (policy_is_variable(*environment) && !keep_whole(&kept, *environment))
            keep_name(&kept, *environment);
    buffer[kept.length] = '\0';
    return !kept.cut;
}

AT_START void policy_remember_environment(char *const *environment)
{
    policy_foreseen = 0; /* by another library's constructor, that ran before ours, perhaps */
    has_more = !keep_all(few, sizeof few, environment) && lasting_memory(&more, MORE_SIZE, LASTING_PRIVATE);
    if (has_more)
        keep_all(more, MORE_SIZE, environment);
}

const char *policy_variable(const struct policy_sources *sources, const char *name)
{
    size_t length = strlen(name);
    for (const char *entry = sources->environment; *entry; entry += strlen(entry) + 1)
        if (!strncmp(entry + PREFIX_LENGTH, name, length) && entry[PREFIX_LENGTH + length] == '=')
            return entry + PREFIX_LENGTH + length + 1;
    return NULL;
}

struct policy_sources policy_sources(void)
{
    struct policy_sources sources = { .system_file = POLICY_SYSTEM_FILE, .environment = has_more ? more : few };
    sources.user_file = policy_variable(&sources, "CONF");
    return sources;
}

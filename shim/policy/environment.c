/*
 * The ETXTBSY_* variables that the process was started with, kept from the constructor on: the program may change its
 * environment, or write over it (setproctitle), while another thread reads.
 */
#include <string.h>

#include "../sys/lasting.h"
#include "policy.h"

#define PREFIX "ETXTBSY_"
#define PREFIX_LENGTH (sizeof PREFIX - 1)

/*
 * Ends with an empty string. Of a variable that doesn't fit only the name is kept, with a value that no key takes, so that the
 * policy complains: nobody has 4 KiB of these, and most have so few that no memory need be mapped.
 */
#define MORE_SIZE 4096
#define TOO_LONG "(too long)"
static char few[256];
static void *more;
static bool has_more;

static char *remembered(void)
{
    return has_more ? more : few;
}

static bool is_ours(const char *entry)
{
    return entry[0] == 'E' && !strncmp(entry, PREFIX, PREFIX_LENGTH);
}

static size_t find_room(char *const *environment)
{
    size_t needed = 1;
    for (; *environment; environment++)
        if (is_ours(*environment))
            needed += strlen(*environment) + 1;
    has_more = needed > sizeof few && lasting_memory(&more, MORE_SIZE, LASTING_PRIVATE);
    return has_more ? MORE_SIZE : sizeof few;
}

void policy_remember_environment(char *const *environment)
{
    size_t room = find_room(environment), length = 0;
    char *kept = remembered();
    policy_foreseen = 0; /* by another library's constructor, that ran before ours, perhaps */
    for (; *environment; environment++) {
        const char *entry = *environment;
        if (!is_ours(entry))
            continue;
        size_t size = strlen(entry) + 1;
        if (size < room - length) {
            memcpy(kept + length, entry, size);
            length += size;
            continue;
        }
        size_t name = strcspn(entry, "=") + 1;
        if (name + sizeof TOO_LONG < room - length) {
            memcpy(kept + length, entry, name);
            memcpy(kept + length + name, TOO_LONG, sizeof TOO_LONG);
            length += name + sizeof TOO_LONG;
        }
    }
    kept[length] = '\0';
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
    struct policy_sources sources = { .system_file = POLICY_SYSTEM_FILE, .environment = remembered() };
    sources.user_file = policy_variable(&sources, "CONF");
    return sources;
}

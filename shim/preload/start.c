#include "../event/event.h"
#include "../policy/policy.h"
#include "../remedy/reach.h"
#include "../remedy/run.h"
#include "../sys/process.h"
#include "entries.h"

static bool is_relative(const char *list)
{
    return list[0] != '/' && list[0] != '\0';
}

/* What the entry has behind `start`, else NULL. strncmp would have to be looked up, in every process that starts. */
static inline const char *behind(const char *entry, const char *start)
{
    for (; *start; entry++, start++)
        if (*entry != *start)
            return NULL;
    return entry;
}

static inline bool is_ours(const char *entry)
{
    const char prefix[] = "ETXTBSY_"; /* not a literal: see AT_START */
    return behind(entry, prefix);
}

static inline bool is_relative_preload(const char *entry)
{
    const char name[] = "LD_PRELOAD=";
    const char *list = behind(entry, name);
    return list && is_relative(list);
}

static void take_ours_away(char **environment)
{
    char **kept = environment;
    for (char **entry = environment; *entry; entry++)
        if (!is_ours(*entry))
            *kept++ = *entry;
    *kept = NULL;
}

ASIDE void take_up(char **environment, bool relative)
{
    if (process_is_secure()) {
        take_ours_away(environment);
        return;
    }
    if (relative)
        reach_make_absolute(environment);
    struct run_legacy legacy = run_legacy_take(environment);
    policy_remember_environment(environment);
    run_legacy_accept(&legacy);
}

/*
 * The library's constructor. Looks at stderr and through the environment, and does nothing else in a process that has no variable
 * of ours and was given the library by an absolute path. A process in secure mode (set-id, file capabilities) takes nothing from
 * its environment, and hands nothing of it on: a program that it starts with all its rights isn't in that mode. ld.so does the
 * same with the variables that are its own.
 */
__attribute__((constructor)) AT_START static void enter(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    bool ours = false, relative = false;
    event_remember_stderr();
    for (char **entry = environment; *entry; entry++)
        if (unlikely(!((**entry - 'D') & 0xff & ~9))) { /* E or L, or D or M: one comparison for nearly all */
            if (**entry == 'E')
                ours |= is_ours(*entry);
            else if (**entry == 'L')
                relative |= is_relative_preload(*entry);
        }
    if (unlikely(ours || relative))
        take_up(environment, relative);
}

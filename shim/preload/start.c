#include <string.h>
#include <sys/auxv.h>

#include "../event/event.h"
#include "../policy/policy.h"
#include "../remedy/reach.h"
#include "../remedy/run.h"
#include "entries.h"

static bool is_relative(const char *list)
{
    return list[0] != '/' && list[0] != '\0';
}

static bool is_ours(const char *entry)
{
    return !strncmp(entry, "ETXTBSY_", 8);
}

static void take_ours_away(char **environment)
{
    char **kept = environment;
    for (char **entry = environment; *entry; entry++)
        if (!is_ours(*entry))
            *kept++ = *entry;
    *kept = NULL;
}

/*
 * The library's constructor. Looks at stderr and through the environment, and does nothing else in a process that has no variable
 * of ours and was given the library by an absolute path. A process in secure mode (set-id, file capabilities) takes nothing from
 * its environment, and hands nothing of it on: a program that it starts with all its rights isn't in that mode. ld.so does the
 * same with the variables that are its own.
 */
__attribute__((constructor)) static void enter(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    bool ours = false, relative = false;
    event_remember_stderr();
    for (char **entry = environment; *entry; entry++) {
        const char *at = *entry;
        if (at[0] == 'E' && at[1] == 'T' && at[2] == 'X' && at[3] == 'T')
            ours = true;
        else if (at[0] == 'L' && at[1] == 'D' && at[2] == '_' && at[3] == 'P' && !strncmp(at, "LD_PRELOAD=", 11))
            relative = is_relative(at + 11);
    }
    if (likely(!ours && !relative))
        return;
    if (getauxval(AT_SECURE)) {
        take_ours_away(environment);
        return;
    }
    if (relative)
        reach_make_absolute(environment);
    struct run_legacy legacy = run_legacy_take(environment);
    policy_remember_environment(environment);
    run_legacy_accept(&legacy);
}

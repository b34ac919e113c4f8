#include "../event/event.h"
#include "../policy/policy.h"
#include "../remedy/reach.h"
#include "../remedy/run.h"
#include "../sys/next.h"
#include "../sys/process.h"
#include "../sys/text.h"
#include "entries.h"

static void take_ours_away(char **environment)
{
    char **kept = environment;
    for (char **entry = environment; *entry; entry++)
        if (!policy_is_variable(*entry))
            *kept++ = *entry;
    *kept = NULL;
}

AT_START static struct run_legacy take_legacy(char **environment)
{
    static const char stages[] AT_START_STRING = RUN_LEGACY_STAGES, line[] AT_START_STRING = RUN_LEGACY_LINE;
    const char *rest;
    struct run_legacy legacy = { 0 };
    char **kept = environment;
    for (char **entry = environment; *entry; entry++) {
        if (text_behind(*entry, stages))
            legacy.stages = true;
        else if ((rest = text_behind(*entry, line)))
            legacy.line = rest;
        else
            *kept++ = *entry;
    }
    *kept = NULL;
    return legacy;
}

AT_START ASIDE void take_up(char **environment)
{
    if (process_is_secure()) {
        take_ours_away(environment);
        return;
    }
    struct run_legacy legacy = take_legacy(environment);
    policy_remember_environment(environment);
    if (legacy.stages || legacy.line) /* nearly never; it stands elsewhere: see AT_START */
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
    bool ours = false;
    event_remember_stderr();
    if (unlikely(next_may_be_relative())) /* not in secure mode: there ld.so takes none with a slash in it */
        reach_make_absolute(environment);
    for (char **entry = environment; *entry; entry++)
        if (unlikely(**entry == 'E'))
            ours |= policy_is_variable(*entry);
    if (unlikely(ours))
        take_up(environment);
}

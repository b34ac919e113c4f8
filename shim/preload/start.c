#include "../event/event.h"
#include "../policy/policy.h"
#include "../remedy/reach.h"
#include "../remedy/run.h"
#include "../sys/process.h"
#include "../sys/text.h"
#include "entries.h"

static bool is_relative(const char *list)
{
    return list[0] != '/' && list[0] != '\0';
}

static inline bool is_relative_preload(const char *entry)
{
    static const char name[] AT_START_STRING = "LD_PRELOAD=";
    const char *list = text_behind(entry, name);
    return list && is_relative(list);
}

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

AT_START ASIDE void take_up(char **environment, bool relative)
{
    if (process_is_secure()) {
        take_ours_away(environment);
        return;
    }
    if (relative)
        reach_make_absolute(environment);
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
    bool ours = false, relative = false;
    event_remember_stderr();
    for (char **entry = environment; *entry; entry++)
        if (unlikely(!((**entry - 'D') & 0xff & ~9))) { /* E or L, or D or M: one comparison for nearly all */
            if (**entry == 'E')
                ours |= policy_is_variable(*entry);
            else if (**entry == 'L')
                relative |= is_relative_preload(*entry);
        }
    if (unlikely(ours || relative))
        take_up(environment, relative);
}

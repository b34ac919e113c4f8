#include <sys/auxv.h>

#include "../policy/policy.h"
#include "../remedy/run.h"
#include "entries.h"

/*
 * The library's constructor. Looks once through the environment and does nothing else in a process that has no variable of
 * ours. A process in secure mode (set-id, file capabilities) takes nothing from its environment.
 */
__attribute__((constructor)) static void enter(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    bool ours = false;
    for (char **entry = environment; *entry && !ours; entry++)
        ours = (*entry)[0] == 'E' && (*entry)[1] == 'T' && (*entry)[2] == 'X' && (*entry)[3] == 'T';
    if (likely(!ours) || getauxval(AT_SECURE))
        return;
    struct run_legacy legacy = run_legacy_take(environment);
    policy_remember_environment(environment);
    run_legacy_accept(&legacy);
}

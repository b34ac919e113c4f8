#include <signal.h>

#include "../stage/stage.h"
#include "entries.h"

/* With other signals than these a program seldom means that another one is to end. */
void preload_kill(pid_t target, int number)
{
    if (unlikely(stage_known_count) &&
        (number == SIGTERM || number == SIGKILL || number == SIGINT || number == SIGHUP || number == SIGQUIT))
        stage_excuse_writers(target);
}

int wrap_kill(pid_t target, int number)
{
    preload_kill(target, number);
    return NEXT(kill)(target, number);
}

int wrap_killpg(pid_t group, int number)
{
    preload_kill(-group, number);
    return NEXT(killpg)(group, number);
}

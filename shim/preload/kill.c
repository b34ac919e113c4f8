#include "../stage/stage.h"
#include "entries.h"

void preload_kill(pid_t target, int number)
{
    if (unlikely(stage_known_count) && number)
        stage_note_kill(target, number);
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

#include "spawn_list.h"

#include <fcntl.h>
#include <string.h>

enum { OPENS = 1, SEVERAL = 2, OTHERWISE = 4 };
static unsigned char understood; /* changes once or twice in the life of a process that uses file actions */

static void learn(unsigned what)
{
    if (~understood & what)
        __atomic_fetch_or(&understood, (unsigned char)what, __ATOMIC_RELAXED);
}

/* The entry that was added last. */
static const struct spawn_action *last_of(const posix_spawn_file_actions_t *list)
{
    return list->__used > 0 ? &spawn_list_actions(list)[list->__used - 1] : NULL;
}

static void learn_if(const posix_spawn_file_actions_t *list, bool expected, unsigned what)
{
    learn(!expected ? OTHERWISE : list->__used > 1 ? what | SEVERAL : what);
}

void spawn_list_learn_open(const posix_spawn_file_actions_t *list, int fd, const char *path, int flags, mode_t mode)
{
    const struct spawn_action *last = last_of(list);
    learn_if(list,
             last && last->tag == OPEN && last->of.open.fd == fd && last->of.open.flags == flags && last->of.open.mode == mode &&
                 last->of.open.path && !strcmp(last->of.open.path, path),
             OPENS);
}

void spawn_list_learn_dup2(const posix_spawn_file_actions_t *list, int fd, int new_fd)
{
    const struct spawn_action *last = last_of(list);
    learn_if(list, last && last->tag == DUP2 && last->of.dup2.fd == fd && last->of.dup2.new_fd == new_fd, 0);
}

void spawn_list_learn_fd(const posix_spawn_file_actions_t *list, int fd)
{
    const struct spawn_action *last = last_of(list);
    learn_if(list, last && (last->tag == CLOSE || last->tag == FCHDIR || last->tag == CLOSEFROM) && last->of.fd == fd, 0);
}

void spawn_list_learn_directory(const posix_spawn_file_actions_t *list, const char *path)
{
    const struct spawn_action *last = last_of(list);
    learn_if(list, last && last->tag == CHDIR && last->of.directory && !strcmp(last->of.directory, path), 0);
}

bool spawn_list_is_understood(const posix_spawn_file_actions_t *list)
{
    return understood & OPENS && !(understood & OTHERWISE) && (list->__used == 1 || understood & SEVERAL);
}

bool spawn_list_touches(const struct spawn_action *actions, int index, int fd)
{
    for (int i = 0; i < index; i++)
        switch (actions[i].tag) {
        case CLOSE:
        case OPEN:
            if (actions[i].of.fd == fd)
                return true;
            break;
        case DUP2:
            if (actions[i].of.dup2.new_fd == fd)
                return true;
            break;
        case CLOSEFROM:
            if (actions[i].of.fd <= fd)
                return true;
            break;
        case CHDIR:
        case FCHDIR:
        case TCSETPGRP:
            break;
        }
    return false;
}

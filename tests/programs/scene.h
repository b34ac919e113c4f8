/*
 * What the programs of scenes share: `PROGRAM SCENE TARGET` plays one. Exit status 0: it went through; 1: a call in it failed,
 * and stderr says which; 2: there is no such scene.
 */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *target;

#define must(condition)                                                                                                            \
    do {                                                                                                                           \
        if (!(condition)) {                                                                                                        \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                                           \
            exit(1);                                                                                                               \
        }                                                                                                                          \
    } while (0)

struct scene {
    const char *name;
    void (*play)(void);
};

#define SCENE(name)                                                                                                                \
    {                                                                                                                              \
#name, name                                                                                                                \
    }

static inline int play(const struct scene *scenes, size_t count, int argc, char **argv)
{
    if (argc != 3)
        return 2;
    target = argv[2];
    for (size_t i = 0; i < count; i++)
        if (!strcmp(scenes[i].name, argv[1])) {
            scenes[i].play();
            return 0;
        }
    return 2;
}

#endif

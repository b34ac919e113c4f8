/*
 * What the benchmark programs have in common. Each prints its samples, one a line:
 *
 *     ROW CONTESTANT VALUE
 *
 * `summary` makes medians, ratios and tables of them; figures.def says which. Contestants are always interleaved, A B A B, so
 * that whatever else the machine does meets all of them alike.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define SHIM "LD_PRELOAD=" BUILD_DIR "/libetxtbsy.so"
#define EMPTY_LIBRARY "LD_PRELOAD=" BUILD_DIR "/bench/empty.so"
#define LEAST_LIBRARY "LD_PRELOAD=" BUILD_DIR "/bench/least.so"
#define JUMP_LIBRARY "LD_PRELOAD=" BUILD_DIR "/bench/jump.so"
#define SWAP_LIBRARY "LD_PRELOAD=" BUILD_DIR "/bench/swap.so"
#define ASKED_LIBRARY "LD_PRELOAD=" BUILD_DIR "/bench/asked.so"
#define TINY BUILD_DIR "/bench/tiny"

#define must(condition)                                                                                                            \
    do {                                                                                                                           \
        if (!(condition)) {                                                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));                                   \
            exit(1);                                                                                                               \
        }                                                                                                                          \
    } while (0)

static inline double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static inline void sample(const char *row, const char *contestant, double value)
{
    printf("%s %s %.3f\n", row, contestant, value);
    fflush(stdout);
}

/* A few words, and behind them this process's environment: of a variable that is given twice the first counts. */
static inline char **environment_with(char *const *more)
{
    static char *words[1024];
    size_t count = 0;
    for (; more && *more; more++)
        words[count++] = *more;
    for (char **entry = environ; *entry && count < 1000; entry++)
        words[count++] = *entry;
    words[count] = NULL;
    return words;
}

/* The program is running when this returns: a spawn is a vfork, which ends with the exec. */
static inline pid_t start(char *const *argv, char *const *more)
{
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environment_with(more));
    if (error) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(error));
        exit(1);
    }
    return pid;
}

static inline int finish(pid_t pid)
{
    int status;
    must(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    finish(pid);
}

/* A program of `size` bytes that waits to be killed: the tiny one, and behind it as many bytes as are missing, each version's own.
 */
static inline void make_program(const char *path, size_t size, unsigned version)
{
    static char block[1 << 20];
    int from = open(TINY, O_RDONLY | O_CLOEXEC), to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    must(from >= 0 && to >= 0);
    ssize_t length = read(from, block, sizeof block);
    must(length > 0 && write(to, block, (size_t)length) == length && close(from) == 0);
    srandom(version);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)random();
    for (size_t left = size - (size_t)length; left;) {
        size_t part = left < sizeof block ? left : sizeof block;
        must(write(to, block, part) == (ssize_t)part);
        left -= part;
    }
    must(close(to) == 0);
}

#endif

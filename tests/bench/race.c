/*
 * The fork race: threads that write a program, close it, and start it at once. A child that another thread forks meanwhile
 * inherits the descriptor, and has it until its own exec, close-on-exec or not.
 *
 *     race ROUNDS CONTESTANT      prints each start's microseconds, and how many of ten thousand failed
 */
#include <pthread.h>

#include "bench.h"

#define THREADS 8

static char program[1 << 20];
static size_t length;
static int rounds;
static double *taken; /* negative: ETXTBSY */

static void *write_close_exec(void *number)
{
    char path[200];
    snprintf(path, sizeof path, "race.%ld", (long)number);
    char *const argv[] = { path, NULL };
    for (int round = 0; round < rounds; round++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        must(fd >= 0 && write(fd, program, length) == (ssize_t)length && close(fd) == 0);
        double begun = now_us();
        pid_t pid = fork();
        if (pid == 0) {
            execv(path, argv);
            _exit(errno == ETXTBSY ? 26 : 1);
        }
        int status = finish(pid);
        must(status == 0 || status == 26);
        taken[(long)number * rounds + round] = status ? -1 : now_us() - begun;
        must(unlink(path) == 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    must(argc == 3);
    pthread_t threads[THREADS];
    int in = open(TINY, O_RDONLY | O_CLOEXEC), failed = 0;
    length = (size_t)read(in, program, sizeof program);
    must(length > 0 && close(in) == 0);
    rounds = atoi(argv[1]) / THREADS;
    taken = calloc((size_t)rounds * THREADS, sizeof *taken);
    must(taken);
    for (long i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, write_close_exec, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < rounds * THREADS; i++)
        if (taken[i] < 0)
            failed++;
        else
            sample("race", argv[2], taken[i] / 1e3);
    sample("race-failed", argv[2], failed * 1e4 / (rounds * THREADS));
    return 0;
}

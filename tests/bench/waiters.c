/*
 * CPU time that so many waiters take together, in percent of one core, while one file is held open for writing:
 *
 *     waiters COUNT SECONDS CONTESTANT [STRATEGY]
 *
 * Each waiter is a program of its own that starts the file: under the library, or by a strategy of `release`. What it takes to get
 * there, and the start itself, isn't counted.
 */
#include "bench.h"

static double cpu_us(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    must(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    must(argc == 4 || argc == 5);
    const char *strategy = argc == 5 ? argv[4] : "shim";
    int count = atoi(argv[1]), ready[2];
    char path[] = "held.by-all", row[100], byte;
    char *const waiter[] = { (char *)BUILD_DIR "/bench/release", (char *)"wait", (char *)strategy, path, NULL };
    char *more[] = { argc == 5 ? NULL : (char *)SHIM, NULL };
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    double *before = calloc((size_t)count, sizeof *before), used = 0;
    must(pids && before);

    unlink(path);
    make_program(path, 30000, 1);
    int writer = open(path, O_WRONLY | O_CLOEXEC);
    must(writer >= 0 && pipe2(ready, O_CLOEXEC) == 0);
    for (int i = 0; i < count; i++) {
        char **environment = environment_with(more);
        pids[i] = fork();
        if (pids[i] == 0) {
            dup3(ready[1], 1, 0);
            execve(waiter[0], waiter, environment);
            _exit(127);
        }
        must(pids[i] > 0 && read(ready[0], &byte, 1) == 1);
    }
    double begun = now_us();
    for (int i = 0; i < count; i++)
        before[i] = cpu_us(pids[i]);
    sleep((unsigned)atoi(argv[2]));
    for (int i = 0; i < count; i++)
        used += cpu_us(pids[i]) - before[i];
    snprintf(row, sizeof row, "waiters-%d", count);
    sample(row, argv[3], used / (now_us() - begun) * 100);

    close(writer);
    for (int i = 0; i < count; i++)
        must(finish(pids[i]) == 0);
    must(unlink(path) == 0);
    return 0;
}

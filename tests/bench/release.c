/*
 * A program is started while somebody writes to it: from the writer's close to the start's success, milliseconds.
 *
 *     release HOLD_MS ROUNDS STRATEGY...
 *     release wait STRATEGY PATH          the waiter itself
 *
 * "shim" is one execv under the library; the others are what programs do by hand. `inotify` is told by the kernel, and leaves its
 * descriptor open to the new program, for closing it would cost 8 ms: no library could do that. `ladder` makes the library's
 * pauses, and does nothing else.
 */
#include <poll.h>
#include <sys/inotify.h>

#include "bench.h"

static void rest_ms(double ms)
{
    struct timespec time = { (time_t)(ms / 1e3), (long)(ms * 1e6) % 1000000000 };
    nanosleep(&time, NULL);
}

/*
 * The library's: a 16th of the wait so far, of what is beyond 25 ms a 32nd, at most 13 ms in the first second, then a 16th of what
 * is beyond that, up to 200 ms.
 */
static double ladder_ms(double waited_ms)
{
    double pause = waited_ms < 25 ? waited_ms / 16 : (waited_ms + 25) / 32;
    double beyond = (waited_ms - 1000) / 16, most = beyond < 13 ? 13 : beyond < 200 ? beyond : 200;
    pause = pause < 0.1 ? 0.1 : pause < most ? pause : most;
    return pause * (1 - (double)(random() % 1000) / 3000);
}

/* What is to be done after so many failures, in so many milliseconds. */
static void rest_after(const char *strategy, int failures, double waited_ms, int watch)
{
    char event[4096];
    double doubling = failures < 20 ? 1 << (failures - 1) : 1 << 20;
    if (!strcmp(strategy, "100ms-doubling"))
        rest_ms(100 * doubling);
    else if (!strcmp(strategy, "1ms-doubling"))
        rest_ms(doubling < 64 ? doubling : 64);
    else if (!strcmp(strategy, "10ms-fixed"))
        rest_ms(10);
    else if (!strcmp(strategy, "ladder"))
        rest_ms(ladder_ms(waited_ms));
    else if (!strcmp(strategy, "inotify")) {
        /* The event comes a moment before the kernel lets go; and one may come before the watch. */
        struct pollfd poll_for = { .fd = watch, .events = POLLIN };
        if (failures > 1 && poll(&poll_for, 1, failures > 2 ? 1 : 10000) == 1)
            must(read(watch, event, sizeof event) > 0);
    } else {
        fprintf(stderr, "release: no strategy %s\n", strategy);
        exit(1);
    }
}

static void wait_by(const char *strategy, char *path)
{
    char *const program[] = { path, NULL };
    int watch = -1;
    if (!strcmp(strategy, "inotify")) {
        watch = inotify_init1(0);
        must(watch >= 0 && inotify_add_watch(watch, path, IN_CLOSE_WRITE) >= 0);
    }
    srandom((unsigned)getpid());
    must(write(1, "x", 1) == 1);
    double begun = now_us();
    for (int failures = 1;; failures++) {
        execv(path, program);
        must(errno == ETXTBSY && strcmp(strategy, "shim"));
        rest_after(strategy, failures, (now_us() - begun) / 1e3, watch);
    }
}

static double release_ms(const char *strategy, double hold_ms)
{
    char path[200], byte, *argv[] = { (char *)BUILD_DIR "/bench/release", (char *)"wait", (char *)strategy, path, NULL };
    char *more[] = { !strcmp(strategy, "shim") ? (char *)SHIM : NULL, NULL };
    snprintf(path, sizeof path, "held.%d", getpid());
    unlink(path);
    make_program(path, 30000, 1);

    /* The waiter's output is a pipe that closes when its exec succeeds. */
    int started[2], writer = open(path, O_WRONLY | O_CLOEXEC);
    must(writer >= 0 && pipe2(started, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup3(started[1], 1, 0);
        execve(argv[0], argv, environment_with(more));
        _exit(127);
    }
    close(started[1]);
    must(read(started[0], &byte, 1) == 1);
    rest_ms(hold_ms * (0.75 + (double)(random() % 1000) / 2000)); /* not in step with anybody's pauses */
    double released = now_us();
    close(writer);
    must(read(started[0], &byte, 1) == 0);
    double taken = now_us() - released;
    close(started[0]);
    must(finish(pid) == 0 && unlink(path) == 0);
    return taken / 1e3;
}

int main(int argc, char **argv)
{
    char row[100];
    must(argc > 3);
    if (!strcmp(argv[1], "wait")) {
        must(fcntl(1, F_SETFD, FD_CLOEXEC) == 0);
        wait_by(argv[2], argv[3]);
    }
    srandom((unsigned)getpid());
    snprintf(row, sizeof row, "release-%s", argv[1]);
    for (int round = 0; round < atoi(argv[2]); round++)
        for (int i = 3; i < argc; i++)
            sample(row, argv[i], release_ms(argv[i], atof(argv[1])));
    return 0;
}

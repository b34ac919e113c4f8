/*
 * Ways to start a program that somebody has open for writing, each as a small scene:
 *
 *     starts SCENE TARGET
 *
 * TARGET is the program. What a scene finds goes to stdout. Exit status 0: all calls but the start itself went well.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"

extern char **environ;

static char *const *arguments(const char *word)
{
    static char *argv[3];
    argv[0] = (char *)target;
    argv[1] = (char *)word;
    return argv;
}

static int spawn(void)
{
    pid_t pid;
    int error = posix_spawn(&pid, target, NULL, NULL, arguments("spawned"), environ);
    while (error == 0 && waitpid(pid, NULL, 0) != pid)
        must(errno == EINTR);
    return error;
}

static void held_by_itself(void)
{
    int fd = fcntl(open(target, O_WRONLY), F_DUPFD, 42);
    must(fd == 42);
    must(close(3) == 0);
    execv(target, arguments("never"));
    printf("%s\n", strerror(errno));
}

static void *close_late(void *fd)
{
    usleep(50000);
    must(close(*(int *)fd) == 0);
    return NULL;
}

static void held_by_another_thread(void)
{
    int fd = open(target, O_WRONLY | O_CLOEXEC);
    pthread_t thread;
    must(fd >= 0 && pthread_create(&thread, NULL, close_late, &fd) == 0);
    printf("%s\n", strerror(spawn()));
    pthread_join(thread, NULL);
}

static void in_a_vfork_child(void)
{
    int error = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        execv(target, arguments("vforked"));
        error = errno; /* in the parent's memory */
        _exit(0);
    }
    must(waitpid(pid, NULL, 0) == pid);
    printf("%s\n", strerror(error));
}

#ifndef AT_EXECVE_CHECK /* linux/fcntl.h, 6.14 */
#define AT_EXECVE_CHECK 0x10000
#endif

static void say_checked(const char *path, const char *by, long result)
{
    const char *what = path == target ? "the target" : path;
    printf("%s by %s: %ld, %s\n", what, by, result, strerror(errno));
}

/* Nothing starts, and errno is looked at as it was before: an ETXTBSY of an earlier call isn't an answer. */
static void only_checked(void)
{
    const char *const paths[] = { "/bin/true", "/nowhere", target };
    for (int i = 0; i < 3; i++) {
#if __GLIBC_PREREQ(2, 34)
        errno = ETXTBSY;
        say_checked(paths[i], "execveat", execveat(AT_FDCWD, paths[i], arguments("never"), environ, AT_EXECVE_CHECK));
#endif
        errno = ETXTBSY;
        say_checked(paths[i], "syscall", syscall(SYS_execveat, AT_FDCWD, paths[i], arguments("never"), environ, AT_EXECVE_CHECK));
    }
}

/* Which the kernel looks at when it has found the file busy or not. */
static void with_a_bad_environment(void)
{
    char **volatile bad = (char **)8;
    execve(target, arguments("never"), bad);
    printf("%s\n", strerror(errno));
}

/* What a search along PATH does, at its plainest. */
static void in_a_row(void)
{
    execv("/nowhere/first", arguments("never"));
    execv("/nowhere/second", arguments("never"));
    execv("/nowhere/third", arguments("never"));
    printf("%s\n", strerror(errno));
}

static volatile sig_atomic_t ticks;

static void tick(int number)
{
    (void)number;
    ticks++;
}

static void among_signals(void)
{
    struct sigaction action = { .sa_handler = tick }; /* no SA_RESTART */
    struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
    must(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
    int error = spawn();
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%s, %s\n", strerror(error), ticks > 5 ? "handlers ran" : "no handlers");
}

/* What a destructor is to a program in C++: the unwinder has to get through the library's frames to it. */
static int cleaned;

static void clean(const int *nothing)
{
    (void)nothing;
    cleaned++;
}

static void *spawn_in_thread(void *nothing)
{
    int destroyed __attribute__((cleanup(clean))) = 0;
    (void)nothing;
    spawn();
    return NULL;
}

static void *open_in_thread(void *fifo)
{
    int destroyed __attribute__((cleanup(clean))) = 0;
    open(fifo, O_WRONLY); /* waits for a reader */
    return NULL;
}

static void cancel(void *(*work)(void *), const char *path)
{
    pthread_t thread;
    void *result;
    cleaned = 0;
    must(pthread_create(&thread, NULL, work, (void *)path) == 0);
    usleep(100000);
    must(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    printf("%s, %s\n", result == PTHREAD_CANCELED ? "cancelled" : "not cancelled", cleaned == 1 ? "cleaned up" : "not cleaned up");
}

static void cancelled(void)
{
    char fifo[PATH_MAX];
    must((unsigned)snprintf(fifo, sizeof fifo, "%s.fifo", target) < sizeof fifo && mkfifo(fifo, 0600) == 0);
    cancel(spawn_in_thread, NULL);
    cancel(open_in_thread, fifo);
}

static void killed(void)
{
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        execv(target, arguments("never"));
        _exit(0);
    }
    usleep(100000);
    must(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
    printf("%s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? "killed" : "not killed");
}

static void io_uring(void)
{
    struct io_uring_params parameters;
    memset(&parameters, 0, sizeof parameters);
    long fd = syscall(SYS_io_uring_setup, 1, &parameters);
    printf("%s\n", fd >= 0 ? "a ring" : strerror(errno));
}

/* Write, close, exec, while others fork: their children have the descriptor until their own exec (the fork race). */
static int failures;

static void *write_and_start(void *number)
{
    char path[4096], content[200000];
    int in = open(target, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(in, content, sizeof content);
    close(in);
    for (int round = 0; round < 100; round++) {
        snprintf(path, sizeof path, "%s.%ld.%d", target, (long)number, round);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        must(fd >= 0 && write(fd, content, (size_t)length) == length && close(fd) == 0);
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            char *const argv[] = { path, "x", NULL };
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
            execv(path, argv);
            _exit(errno == ETXTBSY ? 26 : 1);
        }
        must(waitpid(pid, &status, 0) == pid);
        must(unlink(path) == 0);
        if (status)
            __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void race(void)
{
    pthread_t threads[8];
    for (long i = 0; i < 8; i++)
        must(pthread_create(&threads[i], NULL, write_and_start, (void *)i) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    printf("%d failures\n", failures);
}

/* Many threads let go of stages of their own while one starts programs: each must be in place when its close returns. */
static void *redirect_and_read(void *number)
{
    char path[4096], text[64], content[64];
    snprintf(path, sizeof path, "%s.%ld", target, (long)number);
    pid_t pid = 0;
    char *const argv[] = { path, NULL };
    for (int round = 0; round < 25; round++) {
        unlink(path);
        must(link(target, path) == 0 && unlink(path) == 0);
        char command[9000];
        snprintf(command, sizeof command, "cp %s %s", target, path);
        must(system(command) == 0);
        must(posix_spawn(&pid, path, NULL, NULL, argv, environ) == 0);
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        int length = snprintf(text, sizeof text, "%ld %d\n", (long)number, round);
        must(fd >= 0 && copy >= 0 && write(fd, text, (size_t)length) == length && close(fd) == 0 && close(copy) == 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = read(fd, content, sizeof content);
        if (got != length || memcmp(content, text, (size_t)length))
            __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
        close(fd);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        unlink(path);
    }
    return NULL;
}

static void redirect_storm(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, redirect_and_read, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("%d failures\n", failures);
}

static long pages_in_use(void)
{
    long pages;
    FILE *statm = fopen("/proc/self/statm", "r");
    must(statm && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    return pages;
}

/* A long-lived process must not grow with each busy exec of its vfork children. */
static void vfork_memory(void)
{
    long pages[2] = { 0 };
    for (int round = 0; round < 40; round++) {
        int pipe[2];
        must(pipe2(pipe, O_CLOEXEC) == 0);
        pid_t holder = fork();
        if (holder == 0) {
            char byte = 0;
            int fd = open(target, O_WRONLY);
            must(fd >= 0 && write(pipe[1], &byte, 1) == 1);
            usleep(2000);
            _exit(0);
        }
        char byte;
        must(read(pipe[0], &byte, 1) == 1);
        pid_t pid = vfork();
        if (pid == 0) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
            execv(target, (char *const[]){ (char *)target, (char *)"x", NULL });
            _exit(1);
        }
        waitpid(pid, NULL, 0);
        waitpid(holder, NULL, 0);
        close(pipe[0]);
        close(pipe[1]);
        if (round == 4 || round == 39)
            pages[round == 39] = pages_in_use();
    }
    /* Some jump out before there is anything to be noted; each would leave 80 pages. */
    printf("%s\n", pages[1] <= pages[0] + 10 * 80 ? "no growth" : "grows");
}

static sigjmp_buf out;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

/* Out of waits, which don't end otherwise, in two ways to start the target. */
static void jumps_out(void)
{
    struct itimerval soon = { { 0, 0 }, { 0, 10000 } };
    volatile long pages[2] = { 0 };
    must(signal(SIGALRM, jump_out) != SIG_ERR);
    for (volatile int round = 0; round < 40; round++) {
        if (!sigsetjmp(out, 1)) {
            must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
            if (round % 2)
                execv(target, arguments("never"));
            else
                spawn();
            printf("came back: %s\n", strerror(errno));
        }
        if (round == 4 || round == 39)
            pages[round == 39] = pages_in_use();
    }
    /* Some jump out before there is anything to be noted; each would leave 80 pages. */
    printf("%s\n", pages[1] <= pages[0] + 10 * 80 ? "no growth" : "grows");
}

static const struct scene scenes[] = {
    SCENE(held_by_itself),   SCENE(held_by_another_thread),
    SCENE(in_a_vfork_child), SCENE(among_signals),
    SCENE(cancelled),        SCENE(killed),
    SCENE(io_uring),         SCENE(race),
    SCENE(redirect_storm),   SCENE(vfork_memory),
    SCENE(jumps_out),        SCENE(in_a_row),
    SCENE(only_checked),     SCENE(with_a_bad_environment),
};

int main(int argc, char **argv)
{
    return play(scenes, sizeof scenes / sizeof *scenes, argc, argv);
}

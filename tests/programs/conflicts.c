/*
 * A storm of conflicts, so that there is a log to read that nobody wrote by hand:
 *
 *     LD_PRELOAD=libetxtbsy.so ETXTBSY_LOG=/path/log conflicts TARGET DIRECTORY COUNT
 *
 * Meets ETXTBSY about COUNT times, in every way that a program can, on copies of TARGET (tests/programs/target.c) in
 * DIRECTORY, which has to be there. Bounded: each conflict waits for 2 ms at most. Exit status 0: all calls ended as they should.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES 24

extern char **environ;

#define must(condition)                                                                                                            \
    do {                                                                                                                           \
        if (!(condition)) {                                                                                                        \
            fprintf(stderr, "conflicts: line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                                \
            exit(1);                                                                                                               \
        }                                                                                                                          \
    } while (0)

static char content[1 << 20];
static size_t content_length;
static const char *directory;

struct file {
    char path[PATH_MAX];
    pid_t runs;
};

static void write_content(const char *path, size_t more)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    must(fd >= 0);
    must(write(fd, content, content_length + more) == (ssize_t)(content_length + more));
    must(close(fd) == 0);
}

static pid_t start(const char *path, const char *argument)
{
    pid_t pid;
    char *const argv[] = { (char *)path, (char *)argument, NULL };
    int error = posix_spawn(&pid, path, NULL, NULL, argv, environ);
    errno = error;
    return error ? -1 : pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    must(waitpid(pid, NULL, 0) == pid);
}

static void make(struct file *file, const char *kind, int number)
{
    snprintf(file->path, sizeof file->path, "%s/%s-%d", directory, kind, number);
    write_content(file->path, 0);
    file->runs = -1;
}

/* A running program is written again with what it has. */
static void rewrite(struct file *file)
{
    if (file->runs < 0)
        must((file->runs = start(file->path, NULL)) > 0);
    write_content(file->path, 0);
}

/* A running program gets a successor of another length; the old one ends, the next one starts. */
static void replace(struct file *file, int round)
{
    if (file->runs < 0)
        must((file->runs = start(file->path, NULL)) > 0);
    write_content(file->path, 1 + (size_t)round % 2);
    end(file->runs);
    must((file->runs = start(file->path, NULL)) > 0);
}

static void shorten(struct file *file, int round)
{
    if (file->runs < 0)
        must((file->runs = start(file->path, NULL)) > 0);
    must(truncate(file->path, (off_t)content_length + 1 + round % 2) == 0);
    end(file->runs);
    must((file->runs = start(file->path, NULL)) > 0);
}

/* A file with two names isn't replaced: the writer is refused. */
static void be_refused(struct file *file)
{
    if (file->runs < 0) {
        char other[PATH_MAX + 8];
        snprintf(other, sizeof other, "%s.too", file->path);
        must(link(file->path, other) == 0);
        must((file->runs = start(file->path, NULL)) > 0);
    }
    must(open(file->path, O_WRONLY) < 0 && errno == ETXTBSY);
}

/* The program is open for writing in a process that ends soon, or never. */
static pid_t hold(const char *path, useconds_t us)
{
    int ready[2];
    char byte;
    must(pipe2(ready, O_CLOEXEC) == 0);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        if (open(path, O_WRONLY | O_CLOEXEC) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        us ? usleep(us) : pause();
        _exit(0);
    }
    close(ready[1]);
    must(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return pid;
}

static void wait_to_start(struct file *file, int round)
{
    pid_t holder = hold(file->path, 50 + 100 * (useconds_t)(round % 8));
    pid_t pid = start(file->path, "started"); /* may come too early for its bound */
    must(pid > 0 || errno == ETXTBSY);
    must(waitpid(holder, NULL, 0) == holder);
    must(pid < 0 || waitpid(pid, NULL, 0) == pid);
}

static void give_up_starting(struct file *file)
{
    if (file->runs < 0)
        file->runs = hold(file->path, 0);
    must(start(file->path, "never") < 0 && errno == ETXTBSY);
}

static void be_self_held(struct file *file)
{
    int fd = open(file->path, O_WRONLY | O_CLOEXEC);
    must(fd >= 0 && start(file->path, "never") < 0 && errno == ETXTBSY && close(fd) == 0);
}

int main(int argc, char **argv)
{
    static struct file files[7][FILES];
    static const char *const kinds[] = { "rewritten", "replaced", "shortened", "refused", "awaited", "given-up", "self-held" };
    if (argc != 4) {
        fputs("usage: conflicts TARGET DIRECTORY COUNT\n", stderr);
        return 2;
    }
    directory = argv[2];
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC), count = atoi(argv[3]);
    ssize_t length = fd < 0 ? -1 : read(fd, content, sizeof content - 2);
    must(length > 0);
    content_length = (size_t)length;
    close(fd);
    setenv("ETXTBSY_MAX_WAIT", "2ms", 1);
    setenv("ETXTBSY_SYNC", "none", 0);
    if (!getenv("CONFLICTS")) { /* the library keeps the variables that a program was started with */
        char self[PATH_MAX] = "";
        setenv("CONFLICTS", "1", 1);
        must(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
        execv(self, argv);
    }
    must(freopen("/dev/null", "w", stdout));

    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int number = 0; number < FILES; number++)
            make(&files[kind][number], kinds[kind], number);
    for (int i = 0; i < count; i++) {
        int round = i / 100, number = round % FILES, of_hundred = i % 100;
        if (of_hundred < 70)
            rewrite(&files[0][number]);
        else if (of_hundred < 72)
            replace(&files[1][number], i);
        else if (of_hundred < 73)
            shorten(&files[2][number], i);
        else if (of_hundred < 80)
            be_refused(&files[3][number]);
        else if (of_hundred < 90)
            wait_to_start(&files[4][number], i);
        else if (of_hundred < 94)
            give_up_starting(&files[5][number]);
        else
            be_self_held(&files[6][number]);
    }
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int number = 0; number < FILES; number++)
            if (files[kind][number].runs > 0)
                end(files[kind][number].runs);
    return 0;
}

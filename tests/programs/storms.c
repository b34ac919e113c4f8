/*
 * Many threads, children and signals at once, each as a scene:
 *
 *     storms SCENE TARGET
 *
 * ROUNDS in the environment says for how long. The counts go to stdout. Exit status 0: nothing went wrong; 1: stderr says what.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"

extern char **environ;

static int rounds;
static atomic_bool over;
static atomic_int busy, started, written, late, forgotten, ticks;

/* Writes all of it; a signal may cut a write short nowhere but in a test that asks for it. */
static void put(int fd, const char *text)
{
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static bool holds(const char *path, const char *expected)
{
    char content[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, content, sizeof content - 1);
    if (fd >= 0)
        close(fd);
    content[length > 0 ? length : 0] = '\0';
    return !strcmp(content, expected);
}

static int status_of(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        must(errno == EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int descriptors(void)
{
    int count = 0;
    DIR *own = opendir("/proc/self/fd");
    must(own);
    while (readdir(own))
        count++;
    closedir(own);
    return count;
}

static void begin(pthread_t *threads, long count, void *(*body)(void *))
{
    for (long i = 0; i < count; i++)
        must(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
}

static void end(const pthread_t *threads, long count)
{
    for (long i = 0; i < count; i++)
        must(pthread_join(threads[i], NULL) == 0);
}

/* ---- starting programs ---- */

enum way { FORK, VFORK, SPAWN, WAYS };

/* Starts a program and waits for its end. Returns an errno, or 0. */
static int start(const char *path, enum way way)
{
    char *const argv[] = { (char *)path, (char *)"x", NULL };
    volatile int error = 0;
    pid_t pid;
    atomic_fetch_add(&started, 1);
    if (way == SPAWN) {
        error = posix_spawn(&pid, path, NULL, NULL, argv, environ);
        return error ? error : status_of(pid);
    }
    pid = way == FORK ? fork() : vfork();
    if (pid == 0) {
        execv(path, argv);
        _exit(errno);
    }
    return status_of(pid);
}

static void *start_others(void *number)
{
    for (long way = (long)number; !over; way++)
        must(start("/bin/true", (enum way)(way % WAYS)) == 0);
    return NULL;
}

/* ---- 64 threads that write a program and start it at once, while others fork ---- */

#define WRITERS 64

static char program[200000];
static ssize_t program_length;

static void *write_and_start(void *number)
{
    char path[4096];
    for (int round = 0; round < rounds / WRITERS; round++) {
        snprintf(path, sizeof path, "%s.%ld.%d", target, (long)number, round);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        must(fd >= 0 && write(fd, program, (size_t)program_length) == program_length);
        errno = 4711;
        must(close(fd) == 0 && errno == 4711);
        int error = start(path, (enum way)(((long)number + round) % WAYS));
        if (error == ETXTBSY)
            atomic_fetch_add(&busy, 1);
        else
            must(error == 0);
        must(unlink(path) == 0);
        atomic_fetch_add(&written, 1);
    }
    return NULL;
}

static void fresh_programs(void)
{
    pthread_t writers[WRITERS], others[6];
    int before = descriptors(), in = open(target, O_RDONLY | O_CLOEXEC);
    program_length = read(in, program, sizeof program);
    must(program_length > 0 && close(in) == 0);
    begin(others, 6, start_others);
    begin(writers, WRITERS, write_and_start);
    end(writers, WRITERS);
    over = true;
    end(others, 6);
    must(descriptors() == before);
    printf("%d programs written and started, %d others: %d busy\n", written, started - written, busy);
    must(busy == 0);
}

/* ---- one stage, let go of in four threads, while others vfork: whoever is last finishes it, or says who else has it ---- */

static off_t log_length(void)
{
    struct stat file;
    const char *log = getenv("ETXTBSY_LOG");
    return log && stat(log, &file) == 0 ? file.st_size : 0;
}

static bool log_has(const char *word, off_t from)
{
    static char lines[1 << 16];
    const char *log = getenv("ETXTBSY_LOG");
    int fd = log ? open(log, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t length = fd < 0 ? -1 : pread(fd, lines, sizeof lines - 1, from);
    if (fd >= 0)
        close(fd);
    lines[length > 0 ? length : 0] = '\0';
    return strstr(lines, word);
}

static int copies[4];
static pthread_barrier_t ready;

static void *close_copy(void *number)
{
    pthread_barrier_wait(&ready);
    must(close(copies[(long)number]) == 0);
    return NULL;
}

static void *vfork_others(void *number)
{
    (void)number;
    while (!over)
        must(start("/bin/true", VFORK) == 0);
    return NULL;
}

static void copies_closed_at_once(void)
{
    pthread_t closers[4], others[2];
    char text[64];
    int before = descriptors();
    begin(others, 2, vfork_others);
    for (int round = 0; round < rounds; round++) {
        int fd = open(target, O_WRONLY | O_TRUNC | O_CLOEXEC);
        off_t said = log_length();
        must(fd >= 0);
        for (int i = 0; i < 4; i++)
            must((copies[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0);
        snprintf(text, sizeof text, "round %d", round);
        put(fd, text);
        must(close(fd) == 0);
        pthread_barrier_init(&ready, NULL, 4);
        begin(closers, 4, close_copy);
        end(closers, 4);
        pthread_barrier_destroy(&ready);
        if (holds(target, text))
            written++;
        else if (log_has("\"pending\"", said))
            late++;
        else
            forgotten++;
        while (!holds(target, text)) /* a child finishes it */
            usleep(1000);
    }
    over = true;
    end(others, 2);
    must(descriptors() == before);
    printf("%d in place at the last close, %d said to be pending, %d forgotten\n", written, late, forgotten);
    must(forgotten == 0);
}

/* ---- writers beside children of every kind, forked in every state ---- */

#define FILES 4

static void *write_files(void *number)
{
    char path[4096], text[64];
    snprintf(path, sizeof path, "%s.%ld", target, (long)number);
    for (int round = 0; round < rounds; round++) {
        snprintf(text, sizeof text, "file %ld round %d", (long)number, round);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | (round % 2 ? O_CLOEXEC : 0), 0755);
        must(fd >= 0);
        int copy = dup(fd);
        must(copy >= 0);
        put(fd, text);
        errno = 4711;
        must(close(fd) == 0 && errno == 4711);
        must(dup2(2, copy) == copy && errno == 4711);
        must(close(copy) == 0);
        for (int tries = 0; !holds(path, text); tries++) { /* a child may have it still */
            must(tries < 20000);
            usleep(1000);
        }
        written++;
    }
    return NULL;
}

/* Children that end in every way, some of which have descriptors of half-written files. */
static void *fork_in_every_way(void *number)
{
    for (long way = (long)number; !over; way++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (way % 5 == 0)
                execl("/bin/true", "true", (char *)NULL);
            if (way % 5 == 1)
                usleep(3000);
            if (way % 5 == 2)
                for (int fd = 3; fd < 64; fd++)
                    close(fd);
            if (way % 5 == 3)
                close_range(3, ~0U, 0);
            _exit(0);
        }
        must(status_of(pid) == 0);
        started++;
    }
    return NULL;
}

static void forks_in_every_state(void)
{
    pthread_t writers[FILES], others[2];
    int before = descriptors();
    begin(others, 2, fork_in_every_way);
    begin(writers, FILES, write_files);
    end(writers, FILES);
    over = true;
    end(others, 2);
    must(descriptors() == before);
    printf("%d files beside %d children\n", written, started);
}

/* vfork children that open, dup, close and exec; what they write is theirs alone. */
static void *vfork_and_write(void *number)
{
    char path[4096], text[64];
    snprintf(path, sizeof path, "%s.%ld", target, (long)number);
    for (int round = 0; round < rounds; round++) {
        snprintf(text, sizeof text, "%ld-%d", (long)number, round);
        pid_t pid = vfork();
        if (pid == 0) {
            int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755), copy = dup(fd);
            close(fd);
            if (fd < 0 || dup2(copy, 1) != 1 || close(copy) < 0)
                _exit(1);
            execl("/bin/echo", "echo", "-n", text, (char *)NULL);
            _exit(2);
        }
        must(status_of(pid) == 0);
        for (int tries = 0; !holds(path, text); tries++) { /* another child may have it still */
            must(tries < 20000);
            usleep(1000);
        }
        written++;
    }
    return NULL;
}

static void vfork_children_write(void)
{
    pthread_t writers[FILES], others[2];
    int before = descriptors();
    begin(others, 2, start_others);
    begin(writers, FILES, vfork_and_write);
    end(writers, FILES);
    over = true;
    end(others, 2);
    must(descriptors() == before);
    printf("%d files beside %d children\n", written, started);
}

/* ---- signals a thousand times a second, whose handlers write files as well ---- */

static char handlers_file[4096];

static void write_in_handler(int number)
{
    (void)number;
    int saved = errno;
    if (++ticks % 8 == 0) {
        int fd = open(handlers_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), copy = dup(fd);
        if (fd < 0 || write(fd, "handler", 7) != 7 || close(fd) < 0 || close(copy) < 0)
            _exit(3);
    }
    errno = saved;
}

static void write_among_signals(int flags)
{
    struct sigaction action = { .sa_handler = write_in_handler, .sa_flags = flags };
    struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
    pthread_t writer;
    must(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
    begin(&writer, 1, write_files);
    end(&writer, 1);
    setitimer(ITIMER_REAL, &never, NULL);
    must(holds(handlers_file, "handler"));
}

static void among_signals(void)
{
    int before = descriptors();
    snprintf(handlers_file, sizeof handlers_file, "%s.handler", target);
    write_among_signals(SA_RESTART);
    write_among_signals(0);
    must(descriptors() == before);
    printf("%d files beside %d signals\n", written, ticks);
}

/* ---- threads that are cancelled wherever they are ---- */

static void close_both(void *both)
{
    const int *fds = both;
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Cancelled in write and in close; a cancelled open may lose the descriptor that it has made (glibc before 2.41). */
static void *write_until_cancelled(void *path)
{
    int fds[2] = { -1, -1 };
    pthread_cleanup_push(close_both, fds);
    for (;;) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        fds[0] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        fds[1] = dup(fds[0]);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        if (fds[0] >= 0) {
            if (write(fds[0], "cancelled", 9) != 9)
                break;
            for (int i = 0; i < 2; i++) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_threads(void)
{
    char path[4096];
    int before = descriptors();
    snprintf(path, sizeof path, "%s.cancelled", target);
    for (int round = 0; round < rounds; round++) {
        pthread_t thread;
        void *result;
        must(pthread_create(&thread, NULL, write_until_cancelled, path) == 0);
        usleep((useconds_t)(round * 37 % 2000));
        must(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    put(fd, "the last one");
    must(close(fd) == 0 && holds(path, "the last one"));
    printf("%d threads, %d descriptors more than before\n", rounds, descriptors() - before);
    must(descriptors() == before);
}

/* ---- threads that are cancelled while they wait ---- */

static void *wait_until_cancelled(void *number)
{
    (void)number;
    int fd = open(target, O_WRONLY | O_CLOEXEC); /* it runs, and isn't to be redirected */
    must(fd < 0);
    return NULL;
}

static long mapped_kilobytes(void)
{
    char line[512];
    unsigned long from, to;
    long kilobytes = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    must(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &from, &to) == 2)
            kilobytes += (long)((to - from) / 1024);
    fclose(maps);
    return kilobytes;
}

static void cancel_waiters(int count)
{
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        void *result;
        must(pthread_create(&thread, NULL, wait_until_cancelled, (void *)i) == 0);
        usleep(5000);
        must(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        late++;
    }
}

static void cancelled_waiters(void)
{
    int before = descriptors();
    pid_t running = fork();
    if (running == 0) {
        execl(target, target, (char *)NULL);
        _exit(127);
    }
    usleep(200000);     /* its exec; whoever opens the file before that doesn't wait, and the scene says so */
    cancel_waiters(10); /* what libc and the threads need comes to be */
    long kilobytes = mapped_kilobytes();
    cancel_waiters(rounds);
    long more = mapped_kilobytes() - kilobytes;
    must(kill(running, SIGKILL) == 0 && status_of(running) == 128 + SIGKILL);
    printf("%d waits cancelled, %ld KiB more than before\n", late, more);
    must(more < 1024 && descriptors() == before);
}

static const struct scene scenes[] = {
    SCENE(fresh_programs), SCENE(copies_closed_at_once), SCENE(forks_in_every_state), SCENE(vfork_children_write),
    SCENE(among_signals),  SCENE(cancelled_threads),     SCENE(cancelled_waiters),
};

int main(int argc, char **argv)
{
    const char *given = getenv("ROUNDS");
    int results = fcntl(1, F_DUPFD_CLOEXEC, 100), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    rounds = given ? atoi(given) : 100;
    must(results >= 0 && null >= 0 && dup2(null, 1) == 1 && close(null) == 0); /* what is started has nothing to say */
    stdout = fdopen(results, "w");
    must(stdout);
    return play(scenes, sizeof scenes / sizeof *scenes, argc, argv);
}

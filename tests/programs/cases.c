/*
 * Things that programs do with a file that they write to, each as a small scene:
 *
 *     cases SCENE TARGET
 *
 * What a scene leaves in TARGET and prints must be the same on a busy file under the shim as on an idle one without. It may
 * print nothing that differs from run to run. Exit status 0: all calls went well; else stderr says which didn't.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <wchar.h>

#include "scene.h"

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif

extern char **environ;
int capset(void *, const void *); /* which has no header in libc */

static void put(int fd, const char *text)
{
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int open_new(int more)
{
    int fd = open(target, O_WRONLY | O_TRUNC | more);
    must(fd >= 0);
    return fd;
}

static void end_of(pid_t pid)
{
    int status;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* Goes on when the last one has closed the other end. */
static void until_closed(int end)
{
    char byte;
    must(read(end, &byte, 1) == 0);
}

/* A child that has what its parent has open, and goes on when that closes *go. */
static pid_t fork_to_wait(int *go)
{
    int ends[2];
    must(pipe(ends) == 0);
    pid_t pid = fork();
    *go = ends[1];
    close(ends[pid ? 0 : 1]);
    if (pid == 0)
        until_closed(ends[0]);
    return pid;
}

/* ---- ways to open ---- */

static void append(void)
{
    int fd = open(target, O_WRONLY | O_APPEND);
    must(fd >= 0);
    put(fd, "behind");
    must(lseek(fd, 0, SEEK_SET) == 0);
    put(fd, " behind");
    must(close(fd) == 0);
}

static void read_write(void)
{
    char first[4];
    int fd = open(target, O_RDWR);
    must(fd >= 0 && read(fd, first, 4) == 4 && !memcmp(first, "\177ELF", 4));
    put(fd, "changed");
    must(close(fd) == 0);
}

static void reader_truncates(void)
{
    int fd = open(target, O_RDONLY | O_TRUNC);
    must(fd >= 0 && close(fd) == 0);
}

static void flags_and_number(void)
{
    int fd = open(target, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    printf("number %d flags %x cloexec %d at %ld\n", fd, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD), (long)lseek(fd, 0, SEEK_CUR));
    must(close(0) == 0);
    int lowest = open(target, O_WRONLY | O_TRUNC);
    printf("number %d flags %x cloexec %d\n", lowest, fcntl(lowest, F_GETFL), fcntl(lowest, F_GETFD));
    put(lowest, "text");
    must(close(lowest) == 0 && close(fd) == 0);
}

static void relative_and_chdir(void)
{
    must(chdir("/") == 0 && chdir(strndup(target, (size_t)(strrchr(target, '/') - target))) == 0);
    int fd = open(strrchr(target, '/') + 1, O_WRONLY | O_TRUNC);
    must(fd >= 0 && chdir("/") == 0);
    put(fd, "relative");
    must(close(fd) == 0);
}

static void directory_descriptor(void)
{
    int dirfd = open(strndup(target, (size_t)(strrchr(target, '/') - target)), O_PATH | O_DIRECTORY);
    int fd = openat(dirfd, strrchr(target, '/') + 1, O_WRONLY | O_TRUNC);
    must(fd >= 0);
    put(fd, "by directory");
    must(close(fd) == 0);
}

static void symbolic_link(void)
{
    char link[4096];
    snprintf(link, sizeof link, "%s.link", target);
    must(symlink(target, link) == 0);
    int fd = open(link, O_WRONLY | O_TRUNC);
    must(fd >= 0);
    put(fd, "through a link");
    must(close(fd) == 0);
    int refused = open(link, O_WRONLY | O_NOFOLLOW);
    printf("%d %s\n", refused, strerror(errno));
}

static void two_opens(void)
{
    int one = open_new(0), two = open(target, O_WRONLY | O_APPEND);
    must(two >= 0);
    put(one, "one ");
    put(two, "two ");
    must(close(one) == 0);
    put(two, "more ");
    must(close(two) == 0);
}

/* Ends whoever runs the target, and returns when it is gone. */
static void end_its_program(void)
{
    struct stat file, running;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    must(proc && stat(target, &file) == 0);
    while ((entry = readdir(proc))) {
        char exe[300];
        snprintf(exe, sizeof exe, "/proc/%s/exe", entry->d_name);
        if (stat(exe, &running) < 0 || running.st_ino != file.st_ino || running.st_dev != file.st_dev)
            continue;
        must(kill(atoi(entry->d_name), SIGKILL) == 0);
        while (stat(exe, &running) == 0)
            usleep(1000);
    }
    closedir(proc);
}

/* By every kind of open: what they write is in the file that the first one has made. */
static void opened_again_when_nobody_runs_it(void)
{
    int one = open_new(0);
    put(one, "one and what is cut off");
    end_its_program();
    must(truncate(target, 4) == 0);
    int two = open(target, O_WRONLY | O_APPEND), three = (int)syscall(SYS_openat, AT_FDCWD, target, O_WRONLY | O_APPEND);
    FILE *four = fopen(target, "a");
    struct open_how how = { .flags = O_WRONLY | O_APPEND };
    int five = (int)syscall(SYS_openat2, AT_FDCWD, target, &how, sizeof how);
    must(two >= 0 && three >= 0 && four && five >= 0);
    put(two, "two ");
    put(three, "three ");
    must(fputs("four ", four) >= 0 && fclose(four) == 0);
    put(five, "five");
    must(close(one) == 0 && close(two) == 0 && close(three) == 0 && close(five) == 0);
}

#define WRITERS 8
static pthread_barrier_t all_have_opened;

static void run_writers(void *(*write_by)(void *number))
{
    pthread_t threads[WRITERS];
    must(pthread_barrier_init(&all_have_opened, NULL, WRITERS) == 0);
    for (intptr_t i = 0; i < WRITERS; i++)
        must(pthread_create(&threads[i], NULL, write_by, (void *)i) == 0);
    for (int i = 0; i < WRITERS; i++)
        must(pthread_join(threads[i], NULL) == 0);
}

static void *write_one_byte(void *number)
{
    pthread_barrier_wait(&all_have_opened);
    int fd = open(target, O_WRONLY);
    must(fd >= 0);
    pthread_barrier_wait(&all_have_opened);
    must(pwrite(fd, "x", 1, 10 * (intptr_t)number) == 1 && close(fd) == 0);
    return NULL;
}

static void threads_open_at_once(void)
{
    run_writers(write_one_byte);
}

static void *append_one_byte(void *number)
{
    pthread_barrier_wait(&all_have_opened);
    usleep(300 * (unsigned)(intptr_t)number);
    int fd = open(target, O_WRONLY | O_APPEND);
    must(fd >= 0);
    put(fd, "x");
    must(close(fd) == 0);
    return NULL;
}

/* Some of them while another one's close finishes the new file. */
static void threads_open_and_close(void)
{
    run_writers(append_one_byte);
}

static void write_the_same(int number)
{
    int saved = errno, fd = open(target, O_WRONLY | O_TRUNC);
    (void)number;
    must(fd >= 0);
    put(fd, "x");
    must(close(fd) == 0);
    errno = saved;
}

/* At whatever moment of the close that finishes a new file. */
static void handlers_open_and_close(void)
{
    must(signal(SIGALRM, write_the_same) != SIG_ERR);
    for (int i = 0; i < 200; i++) {
        const struct itimerval soon = { { 0, 0 }, { 0, 20 + 20 * (i % 100) } };
        must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
        int fd;
        do
            fd = open(target, O_WRONLY | O_TRUNC);
        while (fd < 0 && errno == EINTR);
        must(fd >= 0);
        put(fd, "x");
        must(close(fd) == 0);
    }
    usleep(10000);
    write_the_same(0);
}

static void by_its_descriptor(void)
{
    char link[64];
    int one = open_new(0);
    put(one, "one ");
    snprintf(link, sizeof link, "/proc/self/fd/%d", one);
    int two = open(link, O_WRONLY | O_APPEND);
    must(two >= 0 && close(one) == 0);
    put(two, "two ");
    must(close(two) == 0);
}

static int open_by_how(const void *how, size_t size)
{
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, target, how, size);
    printf("%d %s\n", fd, fd < 0 ? strerror(errno) : "opened");
    return fd;
}

/* What openat2 is asked for is the kernel's to examine, the address of it as well. */
static void openat2_of_nonsense(void)
{
    const struct open_how unknown = { .flags = O_WRONLY | O_TRUNC | 1ULL << 40 }, unasked = { .flags = O_WRONLY, .mode = 0644 };
    const struct {
        struct open_how how;
        unsigned long long unknown;
    } longer = { .how = { .flags = O_WRONLY | O_TRUNC }, .unknown = 1 };
    open_by_how(NULL, 0);
    open_by_how(NULL, sizeof(struct open_how));
    open_by_how((void *)8, sizeof(struct open_how));
    open_by_how(&longer, 8);
    open_by_how(&longer, sizeof longer);
    open_by_how(&unknown, sizeof unknown);
    open_by_how(&unasked, sizeof unasked);
    int fd = open_by_how(&longer, sizeof longer.how); /* nothing is wrong with this one */
    put(fd, "good");
    must(close(fd) == 0);
}

/* ---- ways to let go ---- */

static void duplicates(void)
{
    int fd = open_new(0), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    put(fd, "a");
    must(close(fd) == 0);
    put(copy, "b");
    must(close(copy) == 0);
    put(high, "c");
    must(close(high) == 0);
}

static void child_is_last(void)
{
    int go, fd = open_new(0);
    put(fd, "parent ");
    pid_t pid = fork_to_wait(&go);
    if (pid == 0) {
        put(fd, "child ");
        must(close(fd) == 0);
        _exit(0);
    }
    must(close(fd) == 0 && close(go) == 0);
    end_of(pid);
}

/* A name that mustn't be a link says so to the open alone. */
static void child_is_last_without_links(void)
{
    struct stat file;
    int go, fd = open(target, O_WRONLY | O_TRUNC | O_NOFOLLOW);
    must(fd >= 0);
    pid_t pid = fork_to_wait(&go);
    if (pid == 0) {
        put(fd, "text");
        _exit(0);
    }
    must(close(fd) == 0 && close(go) == 0);
    end_of(pid);
    must(stat(target, &file) == 0);
    printf("%ld bytes\n", (long)file.st_size);
}

static void parent_is_last(void)
{
    int fd = open_new(0);
    pid_t pid = fork();
    if (pid == 0) {
        put(fd, "child ");
        exit(0);
    }
    end_of(pid);
    put(fd, "parent ");
    must(close(fd) == 0);
}

static void child_is_killed(void)
{
    int fd = open_new(0);
    put(fd, "parent ");
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    must(close(fd) == 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Not cancelled, though somebody has asked for it: syscall() is no cancellation point. */
static void *wait_by_number(void *pid)
{
    int status = 1;
    must(pthread_cancel(pthread_self()) == 0);
    must(syscall(SYS_wait4, *(pid_t *)pid, &status, 0, NULL) == *(pid_t *)pid && status == 0);
#ifdef SYS_waitpid
    must(syscall(SYS_waitpid, -1, NULL, WNOHANG) == -1 && errno == ECHILD);
#endif
    return NULL;
}

static void child_is_waited_for_by_number(void)
{
    pthread_t thread;
    void *result;
    int fd = open_new(0);
    pid_t pid = fork();
    if (pid == 0) {
        put(fd, "child ");
        _exit(0);
    }
    must(pthread_create(&thread, NULL, wait_by_number, &pid) == 0 && pthread_join(thread, &result) == 0 && !result);
    put(fd, "parent");
    must(close(fd) == 0);
}

/* The usage is the fifth argument, which libc's waitid hasn't got. */
static void child_is_told_of_by_number(void)
{
    struct rusage usage = { .ru_maxrss = -1 };
    siginfo_t info = { 0 };
    int fd = open_new(0), ends[2];
    must(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        until_closed(ends[0]);
        put(fd, "child ");
        _exit(7);
    }
    must(syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG, NULL) == 0 && info.si_pid == 0);
    must(close(ends[0]) == 0 && close(ends[1]) == 0);
    must(syscall(SYS_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT, NULL) == 0);
    must(syscall(SYS_waitid, P_PID, pid, &info, WEXITED, &usage) == 0 && info.si_pid == pid && info.si_status == 7);
    must(usage.ru_maxrss != -1);
    must(syscall(SYS_waitid, P_PID, pid, &info, WEXITED, NULL) == -1 && errno == ECHILD);
    put(fd, "parent");
    must(close(fd) == 0);
}

/* Writes half of its output, and is killed. */
static pid_t fork_to_be_killed(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "echo half; kill -9 $$", (char *)NULL);
        _exit(1);
    }
    return pid;
}

/* Not scenes of the comparison. */
static void killed_writer_is_told_of_by_number(void)
{
    must(syscall(SYS_waitid, P_PID, fork_to_be_killed(), NULL, WEXITED, NULL) == 0);
}

static void killed_writer_is_waited_for_by_number(void)
{
    pid_t pid = fork_to_be_killed();
    must(syscall(SYS_wait4, pid, NULL, 0, NULL) == pid);
}

static void exec_closes(void)
{
    int fd = open_new(O_CLOEXEC);
    put(fd, "before the exec");
    execl("/bin/true", "true", (char *)NULL);
    must(0);
}

/* Which takes no descriptor from the program, nor the offset that two of them have in common. */
static void exec_fails(void)
{
    char other[4096], *const argv[] = { "x", NULL };
    snprintf(other, sizeof other, "%s.other", target);
    int file = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    put(file, "no program");
    must(close(file) == 0);
    int one = open_new(O_CLOEXEC), two = fcntl(one, F_DUPFD_CLOEXEC, 0), apart = open(target, O_WRONLY | O_CLOEXEC);
    put(one, "1");
    must(execve(other, argv, environ) < 0 && errno == ENOEXEC);
    put(one, "2");
    put(two, "3");
    put(apart, "a");
    put(one, "4");
    must(close(one) == 0 && close(two) == 0 && close(apart) == 0);
}

static void say_start(const char *how, int error)
{
    printf("%s: %s\n", how, strerror(error));
}

/* Addresses that the kernel can't read: in no page, and in one that begins behind the last word that there is. */
static void starts_from_bad_addresses(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
    char **unended = (char **)(pages + page) - 1, *bad = (char *)8, *argv[] = { "true", NULL };
    *unended = "A=b";
    char *const paths[] = { bad, NULL, pages + page, (char *)unended, "/bin/true", "/nowhere" };
    char **environments[] = { environ, (char **)bad, unended, (char *[]){ "A=b", bad, NULL } };
    int fd = open_new(O_CLOEXEC);
    put(fd, "text");
    for (int i = 0; i < 6; i++)
        for (int j = i < 4 ? 0 : 1; j < 4; j++) {
            pid_t pid;
            say_start("execve", execve(paths[i], argv, environments[j]) < 0 ? errno : 0);
            say_start("syscall", syscall(SYS_execve, paths[i], argv, environments[j]) < 0 ? errno : 0);
            say_start("posix_spawn", posix_spawn(&pid, paths[i], NULL, NULL, argv, environments[j]));
        }
    say_start("execvpe", execvpe("true", argv, unended) < 0 ? errno : 0);
    say_start("execv", execv("/bin/true", (char **)bad) < 0 ? errno : 0);
    must(close(fd) == 0);
}

/* The kernel reads a path before it finds that it should be an empty one. */
static void asks_by_bad_paths(void)
{
    struct stat file;
    struct statx more;
    int fd = open_new(0);
    put(fd, "text");
    for (uintptr_t address = 8; address < 10000; address += 4096) {
        printf("%d\n", fstatat(fd, (char *)address, &file, AT_EMPTY_PATH) < 0 ? errno : 0);
        printf("%d\n", statx(fd, (char *)address, AT_EMPTY_PATH, STATX_BASIC_STATS, &more) < 0 ? errno : 0);
    }
    must(close(fd) == 0);
}

static void exec_keeps(void)
{
    int fd = open_new(0);
    put(fd, "before ");
    must(dup2(fd, 1) == 1 && close(fd) == 0);
    execl("/bin/echo", "echo", "after", (char *)NULL);
    must(0);
}

static void exec_of_a_static_program(void)
{
    const char *build = getenv("BUILD");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/target-static", build);
    int fd = open_new(0);
    put(fd, "before ");
    must(dup2(fd, 1) == 1 && close(fd) == 0);
    execl(path, path, "after", (char *)NULL);
    must(0);
}

static void vfork_child_writes(void)
{
    int fd = open_new(0);
    put(fd, "parent ");
    pid_t pid = vfork();
    if (pid == 0) {
        dup2(fd, 1);
        close(fd);
        execl("/bin/echo", "echo", "child", (char *)NULL);
        _exit(1);
    }
    end_of(pid);
    put(fd, "parent");
    must(close(fd) == 0);
}

static void vfork_child_opens(void)
{
    for (int i = 0; i < 100; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            int fd = open(target, O_WRONLY | O_TRUNC);
            dup2(fd, 1);
            execl("/bin/echo", "echo", "child", (char *)NULL);
            _exit(1);
        }
        end_of(pid);
    }
}

static void send_descriptor(int socket, int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof fd)] = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(socket, &message, 0) == 1);
}

static int receive_descriptor(int socket)
{
    int fd;
    char byte, control[CMSG_SPACE(sizeof fd)];
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    must(recvmsg(socket, &message, 0) == 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void passed_descriptor(void)
{
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = receive_descriptor(pair[1]);
        must(close(pair[0]) == 0);
        until_closed(pair[1]);
        put(fd, "receiver ");
        must(close(fd) == 0);
        exit(0);
    }
    int fd = open_new(0);
    put(fd, "sender ");
    send_descriptor(pair[0], fd);
    must(close(fd) == 0 && close(pair[0]) == 0);
    end_of(pid);
}

static void mapping_kept(void)
{
    int fd = open(target, O_RDWR | O_TRUNC);
    must(fd >= 0 && ftruncate(fd, 6) == 0);
    char *memory = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(memory != MAP_FAILED && close(fd) == 0);
    memcpy(memory, "mapped", 6);
}

/* At the close the file is still as it was. */
static void mapping_written_after_close(void)
{
    int fd = open(target, O_RDWR);
    char *memory = fd < 0 ? MAP_FAILED : mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(memory != MAP_FAILED && close(fd) == 0);
    memcpy(memory, "mapped", 6);
    must(munmap(memory, 6) == 0);
}

static void *write_late(void *argument)
{
    usleep(30000);
    put(*(int *)argument, "thread");
    return NULL;
}

static void last_thread_ends(void)
{
    static int fd;
    pthread_t thread;
    fd = open_new(0);
    put(fd, "main ");
    must(pthread_create(&thread, NULL, write_late, &fd) == 0);
    pthread_exit(NULL);
}

static void buffered_until_exit(void)
{
    must(freopen(target, "w", stdout));
    printf("in the buffer");
}

static void close_everything(void)
{
    int fd = open_new(0);
    put(fd, "all closed");
    for (int i = 0; i < 1024; i++)
        close(i);
}

/* With each flag, and in a thread that then has a table of its own: the main thread's descriptors stay. */
static void *close_range_unshared(void *fd)
{
    unsigned number = *(unsigned *)fd;
    must(syscall(SYS_close_range, number, number, 64) == -1 && errno == EINVAL); /* no such flag */
    must(syscall(SYS_close_range, number, number - 1, CLOSE_RANGE_UNSHARE) == -1 && errno == EINVAL);
    must(fcntl((int)number, F_GETFD) == 0);
    must(syscall(SYS_close_range, number, number, CLOSE_RANGE_UNSHARE) == 0 && fcntl((int)number, F_GETFD) == -1);
    return NULL;
}

static void close_ranges(void)
{
    pthread_t thread;
    int fd = open_new(0);
    put(fd, "thread ");
    must(pthread_create(&thread, NULL, close_range_unshared, &fd) == 0 && pthread_join(thread, NULL) == 0);
    put(fd, "range");
    must(syscall(SYS_close_range, fd, fd, CLOSE_RANGE_CLOEXEC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    must(syscall(SYS_close_range, fd, ~0U, CLOSE_RANGE_UNSHARE) == 0);
    /* Whoever reads the file now reads what has been written. */
    char content[16] = "";
    must(read(open(target, O_RDONLY), content, 15) > 0);
    printf("%s", content);
}

static void no_descriptor_left(void)
{
    int fd = open_new(0);
    struct rlimit none = { 0, 0 };
    put(fd, "no descriptor");
    must(setrlimit(RLIMIT_NOFILE, &none) == 0);
    must(close(fd) == 0);
}

static void no_descriptor_left_at_exit(void)
{
    int fd = open_new(0);
    struct rlimit none = { 0, 0 };
    put(fd, "no descriptor");
    must(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

/* Not a scene of the comparison: how many are left is told by a variable. */
static void few_descriptors(void)
{
    rlim_t count = (rlim_t)atoi(getenv("COUNT"));
    struct rlimit few = { 3 + count, 3 + count };
    must(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int fd = open(target, O_WRONLY | O_TRUNC);
    printf("%d %s\n", fd, fd < 0 ? strerror(errno) : "opened");
    if (fd >= 0)
        put(fd, "text");
    must(fd < 0 || close(fd) == 0);
}

static void locks_it(void)
{
    int fd = open_new(0), copy = dup(fd);
    must(flock(fd, LOCK_EX) == 0);
    put(fd, "a");
    must(flock(fd, LOCK_UN) == 0 && close(fd) == 0);
    put(copy, "b");
    must(close(copy) == 0);
}

static void locks_it_twice_opened(void)
{
    int one = open_new(0), two = open(target, O_WRONLY);
    must(two >= 0 && flock(one, LOCK_EX) == 0);
    put(one, "locked");
    must(flock(one, LOCK_UN) == 0 && close(one) == 0 && close(two) == 0);
}

static void locks_it_in_no_known_way(void)
{
    const int operations[] = { 0, LOCK_NB, LOCK_SH | LOCK_EX, LOCK_EX | LOCK_UN, LOCK_SH | 1 << 20 };
    int fd = open_new(0);
    put(fd, "text");
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        int result = flock(fd, operations[i]);
        printf("%d %d %s\n", operations[i], result, result < 0 ? strerror(errno) : "locked");
    }
    must(close(fd) == 0);
}

static void errno_stays(void)
{
    int fd = open_new(0);
    put(fd, "text");
    errno = 4711;
    must(close(fd) == 0);
    printf("errno %d\n", errno);
}

/* ---- a process that takes rights from itself, while it writes ---- */

#define LACKED 77

/* Ends the scene where the kernel hasn't got it. */
static void must_or_lack(long result)
{
    if (result < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
        exit(LACKED);
    must(result >= 0);
}

/* Nothing may be made, removed or opened any more. */
static void restricted_by_landlock(void)
{
    const uint64_t all_of_the_first_version = (1 << 13) - 1;
    int fd = open_new(0);
    long rules = syscall(SYS_landlock_create_ruleset, &all_of_the_first_version, sizeof all_of_the_first_version, 0);
    must_or_lack(rules);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must_or_lack(syscall(SYS_landlock_restrict_self, rules, 0));
    put(fd, "text");
    must(close(fd) == 0);
}

/* The system calls by which a name is changed, and files are opened, are answered with EACCES. */
static struct sock_filter no_names[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_linkat, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
};
static struct sock_fprog no_names_program = { sizeof no_names / sizeof *no_names, no_names };

static void restricted_by_seccomp(void)
{
    int fd = open_new(0);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must_or_lack(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &no_names_program));
    put(fd, "text");
    must(close(fd) == 0);
}

static void restricted_by_prctl(void)
{
    int fd = open_new(0);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must_or_lack(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &no_names_program));
    put(fd, "text");
    must(close(fd) == 0);
}

/* Nothing is allowed but to read, to write and to end. */
static void restricted_strictly(void)
{
    int fd = open_new(0);
    must_or_lack(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    put(fd, "text");
    syscall(SYS_exit, 0);
}

/* In a directory that is another's, so that root needs a capability to rename there. */
static int open_among_anothers(void)
{
    char *directory = strndup(target, (size_t)(strrchr(target, '/') - target));
    if (geteuid() != 0)
        exit(LACKED);
    must(chown(directory, 1234, 1234) == 0);
    return open_new(0);
}

static void in_a_user_namespace_of_its_own(void)
{
    int fd = open_among_anothers();
    if (unshare(CLONE_NEWUSER) < 0)
        exit(LACKED);
    put(fd, "text");
    must(close(fd) == 0);
}

static void without_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    int fd = open_among_anothers();
    must(capset(&header, none) == 0);
    put(fd, "text");
    must(close(fd) == 0);
}

/* Not a scene of the comparison: a system call, and two arguments, are told by a variable. It may fail. */
static void gives_up_rights_by_number(void)
{
    long number, first, second;
    must(sscanf(getenv("CALL"), "%ld,%ld,%ld", &number, &first, &second) == 3);
    int fd = open_new(0);
    put(fd, "text");
    syscall(number, first, second, -1L);
    must(close(fd) == 0);
}

/* Which asks only what there is, and takes nothing away. */
static void asks_seccomp(void)
{
    const uint32_t action = SECCOMP_RET_ALLOW;
    int fd = open_new(0);
    must_or_lack(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    put(fd, "text");
    must(close(fd) == 0);
}

/* ---- stdio ---- */

static void append_stream(void)
{
    FILE *stream = fopen(target, "a");
    must(stream);
    printf("%s\n", ftell(stream) > 0 ? "at the end" : "at the start");
    fputs("behind", stream);
    must(fclose(stream) == 0);
}

static void converting_stream(void)
{
    FILE *stream = fopen(target, "w,ccs=UTF-16LE");
    must(stream && fputws(L"AB\n", stream) >= 0);
    must(fclose(stream) == 0);
}

static void closes_all_streams(void)
{
    FILE *stream = fopen(target, "w");
    must(stream && fputs("one ", stream) >= 0);
    must(fcloseall() == 0);
    put(fileno(stream), "two"); /* fcloseall flushes, and leaves the descriptor open */
}

static void reopened_mode(void)
{
    FILE *stream = fopen(target, "w");
    must(stream);
    fputs("one ", stream);
    stream = freopen(NULL, "a", stream);
    must(stream);
    fputs("two", stream);
    must(fclose(stream) == 0);
}

static void stream_of_a_stream(void)
{
    must(freopen(target, "w", stdout));
    FILE *stream = fopen("/dev/stdout", "a");
    must(stream);
    printf("one ");
    must(fclose(stdout) == 0);
    fputs("two", stream);
    must(fclose(stream) == 0);
}

/* Another process ends the one that runs the target, so that an open that waits for it succeeds. */
static pid_t end_its_program_soon(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        usleep(200000);
        end_its_program();
        _exit(0);
    }
    return pid;
}

/* The descriptor that a wait comes to is the only one that there is, then. */
static void leave_one_number(void)
{
    int lowest = dup(1);
    must(close(lowest) == 0);
    struct rlimit limit = { (rlim_t)lowest + 1, 1024 };
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void stream_with_one_number_left(void)
{
    pid_t pid = end_its_program_soon();
    leave_one_number();
    FILE *stream = fopen(target, "w");
    must(stream && fputs("text", stream) >= 0);
    must(fclose(stream) == 0);
    end_of(pid);
}

/* A freopen that went wrong has closed the stream; glibc takes it again all the same. */
static void stream_reopened_with_one_number_left(void)
{
    pid_t pid = end_its_program_soon();
    FILE *stream = fopen("/dev/null", "w");
    must(stream && !freopen("/nowhere/at/all", "w", stream));
    leave_one_number();
    must(freopen(target, "w", stream));
    must(fputs("text", stream) >= 0 && fclose(stream) == 0);
    end_of(pid);
}

/* No stage can have the old content; that is no reason for a signal. */
static void longer_than_may_be_written(void)
{
    struct rlimit limit = { 4096, 4096 };
    pid_t pid = end_its_program_soon();
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    int fd = open(target, O_WRONLY);
    must(fd >= 0);
    put(fd, "text");
    must(close(fd) == 0 && truncate(target, 10000) == 0);
    end_of(pid);
}

static void *open_beside(void *other)
{
    usleep(100000);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0);
    return (void *)(intptr_t)fd;
}

/* A freopen that waits has closed its old descriptor, whose number another thread is given. */
static void stream_reopened_beside_an_open(void)
{
    char other[4096], linked[4096];
    pthread_t thread;
    void *fd;
    snprintf(other, sizeof other, "%s.other", target);
    snprintf(linked, sizeof linked, "%s.linked", target);
    must(link(target, linked) == 0); /* no stage for it, then */
    FILE *stream = fopen("/dev/null", "w");
    must(stream && pthread_create(&thread, NULL, open_beside, other) == 0);
    pid_t pid = end_its_program_soon();
    must(freopen(target, "w", stream));
    must(pthread_join(thread, &fd) == 0);
    put((int)(intptr_t)fd, "the other's");
    must(fputs("text", stream) >= 0 && fclose(stream) == 0 && close((int)(intptr_t)fd) == 0);
    end_of(pid);
}

/* ---- posix_spawn ---- */

static pid_t spawn_echo(const posix_spawn_file_actions_t *actions, const char *word)
{
    char *const argv[] = { "echo", (char *)word, NULL };
    pid_t pid;
    errno = posix_spawn(&pid, "/bin/echo", actions, NULL, argv, environ);
    must(errno == 0);
    return pid;
}

static void spawn_never(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    posix_spawn_file_actions_destroy(&actions);
}

/* So few that the stage's can't be far away from those that other file actions are about. */
static void spawn_with_few_descriptors(void)
{
    struct rlimit limit = { 64, 64 };
    posix_spawn_file_actions_t actions;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    posix_spawn_file_actions_init(&actions);
    for (int fd = 3; fd < 20; fd++)
        posix_spawn_file_actions_adddup2(&actions, 2, fd);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    end_of(spawn_echo(&actions, "a-long-word"));
    posix_spawn_file_actions_destroy(&actions);
}

static void spawn_twice(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    end_of(spawn_echo(&actions, "a-long-word"));
    end_of(spawn_echo(&actions, "two"));
    posix_spawn_file_actions_destroy(&actions);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* By programs that can't adopt a stage, so that it is a stage no more when the second one starts. */
static void spawn_static_programs(void)
{
    const char *const words[] = { "a-long-word", "two" };
    const int before = open_descriptors();
    posix_spawn_file_actions_t actions;
    char path[4096];
    pid_t pid;
    snprintf(path, sizeof path, "%s/tests/target-static", getenv("BUILD"));
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    for (int i = 0; i < 2; i++) {
        must(posix_spawn(&pid, path, &actions, NULL, (char *const[]){ path, (char *)words[i], NULL }, environ) == 0);
        end_of(pid);
    }
    posix_spawn_file_actions_destroy(&actions);
    must(open_descriptors() == before);
}

/* Never destroyed, and another set at the same address. */
static void spawn_and_forget(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    end_of(spawn_echo(&actions, "first"));
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0);
    end_of(spawn_echo(&actions, "second"));
}

/* A relative path is one of the directory that the child is in by then. */
static void spawn_in_another_directory(void)
{
    posix_spawn_file_actions_t actions;
    char directory[4096], below[4096];
    must(realpath(target, directory) && strlen(directory) < sizeof directory);
    char *name = strrchr(directory, '/');
    *name++ = '\0';
    snprintf(below, sizeof below, "%.4000s/below", directory);
    must(mkdir(below, 0755) == 0 && chdir("/") == 0);
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addchdir_np(&actions, below) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 9, "..", O_RDONLY | O_DIRECTORY, 0) == 0);
    must(posix_spawn_file_actions_addchdir_np(&actions, "..") == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, name, O_WRONLY | O_TRUNC, 0) == 0);
    must(posix_spawn_file_actions_adddup2(&actions, 1, 2) == 0);
    end_of(spawn_echo(&actions, "word"));
    posix_spawn_file_actions_destroy(&actions);

    int here = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, name, O_WRONLY | O_APPEND, 0) == 0);
    must(chdir(below) == 0); /* where the path leads is seen when it is used */
    must(posix_spawn_file_actions_addfchdir_np(&actions, here) == 0);
    must(chdir(directory) == 0);
    end_of(spawn_echo(&actions, "another"));
    posix_spawn_file_actions_destroy(&actions);
    must(rmdir(below) == 0);
}

/* A record lock goes when the process that has it closes any descriptor of the file. */
static void spawn_leaves_locks_alone(void)
{
    struct flock lock = { .l_type = F_WRLCK };
    posix_spawn_file_actions_t actions;
    char copy[4200];
    snprintf(copy, sizeof copy, "%s.copy", target);
    int fd = open(copy, O_RDWR | O_CREAT, 0755);
    must(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 9, copy, O_WRONLY, 0) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    end_of(spawn_echo(&actions, "word"));
    posix_spawn_file_actions_destroy(&actions);
    pid_t pid = fork();
    if (pid == 0) {
        must(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == getppid());
        _exit(0);
    }
    end_of(pid);
    must(close(fd) == 0 && unlink(copy) == 0);
}

/* What a list of this kind is made of: descriptors that it opens itself, and closes. */
static void spawn_with_other_opens(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 5, "/dev/null", O_RDONLY, 0) == 0);
    must(posix_spawn_file_actions_adddup2(&actions, 5, 0) == 0);
    must(posix_spawn_file_actions_addclose(&actions, 5) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
#if __GLIBC_PREREQ(2, 34)
    must(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
#endif
    end_of(spawn_echo(&actions, "word"));
    posix_spawn_file_actions_destroy(&actions);
}

static void *append_a_word(void *go)
{
    int fd = open(target, O_WRONLY | O_APPEND);
    must(fd >= 0);
    put(*(int *)go, "x");
    put(fd, "word");
    must(close(fd) == 0);
    return NULL;
}

/* Another thread writes to the same file beside one spawn that fails, and one that doesn't. */
static void spawns_beside_a_writer(void)
{
    char *const argv[] = { "echo", "echoed", NULL };
    for (int fails = 0; fails < 2; fails++) {
        posix_spawn_file_actions_t actions;
        pthread_t thread;
        int ends[2];
        char byte;
        pid_t pid;
        must(pipe2(ends, O_CLOEXEC) == 0 && pthread_create(&thread, NULL, append_a_word, &ends[1]) == 0);
        must(read(ends[0], &byte, 1) == 1);
        posix_spawn_file_actions_init(&actions);
        must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_APPEND, 0) == 0);
        int error = posix_spawn(&pid, fails ? "/nowhere/at/all" : "/bin/echo", &actions, NULL, argv, environ);
        must(error == (fails ? ENOENT : 0));
        must(pthread_join(thread, NULL) == 0);
        if (!fails)
            end_of(pid);
        posix_spawn_file_actions_destroy(&actions);
    }
    struct stat file;
    must(stat(target, &file) == 0);
    must(truncate(target, 0) == 0); /* the words may stand in any order */
    printf("%ld bytes\n", (long)file.st_size);
}

/* A second spawn would find the file that the first one has made; here that hasn't come so far. */
static void spawn_makes_another_file(void)
{
    posix_spawn_file_actions_t actions;
    char lock[4200];
    snprintf(lock, sizeof lock, "%s.lock", target);
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 9, lock, O_WRONLY | O_CREAT | O_EXCL, 0600) == 0);
    end_of(spawn_echo(&actions, "word"));
    posix_spawn_file_actions_destroy(&actions);
    must(unlink(lock) == 0);
}

/* What its path means can be said in the child alone. */
static void spawn_opens_what_is_its_own(void)
{
    posix_spawn_file_actions_t actions;
    char directory[4096], path[4300];
    must(realpath(target, directory) && strlen(directory) < sizeof directory);
    char *name = strrchr(directory, '/');
    *name++ = '\0';
    must(mkdir("mine", 0755) == 0 && chdir("mine") == 0);
    int fd = open(name, O_WRONLY | O_CREAT, 0755);
    must(fd >= 0);
    put(fd, "mine");
    must(close(fd) == 0);
    snprintf(path, sizeof path, "/proc/self/cwd/%s", name);
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addchdir_np(&actions, directory) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_TRUNC, 0) == 0);
    char *const argv[] = { "echo", "word", NULL };
    pid_t pid;
    int error = posix_spawn(&pid, "/bin/echo", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    must(error == 0 || error == ETXTBSY);
    if (!error)
        end_of(pid);
    fd = open(name, O_RDONLY);
    must(read(fd, path, sizeof path) == 4 && close(fd) == 0);
    must(unlink(name) == 0 && chdir("..") == 0 && rmdir("mine") == 0);
    /* Where it is busy it is refused: here the result has to be the same. */
    fd = open(target, O_WRONLY | O_TRUNC);
    must(fd >= 0 && close(fd) == 0);
}

/* What is opened and emptied behind something that can't be done isn't. */
static void spawn_fails_before(void)
{
    char *const argv[] = { "echo", NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 9, "/nowhere/at/all", O_RDONLY, 0) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    must(posix_spawn(&pid, "/bin/echo", &actions, NULL, argv, environ) == ENOENT);
    posix_spawn_file_actions_destroy(&actions);

    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 9, target, O_WRONLY | O_CREAT | O_EXCL, 0600) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, target, O_WRONLY | O_TRUNC, 0) == 0);
    must(posix_spawn(&pid, "/bin/echo", &actions, NULL, argv, environ) == EEXIST);
    posix_spawn_file_actions_destroy(&actions);
}

/* Not as its standard output, and it was given nothing else. */
static void spawned_writer_is_killed(void)
{
    char *const argv[] = { "sh", "-c", "echo half >&7; kill -9 $$", NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    must(posix_spawn_file_actions_addopen(&actions, 7, target, O_WRONLY | O_TRUNC, 0) == 0);
    must(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void spawn_passes_by_dup2(void)
{
    posix_spawn_file_actions_t actions;
    int fd = open_new(O_CLOEXEC);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    pid_t pid = spawn_echo(&actions, "child");
    posix_spawn_file_actions_destroy(&actions);
    must(close(fd) == 0);
    end_of(pid);
    /* Whoever starts the file now starts what has been written. */
    char content[16] = "";
    int reader = open(target, O_RDONLY);
    must(read(reader, content, 15) > 0);
    printf("%s", content);
}

/* ---- what a file has besides its content ---- */

static void show_flags(void)
{
    const unsigned kept = FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_NOCOW_FL | FS_COMPR_FL;
    struct fsxattr more = { 0 };
    unsigned flags = 0;
    int fd = open(target, O_RDONLY);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        printf("no flags: %s\n", strerror(errno));
    if (ioctl(fd, FS_IOC_FSGETXATTR, &more) < 0)
        printf("no project: %s\n", strerror(errno));
    printf("flags %x project %u extent size %u\n", flags & kept, more.fsx_projid, more.fsx_extsize);
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Times that a scene has set are small; others can't be compared. */
static void show_attributes(void)
{
    char names[1000], value[1000];
    ssize_t length = listxattr(target, names, sizeof names);
    struct stat file;
    must(length >= 0 && stat(target, &file) == 0);
    printf("mode %o, owner %d:%d, modified %ld, %zd bytes of names\n", file.st_mode, file.st_uid, file.st_gid,
           file.st_mtime < 1000000 ? (long)file.st_mtime : -1, length);
    const char *sorted[50];
    size_t count = 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1)
        sorted[count++] = name;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        ssize_t size = getxattr(target, sorted[i], value, sizeof value);
        printf("%s:", sorted[i]);
        for (ssize_t at = 0; at < size; at++)
            printf(" %02x", (unsigned char)value[at]);
        printf("\n");
    }
    show_flags();
}

/* Sets an attribute by path, or says why this file system or user can't. */
static void set_attribute(const char *name, const void *value, size_t size)
{
    if (setxattr(target, name, value, size, 0) < 0)
        printf("%s: %s\n", name, strerror(errno));
}

/* capabilities(7) as the kernel takes them: permitted, cap_net_bind_service. */
static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 4 };

/* acl(5) as the kernel takes it: user::rwx user:4711:r-x group::r-x mask::r-x other::--- */
static const unsigned char access_acl[] = { 2, 0,    0,    0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  5,
                                            0, 0x67, 0x12, 0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                                            5, 0,    255,  255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };

static void give_attributes(void)
{
    const struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };
    set_attribute("user.test", "value", 5);
    set_attribute("security.test", "value", 5);
    set_attribute("security.selinux", "system_u:object_r:bin_t:s0", 27);
    set_attribute("trusted.test", "value", 5);
    set_attribute("security.capability", capability, sizeof capability);
    must(utimensat(AT_FDCWD, target, times, 0) == 0);
}

static void give_flags(void)
{
    struct fsxattr more;
    unsigned flags;
    int fd = open(target, O_RDONLY);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        printf("%s\n", strerror(errno));
    flags |= FS_NODUMP_FL | FS_NOATIME_FL;
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
        printf("flags: %s\n", strerror(errno));
    if (ioctl(fd, FS_IOC_FSGETXATTR, &more) == 0) {
        more.fsx_projid = 4711;
        if (ioctl(fd, FS_IOC_FSSETXATTR, &more) < 0)
            printf("project: %s\n", strerror(errno));
    }
    must(close(fd) == 0);
}

static void extended_attributes(void)
{
    set_attribute("user.test", "value", 5);
    set_attribute("system.posix_acl_access", access_acl, sizeof access_acl);
    int fd = open_new(0);
    put(fd, "text");
    must(close(fd) == 0);
    show_attributes();
}

static void directory_with_a_default_acl(void)
{
    static const unsigned char acl[] = { 2, 0,    0,    0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  7,
                                         0, 0x67, 0x12, 0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                                         7, 0,    255,  255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };
    char *directory = strndup(target, (size_t)(strrchr(target, '/') - target));
    if (setxattr(directory, "system.posix_acl_default", acl, sizeof acl, 0) < 0)
        printf("%s\n", strerror(errno));
    int fd = open_new(0);
    put(fd, "text");
    must(close(fd) == 0);
    show_attributes();
}

static void security_attributes(void)
{
    give_attributes();
    int fd = open(target, O_WRONLY | O_APPEND);
    must(fd >= 0);
    put(fd, "text");
    must(close(fd) == 0);
    show_attributes();
}

static void flags_and_project(void)
{
    give_flags();
    int fd = open_new(0);
    put(fd, "text");
    must(close(fd) == 0);
    show_attributes();
}

/* What happens to a file to which nothing, or nothing new, is written. */
static void opened_only(void)
{
    struct stat before, after;
    must(chmod(target, 06755) == 0);
    give_attributes();
    must(stat(target, &before) == 0);
    int fd = open(target, O_WRONLY);
    must(fd >= 0 && close(fd) == 0 && stat(target, &after) == 0);
    printf("%s inode, %s ctime\n", before.st_ino == after.st_ino ? "same" : "new",
           before.st_ctim.tv_sec == after.st_ctim.tv_sec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec ? "same" : "new");
    show_attributes();
}

static void first_byte_again(void)
{
    char byte;
    give_attributes();
    int fd = open(target, O_RDWR);
    must(fd >= 0 && pread(fd, &byte, 1, 0) == 1 && pwrite(fd, &byte, 1, 0) == 1 && close(fd) == 0);
    show_attributes();
}

static void truncated_to_its_own_length(void)
{
    struct stat file;
    give_attributes();
    must(stat(target, &file) == 0 && truncate(target, file.st_size) == 0);
    show_attributes();
}

/* ---- ways to write, for a file that is set-id ---- */

static void only_opens(void)
{
    int fd = open(target, O_WRONLY);
    must(fd >= 0 && close(fd) == 0);
}

static void only_truncates(void)
{
    must(close(open_new(0)) == 0);
}

static void appends_a_byte(void)
{
    int fd = open(target, O_WRONLY | O_APPEND);
    must(fd >= 0);
    put(fd, "x");
    must(close(fd) == 0);
}

static void truncates_and_writes(void)
{
    int fd = open_new(0);
    put(fd, "x");
    must(close(fd) == 0);
}

static void truncates_by_path(void)
{
    must(truncate(target, 10) == 0);
}

static void set_id_bits(void)
{
    must(chmod(target, 06755) == 0);
    int fd = open_new(0);
    put(fd, "text");
    must(close(fd) == 0);
    show_attributes();
}

static void same_bytes(void)
{
    static char content[1000000];
    struct stat before, after;
    int fd = open(target, O_RDONLY);
    ssize_t length = read(fd, content, sizeof content);
    must(length > 0 && fstat(fd, &before) == 0 && close(fd) == 0);
    fd = open_new(0);
    must(write(fd, content, (size_t)length) == length && fchmod(fd, 0711) == 0 && close(fd) == 0);
    must(stat(target, &after) == 0);
    printf("%s inode, %s time, mode %o\n", before.st_ino == after.st_ino ? "same" : "new",
           after.st_mtime >= before.st_mtime ? "new" : "old", after.st_mode);
}

static void touched(void)
{
    struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };
    struct stat before, after;
    must(stat(target, &before) == 0);
    int fd = open(target, O_WRONLY);
    must(fd >= 0 && futimens(fd, times) == 0 && close(fd) == 0 && stat(target, &after) == 0);
    printf("%s inode, %ld\n", before.st_ino == after.st_ino ? "same" : "new", (long)after.st_mtime);
}

/* ---- others' hands ---- */

static void replaced_meanwhile(void)
{
    char other[4096];
    int go, fd = open_new(0);
    put(fd, "older");
    pid_t pid = fork_to_wait(&go);
    if (pid == 0)
        _exit(0);
    must(close(fd) == 0);
    snprintf(other, sizeof other, "%s.tmp", target);
    int new = open(other, O_WRONLY | O_CREAT | O_EXCL, 0755);
    put(new, "newer");
    must(close(new) == 0 && rename(other, target) == 0 && close(go) == 0);
    end_of(pid);
}

static void renamed_meanwhile(void)
{
    char other[4096];
    int fd = open_new(0);
    snprintf(other, sizeof other, "%s.bak", target);
    must(rename(target, other) == 0);
    put(fd, "goes with the file");
    must(close(fd) == 0);
}

static void unlinked_meanwhile(void)
{
    int fd = open_new(0);
    put(fd, "gone");
    must(unlink(target) == 0);
    must(close(fd) == 0);
}

static void mode_changed_meanwhile(void)
{
    int fd = open_new(0);
    put(fd, "text");
    must(chmod(target, 0700) == 0);
    must(close(fd) == 0);
}

static void owner_and_times_changed_meanwhile(void)
{
    struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };
    struct stat file;
    int fd = open_new(0);
    put(fd, "text");
    if (geteuid() == 0)
        must(chown(target, 1234, 1234) == 0);
    usleep(20000);
    must(utimensat(AT_FDCWD, target, times, 0) == 0);
    must(close(fd) == 0 && stat(target, &file) == 0);
    printf("%d %ld\n", file.st_uid, (long)file.st_mtime);
}

static void attributes_changed_meanwhile(void)
{
    set_attribute("user.changed", "old", 3);
    set_attribute("user.removed", "old", 3);
    set_attribute("user.both", "old", 3);
    int fd = open_new(0);
    put(fd, "text");
    set_attribute("user.changed", "by path", 7);
    set_attribute("user.new", "by path", 7);
    set_attribute("user.both", "by path", 7);
    set_attribute("system.posix_acl_access", access_acl, sizeof access_acl);
    removexattr(target, "user.removed");
    fsetxattr(fd, "user.own", "by descriptor", 13, 0);
    fsetxattr(fd, "user.both", "by descriptor", 13, 0);
    must(close(fd) == 0);
    show_attributes();
}

static void capability_set_meanwhile(void)
{
    int fd = open_new(0);
    put(fd, "text");
    usleep(20000);
    set_attribute("security.capability", capability, sizeof capability);
    must(close(fd) == 0);
    show_attributes();
}

/* Before an exec, and after it: nothing is remembered of the time before. Not a scene of its own: the next one starts it. */
static void attributes_changed_after_an_exec(void)
{
    set_attribute("user.later", "by path", 7);
    must(chmod(target, 0711) == 0 && fsetxattr(1, "user.own", "by descriptor", 13, 0) == 0);
    put(1, "after");
}

static void attributes_changed_around_an_exec(void)
{
    set_attribute("user.removed", "old", 3);
    int fd = open_new(0);
    put(fd, "before ");
    usleep(20000);
    set_attribute("user.new", "by path", 7);
    removexattr(target, "user.removed");
    must(chmod(target, 0700) == 0 && dup2(fd, 1) == 1 && close(fd) == 0);
    execl("/proc/self/exe", "cases", "attributes_changed_after_an_exec", target, (char *)NULL);
    must(0);
}

static void attributes_changed_before_an_exec(void)
{
    int fd = open_new(0);
    put(fd, "before ");
    usleep(20000);
    set_attribute("user.new", "by path", 7);
    must(chmod(target, 0700) == 0 && dup2(fd, 1) == 1 && close(fd) == 0);
    execl("/bin/echo", "echo", "after", (char *)NULL);
    must(0);
}

static void mode_changed_by_descriptor_before_an_exec(void)
{
    int fd = open_new(0);
    must(fchmod(fd, 0751) == 0 && dup2(fd, 1) == 1 && close(fd) == 0);
    execl("/bin/echo", "echo", "after", (char *)NULL);
    must(0);
}

static void mode_changed_by_descriptor(void)
{
    int fd = open_new(0);
    put(fd, "text");
    must(fchmod(fd, 0751) == 0 && close(fd) == 0);
}

static void directory_moved(void)
{
    char directory[4096], other[4200];
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(target, '/') - target), target);
    snprintf(other, sizeof other, "%s.moved", directory);
    int fd = open_new(0);
    put(fd, "moved");
    must(rename(directory, other) == 0 && close(fd) == 0);
    must(rename(other, directory) == 0);
}

static void somebody_elses_stderr(void)
{
    close(2);
    char data[4096], content[64] = "";
    snprintf(data, sizeof data, "%s.data", target);
    int two = open(data, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (two != 2)
        exit(1);
    put(2, "data ");
    int fd = open_new(0);
    put(fd, "text");
    close(fd);
    put(2, "data");
    if (pread(2, content, 63, 0) != 9)
        exit(1);
}

static const struct scene scenes[] = {
    SCENE(append),
    SCENE(read_write),
    SCENE(reader_truncates),
    SCENE(flags_and_number),
    SCENE(relative_and_chdir),
    SCENE(directory_descriptor),
    SCENE(symbolic_link),
    SCENE(two_opens),
    SCENE(opened_again_when_nobody_runs_it),
    SCENE(threads_open_at_once),
    SCENE(threads_open_and_close),
    SCENE(handlers_open_and_close),
    SCENE(by_its_descriptor),
    SCENE(openat2_of_nonsense),
    SCENE(duplicates),
    SCENE(child_is_last),
    SCENE(child_is_last_without_links),
    SCENE(parent_is_last),
    SCENE(child_is_killed),
    SCENE(child_is_waited_for_by_number),
    SCENE(child_is_told_of_by_number),
    SCENE(killed_writer_is_told_of_by_number),
    SCENE(killed_writer_is_waited_for_by_number),
    SCENE(exec_closes),
    SCENE(exec_fails),
    SCENE(starts_from_bad_addresses),
    SCENE(asks_by_bad_paths),
    SCENE(exec_keeps),
    SCENE(exec_of_a_static_program),
    SCENE(vfork_child_writes),
    SCENE(vfork_child_opens),
    SCENE(passed_descriptor),
    SCENE(mapping_kept),
    SCENE(mapping_written_after_close),
    SCENE(last_thread_ends),
    SCENE(buffered_until_exit),
    SCENE(close_everything),
    SCENE(close_ranges),
    SCENE(no_descriptor_left),
    SCENE(no_descriptor_left_at_exit),
    SCENE(few_descriptors),
    SCENE(locks_it),
    SCENE(locks_it_twice_opened),
    SCENE(locks_it_in_no_known_way),
    SCENE(errno_stays),
    SCENE(restricted_by_landlock),
    SCENE(restricted_by_seccomp),
    SCENE(restricted_by_prctl),
    SCENE(restricted_strictly),
    SCENE(in_a_user_namespace_of_its_own),
    SCENE(without_capabilities),
    SCENE(gives_up_rights_by_number),
    SCENE(asks_seccomp),
    SCENE(append_stream),
    SCENE(converting_stream),
    SCENE(closes_all_streams),
    SCENE(reopened_mode),
    SCENE(stream_of_a_stream),
    SCENE(stream_with_one_number_left),
    SCENE(stream_reopened_with_one_number_left),
    SCENE(longer_than_may_be_written),
    SCENE(stream_reopened_beside_an_open),
    SCENE(spawn_never),
    SCENE(spawn_with_few_descriptors),
    SCENE(spawn_twice),
    SCENE(spawn_static_programs),
    SCENE(spawn_and_forget),
    SCENE(spawn_in_another_directory),
    SCENE(spawn_leaves_locks_alone),
    SCENE(spawn_makes_another_file),
    SCENE(spawn_opens_what_is_its_own),
    SCENE(spawn_with_other_opens),
    SCENE(spawns_beside_a_writer),
    SCENE(spawn_fails_before),
    SCENE(spawned_writer_is_killed),
    SCENE(spawn_passes_by_dup2),
    SCENE(extended_attributes),
    SCENE(directory_with_a_default_acl),
    SCENE(set_id_bits),
    SCENE(security_attributes),
    SCENE(flags_and_project),
    SCENE(opened_only),
    SCENE(first_byte_again),
    SCENE(truncated_to_its_own_length),
    SCENE(only_opens),
    SCENE(only_truncates),
    SCENE(appends_a_byte),
    SCENE(truncates_and_writes),
    SCENE(truncates_by_path),
    SCENE(same_bytes),
    SCENE(touched),
    SCENE(owner_and_times_changed_meanwhile),
    SCENE(replaced_meanwhile),
    SCENE(renamed_meanwhile),
    SCENE(unlinked_meanwhile),
    SCENE(mode_changed_meanwhile),
    SCENE(attributes_changed_meanwhile),
    SCENE(capability_set_meanwhile),
    SCENE(attributes_changed_after_an_exec),
    SCENE(attributes_changed_around_an_exec),
    SCENE(attributes_changed_before_an_exec),
    SCENE(mode_changed_by_descriptor_before_an_exec),
    SCENE(mode_changed_by_descriptor),
    SCENE(directory_moved),
    SCENE(somebody_elses_stderr),
};

int main(int argc, char **argv)
{
    return play(scenes, sizeof scenes / sizeof *scenes, argc, argv);
}

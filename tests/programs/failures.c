/*
 * Writes that fail, each by one libc entry point:
 *
 *     failures ENTRY TARGET
 *
 * Nothing may be written behind LIMIT (RLIMIT_FSIZE, which is EFBIG where SIGXFSZ is ignored), and ENTRY tries to. Prints what the
 * call and the last close answered. Exit status 0: the call failed as it should; 1: something else did; 77: there is no such entry.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "scene.h"

#define LIMIT 16384

ssize_t __write(int, const void *, size_t);
ssize_t __pwrite64(int, const void *, size_t, off64_t);
int __dprintf_chk(int, int, const char *, ...);
int __vdprintf_chk(int, int, const char *, va_list);

static const char *entry;

static bool is(const char *name)
{
    return strcmp(entry, name) == 0;
}

static void limit(void)
{
    const struct rlimit size = { LIMIT, RLIM_INFINITY };
    signal(SIGXFSZ, SIG_IGN);
    must(setrlimit(RLIMIT_FSIZE, &size) == 0);
}

static int print(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = is("vdprintf") ? vdprintf(fd, format, arguments) : __vdprintf_chk(fd, 1, format, arguments);
    va_end(arguments);
    return result;
}

static long by_number(int fd, int from)
{
    struct iovec part = { (void *)"x", 1 };
    off64_t at = LIMIT;
    const char *name = entry + strlen("syscall-");
    if (!strcmp(name, "write"))
        return syscall(SYS_write, fd, "x", 1);
    if (!strcmp(name, "pwrite64"))
        return syscall(SYS_pwrite64, fd, "x", 1, at);
    if (!strcmp(name, "writev"))
        return syscall(SYS_writev, fd, &part, 1);
    if (!strcmp(name, "pwritev"))
        return syscall(SYS_pwritev, fd, &part, 1, at, 0);
    if (!strcmp(name, "pwritev2"))
        return syscall(SYS_pwritev2, fd, &part, 1, at, 0, 0);
    if (!strcmp(name, "copy_file_range"))
        return syscall(SYS_copy_file_range, from, NULL, fd, NULL, 1L, 0);
    if (!strcmp(name, "sendfile"))
        return syscall(SYS_sendfile, fd, from, NULL, 1L);
    if (!strcmp(name, "splice"))
        return syscall(SYS_splice, from, NULL, fd, NULL, 1L, 0);
    if (!strcmp(name, "ftruncate"))
        return syscall(SYS_ftruncate, fd, LIMIT + 1L);
    if (!strcmp(name, "fallocate"))
        return syscall(SYS_fallocate, fd, 0, 0L, LIMIT + 1L);
    exit(77);
}

/* The descriptor is at LIMIT already. */
static long call(int fd, int from, int pipe)
{
    struct iovec part = { (void *)"x", 1 };
    if (is("write"))
        return write(fd, "x", 1);
    if (is("__write"))
        return __write(fd, "x", 1);
    if (is("pwrite"))
        return pwrite(fd, "x", 1, LIMIT);
    if (is("pwrite64"))
        return pwrite64(fd, "x", 1, LIMIT);
    if (is("__pwrite64"))
        return __pwrite64(fd, "x", 1, LIMIT);
    if (is("writev"))
        return writev(fd, &part, 1);
    if (is("pwritev"))
        return pwritev(fd, &part, 1, LIMIT);
    if (is("pwritev64"))
        return pwritev64(fd, &part, 1, LIMIT);
    if (is("pwritev2"))
        return pwritev2(fd, &part, 1, LIMIT, 0);
    if (is("pwritev64v2"))
        return pwritev64v2(fd, &part, 1, LIMIT, 0);
    if (is("copy_file_range"))
        return copy_file_range(from, NULL, fd, NULL, 1, 0);
    if (is("sendfile"))
        return sendfile(fd, from, NULL, 1);
    if (is("sendfile64"))
        return sendfile64(fd, from, NULL, 1);
    if (is("splice"))
        return splice(pipe, NULL, fd, NULL, 1, 0);
    if (is("dprintf"))
        return dprintf(fd, "%s", entry);
    if (is("__dprintf_chk"))
        return __dprintf_chk(fd, 1, "%s", entry);
    if (is("vdprintf") || is("__vdprintf_chk"))
        return print(fd, "%s", entry);
    if (is("ftruncate"))
        return ftruncate(fd, LIMIT + 1);
    if (is("ftruncate64"))
        return ftruncate64(fd, LIMIT + 1);
    if (is("fallocate"))
        return fallocate(fd, 0, 0, LIMIT + 1);
    if (is("fallocate64"))
        return fallocate64(fd, 0, 0, LIMIT + 1);
    if (is("posix_fallocate") || is("posix_fallocate64")) {
        int error = is("posix_fallocate") ? posix_fallocate(fd, 0, LIMIT + 1) : posix_fallocate64(fd, 0, LIMIT + 1);
        return error ? (errno = error, -1) : 0;
    }
    if (!strncmp(entry, "syscall-", 8))
        return by_number(fd, !strcmp(entry, "syscall-splice") ? pipe : from);
    exit(77);
}

static void say(const char *what, long result)
{
    printf("%s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}

static int open_target(void)
{
    int fd = open(target, O_RDWR | O_TRUNC | O_CLOEXEC);
    must(fd >= 0 && write(fd, "half", 4) == 4);
    limit();
    return fd;
}

/* A stream whose buffer can't be written out, or couldn't. */
static void stream(void)
{
    char text[4 * LIMIT];
    FILE *out = fopen(target, "w");
    must(out);
    limit();
    memset(text, 'x', sizeof text);
    setvbuf(out, NULL, _IOFBF, 2 * LIMIT);
    must(fwrite(text, 1, LIMIT + 1, out) == LIMIT + 1); /* still in the buffer */
    if (is("fflush"))
        say("call", fflush(out));
    else if (is("fflush_unlocked"))
        say("call", fflush_unlocked(out));
    else if (is("fflush-all"))
        say("call", fflush(NULL));
    else if (!strncmp(entry, "overflow", 8)) { /* nobody looks, and the buffer is gone */
        (void)!fwrite(text, 1, sizeof text, out);
        if (is("overflow"))
            errno = 0;
        else if (is("overflow-clearerr"))
            clearerr(out);
        else if (is("overflow-clearerr_unlocked"))
            clearerr_unlocked(out);
        else
            rewind(out);
    } else if (is("freopen"))
        must((out = freopen("/dev/null", "w", out)));
    else if (!is("fclose") && !is("fclose-duplicate") && !is("return"))
        exit(77);
    if (is("fclose-duplicate")) { /* not the last one: the stream's own error is all there is to say */
        int other = dup(fileno(out));
        say("call", fclose(out));
        say("close", close(other));
    } else if (!is("return")) {
        say(is("fclose") ? "call" : "close", fclose(out));
    }
}

static void unlimit(void)
{
    const struct rlimit size = { RLIM_INFINITY, RLIM_INFINITY };
    must(setrlimit(RLIMIT_FSIZE, &size) == 0);
}

/* A descriptor of the target to which a write has failed. */
static int failed(void)
{
    int fd = open_target();
    must(pwrite(fd, "x", 1, LIMIT) == -1 && errno == EFBIG);
    return fd;
}

static void second_attempt(int first)
{
    unlimit();
    if (is("again"))
        say("close", close(first));
    int fd = open(target, O_WRONLY | O_TRUNC);
    must(fd >= 0 && write(fd, "second attempt", 14) == 14);
    say("close", close(fd));
    if (!is("again"))
        say("close", close(first));
}

static void identity(int fd)
{
    struct stat opened, named;
    must(fstat(fd, &opened) == 0 && stat(target, &named) == 0);
    puts(opened.st_ino == named.st_ino && opened.st_dev == named.st_dev ? "the same file" : "another file");
    say("close", close(fd));
}

static void wait_for(pid_t pid)
{
    int status;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status))
        printf("cat %d\n", WEXITSTATUS(status));
    fflush(stdout);
}

/* A write fails in one process, and another one holds the file as well. */
static void processes(void)
{
    int fd = open_target();
    unlimit();
    pid_t pid = fork();
    if (pid == 0) {
        limit();
        must(pwrite(fd, "x", 1, LIMIT) == -1);
        _exit(0);
    }
    wait_for(pid);
    must(write(fd, "more", 4) == 4);
    if (is("exec")) { /* whose stdout it is, and who is told */
        pid = fork();
        if (pid == 0) {
            dup2(fd, 1);
            dup2(open("/dev/null", O_WRONLY), 2);
            execl("/bin/cat", "cat", "/proc/self/comm", NULL);
        }
        wait_for(pid);
    }
    say("close", close(fd));
}

/* Ends by a signal, with half a file written. */
static void die(void)
{
    int fd = open(target, O_RDWR | O_TRUNC);
    must(fd >= 0 && write(fd, "half", 4) == 4);
    if (is("abort"))
        abort();
    if (is("crash"))
        raise(SIGSEGV);
    if (is("file-size")) {
        limit();
        signal(SIGXFSZ, SIG_DFL);
        (void)!pwrite(fd, "x", 1, LIMIT);
    }
    char *map = (char *)mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(map != MAP_FAILED);
    map[LIMIT - 1] = 'x'; /* behind the end */
}

static void other_scene(void)
{
    if (is("again") || is("again-meanwhile"))
        second_attempt(failed());
    else if (is("identity"))
        identity(failed());
    else if (is("child") || is("exec"))
        processes();
    else if (is("parent")) { /* what it knows, its child knows */
        int fd = failed();
        pid_t pid = fork();
        if (pid == 0) {
            say("close", close(fd));
            exit(0);
        }
        wait_for(pid);
        say("close", close(fd));
    } else if (is("stray-read")) {
        FILE *out = fopen(target, "w");
        must(out && fputs("half", out) >= 0 && fgetc(out) == EOF && ferror(out));
        say("close", fclose(out));
    } else if (is("abort") || is("crash") || is("file-size") || is("bus")) {
        die();
    } else if (is("reserve")) {
        int fd = open_target();
        must(fallocate64(fd, FALLOC_FL_KEEP_SIZE, 0, (off64_t)1 << 62) < 0 && (errno == EFBIG || errno == ENOSPC));
        say("close", close(fd));
    } else {
        return;
    }
    exit(0);
}

int main(int argc, char **argv)
{
    static const char *const streams[] = { "fflush",
                                           "fflush_unlocked",
                                           "fflush-all",
                                           "overflow",
                                           "overflow-clearerr",
                                           "overflow-clearerr_unlocked",
                                           "overflow-rewind",
                                           "fclose",
                                           "fclose-duplicate",
                                           "freopen",
                                           "return" };
    if (argc != 3)
        return 2;
    entry = argv[1];
    target = argv[2];
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (is(streams[i])) {
            stream();
            return 0;
        }
    other_scene();
    int fd = open_target(), from = open("/proc/self/exe", O_RDONLY), ends[2];
    must(from >= 0 && pipe(ends) == 0 && write(ends[1], "x", 1) == 1 && lseek(fd, LIMIT, SEEK_SET) == LIMIT);
    long result = call(fd, from, ends[0]);
    say("call", result);
    say("write", write(fd, "", 0)); /* what comes later can't mend it */
    int other = dup(fd);
    say("close", close(fd)); /* not the last one */
    say("close", close(other));
    return result < 0 ? 0 : 1;
}

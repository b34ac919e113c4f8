/*
 * The sinks that speak a protocol, against bound sockets of our own; and what a file, a pipe or a socket may do to a line.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../shim/event/datagram.h"
#include "../shim/event/event.h"
#include "../shim/event/members.h"
#include "../shim/sys/call.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char directory[] = "/tmp/etxtbsy-unit-XXXXXX";
static int receiver;
static char addressed[108]; /* where the last message was for */
static int refusal;         /* the errno for messages with content; 0: none */
static int short_write;     /* takes only so much of a write; 0: all */
static unsigned calls;      /* made so far */
static char buffer[2 * EVENT_LINE_SIZE];

/* Leads every message to our own receiver, so that the real journal never sees a test. */
static long fake_call(long number, long a, long b, long c, long d, long e, long f)
{
    calls++;
    if (number == SYS_sendmsg) {
        struct msghdr *message = (struct msghdr *)b;
        struct sockaddr_un *address = message->msg_name, here = { .sun_family = AF_UNIX };
        memcpy(addressed, address->sun_path, sizeof addressed);
        if (refusal && message->msg_iovlen) {
            errno = refusal;
            return -1;
        }
        cr_assert(c & MSG_DONTWAIT);
        cr_assert(c & MSG_NOSIGNAL);
        snprintf(here.sun_path, sizeof here.sun_path, "%s/socket", directory);
        struct msghdr led = *message;
        led.msg_name = &here;
        led.msg_namelen = sizeof here;
        return syscall(number, a, &led, c);
    }
    if (number == SYS_write && short_write && c > short_write)
        c = short_write;
    return syscall(number, a, b, c, d, e, f);
}

static void enter(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    cr_assert(mkdtemp(directory));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory);
    receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(receiver, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(chdir(directory), 0);
    sys_entry = fake_call;
}

static void leave(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
}

TestSuite(sinks, .init = enter, .fini = leave, .timeout = 30);

static struct event an_event(const char *verdict)
{
    static struct host host = { .pid = 17, .parent = 16, .thread = 17, .name = "machine" };
    host.user = geteuid();
    return (struct event){
        .event = "wait",
        .op = "execve",
        .path = "two\nlines",
        .target = "/usr/bin/\xff",
        .error = ETXTBSY,
        .outcome = "succeeded",
        .verdict = verdict,
        .action = "retry",
        .message = "say \"it\"\tagain \\ please",
        .attempts = 2,
        .waited_ns = 1500000,
        .held_fd = -1,
        .host = &host,
        .comm = "cp",
        .exe = "/usr/bin/cp",
    };
}

static char line[EVENT_LINE_SIZE + 1];

static size_t format(const struct event *event)
{
    size_t length = event_format(event, line, EVENT_LINE_SIZE);
    line[length] = '\0';
    return length;
}

static size_t received(void)
{
    ssize_t length = recv(receiver, buffer, sizeof buffer - 1, 0);
    cr_assert_gt(length, 0, "nothing came");
    buffer[length] = '\0';
    return (size_t)length;
}

/* The value of a field in the journal's protocol, and its length; NULL: it isn't there. */
static const char *field(const char *bytes, size_t length, const char *name, size_t *value_length)
{
    for (const char *at = bytes, *end = bytes + length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *equals = memchr(at, '=', (size_t)(end - at)), *value;
        cr_assert_not_null(newline, "a field without an end");
        size_t size;
        const char *name_end = equals && equals < newline ? equals : newline;
        if (name_end == equals) {
            value = equals + 1;
            size = (size_t)(newline - value);
        } else {
            uint64_t number = 0;
            for (int i = 7; i >= 0; i--)
                number = number << 8 | (unsigned char)newline[1 + i];
            value = newline + 9;
            size = (size_t)number;
        }
        cr_assert_leq(size, (size_t)(end - value));
        cr_assert_eq(value[size], '\n');
        if ((size_t)(name_end - at) == strlen(name) && !memcmp(at, name, strlen(name))) {
            *value_length = size;
            return value;
        }
        at = value + size + 1;
    }
    return NULL;
}

static void expect_field(const char *bytes, size_t length, const char *name, const char *expected)
{
    size_t size = 0;
    const char *value = field(bytes, length, name, &size);
    cr_expect_not_null(value, "no %s", name);
    if (value)
        cr_expect(size == strlen(expected) && !memcmp(value, expected, size), "%s is %.*s", name, (int)size, value);
}

static void expect_record(const char *bytes, size_t length)
{
    expect_field(bytes, length, "MESSAGE", "say \"it\"\tagain \\ please");
    expect_field(bytes, length, "PRIORITY", "6");
    expect_field(bytes, length, "SYSLOG_IDENTIFIER", "etxtbsy");
    expect_field(bytes, length, "ETXTBSY_OP", "execve");
    expect_field(bytes, length, "ETXTBSY_VERDICT", "transient");
    expect_field(bytes, length, "ETXTBSY_ERRNO", "26");
    expect_field(bytes, length, "ETXTBSY_WAITED_MS", "1.500");
    expect_field(bytes, length, "ETXTBSY_PATH", "two\nlines");
    expect_field(bytes, length, "ETXTBSY_TARGET", "/usr/bin/\\xff");
    expect_field(bytes, length, "ETXTBSY_TARGET_B64", "L3Vzci9iaW4v/w==");
    expect_field(bytes, length, "ETXTBSY_DELAYS", "{\"attempts\":2,\"first_ms\":0.000,\"last_ms\":0.000}");
}

Test(sinks, the_journal_gets_the_record_as_fields)
{
    struct event event = an_event("transient");
    size_t length = format(&event);
    event_send("journal", &event, line, length);
    length = received();
    cr_expect_str_eq(addressed, "/run/systemd/journal/socket");
    expect_record(buffer, length);

    /* Every member of the line is there. */
    struct json_object *object = json_tokener_parse(line);
    json_object_object_foreach(object, name, value)
    {
        char upper[64] = "ETXTBSY_";
        size_t size;
        (void)value;
        for (size_t i = 0; i <= strlen(name); i++)
            upper[8 + i] = (char)(name[i] >= 'a' ? name[i] - 32 : name[i]);
        cr_expect(!strcmp(name, "message") || field(buffer, length, upper, &size), "no %s", upper);
    }
}

/* The kernel takes no datagram that is larger than the socket's buffer; the journal then takes a sealed memory file. */
Test(sinks, the_journal_gets_a_large_record_as_a_sealed_file)
{
    struct event event = an_event("transient");
    size_t length = format(&event);
    refusal = EMSGSIZE;
    event_send("journal", &event, line, length);

    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof control };
    cr_assert_eq(recvmsg(receiver, &message, MSG_CMSG_CLOEXEC), 0, "it isn't empty");
    cr_assert_eq(control.header.cmsg_type, SCM_RIGHTS);
    int fd;
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    int seals = fcntl(fd, F_GET_SEALS);
    cr_expect_eq(seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    ssize_t got = pread(fd, buffer, sizeof buffer, 0);
    cr_assert_gt(got, 0);
    expect_record(buffer, (size_t)got);
}

Test(sinks, priority_is_the_verdicts)
{
    static const struct {
        const char *verdict, *priority, *header;
    } rows[] = {
        { "transient", "6", "<14>" }, { "replaced", "5", "<13>" }, { "persistent", "4", "<12>" },
        { "self-held", "3", "<11>" }, { "refused", "4", "<12>" },  { "failed", "3", "<11>" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event event = an_event(rows[i].verdict);
        size_t length = format(&event);
        event_send("journal,syslog", &event, line, length);
        length = received();
        expect_field(buffer, length, "PRIORITY", rows[i].priority);
        received();
        cr_expect(!strncmp(buffer, rows[i].header, 4), "%s: %.20s", rows[i].verdict, buffer);
    }
}

Test(sinks, syslog_gets_a_line_as_from_libc)
{
    struct event event = an_event("transient");
    size_t length = format(&event);
    event_send("syslog", &event, line, length);
    received();
    cr_expect_str_eq(addressed, "/dev/log");
    time_t now = time(NULL);
    char expected[64], stamp[32];
    bool found = false;
    for (int late = -1; late < 5 && !found; late++) { /* the second may have passed meanwhile; and time(2) is a tick behind */
        time_t then = now - late;
        struct tm utc;
        strftime(stamp, sizeof stamp, "%h %e %T", gmtime_r(&then, &utc));
        snprintf(expected, sizeof expected, "<14>%s etxtbsy[%d]: {", stamp, getpid());
        found = !strncmp(buffer, expected, strlen(expected));
    }
    cr_expect(found, "%.60s instead of %s", buffer, expected);
    struct json_object *object = json_tokener_parse(strchr(buffer, '{'));
    cr_expect_not_null(object);
    cr_expect_null(strchr(buffer, '\n'));
}

Test(sinks, a_receiver_that_is_not_there_or_busy_does_no_harm)
{
    struct event event = an_event("transient");
    size_t length = format(&event);
    int before = dup(2);
    close(before);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < 24; i++) { /* more than a socket's queue takes */
        errno = ETXTBSY;
        event_send(i < 12 ? "journal" : "syslog", &event, line, length);
        cr_expect_eq(errno, ETXTBSY);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_lt(end.tv_sec - start.tv_sec, 20);
    unlink("socket");
    event_send("journal,syslog", &event, line, length);
    int after = dup(2);
    close(after);
    cr_expect_eq(after, before, "a descriptor was left");
}

Test(sinks, a_sink_that_fails_does_not_keep_the_next_from_the_line)
{
    struct event event = an_event("transient");
    char sinks[300], *content = NULL;
    size_t length = format(&event), size = 0;
    refusal = ECONNREFUSED;
    snprintf(sinks, sizeof sinks, "journal,syslog,/nowhere/at/all,fd:987,%s,/dev/full,%s/log", directory, directory);
    event_send(sinks, &event, line, length);
    FILE *file = fopen("log", "r");
    cr_assert_not_null(file);
    getdelim(&content, &size, '\0', file);
    cr_expect_str_eq(content, line);
    fclose(file);
}

/* ---- files ---- */

static long size_of(const char *name)
{
    struct stat file;
    return stat(name, &file) == 0 ? (long)file.st_size : -1;
}

static void send_to_log(void)
{
    struct event event = an_event("transient");
    char sink[100];
    size_t length = format(&event);
    snprintf(sink, sizeof sink, "%s/log", directory);
    event_send(sink, &event, line, length);
}

/* What a full disk has cut is ended, so that the next line is a line. */
Test(sinks, a_line_that_is_cut_by_a_full_disk_spoils_no_other)
{
    short_write = 100;
    send_to_log();
    cr_expect_eq(size_of("log"), 100);
    short_write = 0;
    send_to_log();
    FILE *file = fopen("log", "r");
    char *first = NULL, *second = NULL;
    size_t a = 0, b = 0;
    cr_expect_eq(getline(&first, &a, file), 100);
    cr_expect_gt(getline(&second, &b, file), 500);
    cr_expect_not_null(json_tokener_parse(second), "%s", second);
    fclose(file);
}

Test(sinks, the_limit_on_the_size_of_files_kills_nobody)
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = { 0, 0 };
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_FSIZE, &none);
        send_to_log();
        _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "ended with %x", status);
    cr_expect_eq(size_of("log"), 0);
}

/* What everybody pays who has a log file: the time, open, fstat, two for the signals, write, close. */
Test(sinks, a_line_in_a_file_of_ours_takes_seven_calls)
{
    send_to_log();
    calls = 0;
    send_to_log();
    cr_expect_eq(calls, 7, "%u", calls);
}

/* In a directory like /tmp somebody else may have put a file, a FIFO or a hard link where the log is to be. */
Test(sinks, takes_nobodys_bait)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: only root can make files of others\n");
        return;
    }
    chmod(directory, 01777);
    close(open("log", O_WRONLY | O_CREAT, 0666));
    cr_assert_eq(chown("log", 65534, 65534), 0);
    send_to_log();
    cr_expect_eq(size_of("log"), 0, "somebody else's file was written to");
    chmod(directory, 0755); /* here its owner has been let in */
    send_to_log();
    cr_expect_gt(size_of("log"), 0);

    chmod(directory, 01777);
    unlink("log");
    close(open("victim", O_WRONLY | O_CREAT, 0600));
    cr_assert_eq(link("victim", "log"), 0);
    send_to_log();
    cr_expect_eq(size_of("victim"), 0, "a hard link led elsewhere");

    unlink("log");
    cr_assert_eq(mkfifo("log", 0666), 0);
    cr_assert_eq(chown("log", 65534, 65534), 0);
    int reader = open("log", O_RDONLY | O_NONBLOCK);
    char byte;
    send_to_log();
    cr_expect_leq(read(reader, &byte, 1), 0, "a stranger's FIFO got the line");
    cr_assert_eq(chown("log", 0, 0), 0);
    send_to_log();
    cr_expect_eq(read(reader, &byte, 1), 1, "our own didn't");
    close(reader);

    unlink("log");
    cr_assert_eq(mkdir("log", 0755), 0);
    send_to_log();
    rmdir("log");
}

/* ---- terminals ---- */

/* The leader of a session on the terminal, in the foreground: returns how its job in the background, which sends a line, fared. */
static int job_in_the_background(const char *terminal)
{
    struct termios settings;
    setsid();
    int fd = open(terminal, O_RDWR); /* the session's from now on */
    if (fd < 0 || tcgetattr(fd, &settings) < 0)
        return -1;
    settings.c_lflag |= TOSTOP;
    tcsetattr(fd, TCSANOW, &settings);
    pid_t job = fork();
    if (job == 0) {
        struct event event = an_event("transient");
        char sink[32];
        setpgid(0, 0);
        snprintf(sink, sizeof sink, "fd:%d", fd);
        event_send(sink, &event, line, format(&event));
        _exit(7);
    }
    int status;
    waitpid(job, &status, WUNTRACED);
    if (WIFSTOPPED(status))
        kill(job, SIGKILL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WSTOPSIG(status);
}

Test(sinks, a_terminal_stops_no_job_in_the_background)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        cr_skip_test("there is no pseudoterminal here");
    pid_t leader = fork();
    if (leader == 0)
        _exit(job_in_the_background(ptsname(master)));
    int status;
    waitpid(leader, &status, 0);
    cr_assert_eq(WEXITSTATUS(status), 7, "%d", WEXITSTATUS(status));
    cr_assert_gt(read(master, buffer, sizeof buffer), 0);
    cr_expect_eq(buffer[0], '{');
}

/* ---- pipes and sockets ---- */

static struct event a_long_event(const char *path)
{
    struct event event = an_event("transient");
    event.path = event.target = event.rule = path;
    return event;
}

/* A pipe mixes what is longer than PIPE_BUF: such a line is cut, and stays valid with every field that must be there. */
Test(sinks, a_pipe_and_a_socket_get_a_line_in_one_piece)
{
    static char path[4000];
    int fds[2][2];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    struct event event = a_long_event(path);
    size_t length = format(&event);
    cr_assert_gt(length, 12000);
    cr_assert_eq(pipe2(fds[0], O_CLOEXEC), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[1]), 0);
    for (int i = 0; i < 2; i++) {
        char sink[32];
        snprintf(sink, sizeof sink, "fd:%d", fds[i][1]);
        event_send(sink, &event, line, length);
        ssize_t got = read(fds[i][0], buffer, sizeof buffer - 1);
        cr_assert(got > 0 && got <= PIPE_BUF, "%zd bytes", got);
        buffer[got] = '\0';
        struct json_object *object = json_tokener_parse(buffer), *field;
        cr_assert_not_null(object, "%s", buffer);
        static const char *const required[] = {
            "ts", "op", "outcome", "verdict", "path", "target", "rule", "exe", "pid", "message"
        };
        for (size_t n = 0; n < COUNT(required); n++)
            cr_expect(json_object_object_get_ex(object, required[n], &field), "no %s", required[n]);
    }
}

/* 64 processes into one pipe, long lines and short ones. */
Test(sinks, lines_of_64_processes_do_not_mix_in_a_pipe)
{
    enum { PROCESSES = 64, LINES = 4 };
    static char path[4000];
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert_geq(fcntl(fds[1], F_SETPIPE_SZ, PROCESSES * LINES * PIPE_BUF), 0); /* nobody has to wait for the reader */
    for (int process = 0; process < PROCESSES; process++)
        if (fork() == 0) {
            char sink[32];
            memset(path, 'a' + process % 26, (size_t)(process * 60 + 1));
            struct event event = a_long_event(path);
            snprintf(sink, sizeof sink, "fd:%d", fds[1]);
            for (int i = 0; i < LINES; i++)
                event_send(sink, &event, line, format(&event));
            _exit(0);
        }
    close(fds[1]);
    FILE *stream = fdopen(fds[0], "r");
    char *text = NULL;
    size_t size = 0;
    int lines = 0;
    while (getline(&text, &size, stream) > 0) {
        struct json_object *object = json_tokener_parse(text), *value;
        cr_assert_not_null(object, "mixed: %s", text);
        cr_assert(json_object_object_get_ex(object, "path", &value));
        const char *seen = json_object_get_string(value);
        cr_assert_eq(strspn(seen, (char[]){ seen[0], '\0' }), strlen(seen), "mixed: %s", text);
        json_object_put(object);
        lines++;
    }
    while (wait(NULL) > 0)
        ;
    cr_expect_eq(lines, PROCESSES * LINES, "%d lines", lines);
}

/* ---- reading a line back ---- */

Test(sinks, nothing_is_read_beyond_a_broken_line)
{
    static const char *const broken[] = {
        "",          "{",           "}",        "{\"",         "{\"a",      "{\"a\"", "{\"a\":",
        "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[", "{\"a\":[\"]", "{\"a\":{}", "x",      "{a:1}",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        struct member member;
        char *copy = strdup(broken[i]); /* where the sanitizer sees its end */
        const char *at = copy;
        while (member_next(&at, &member))
            cr_expect_leq((size_t)(at - copy), strlen(copy));
        free(copy);
    }
    const char *at = "{\"a\":\"x\\u0001\\\"\\\\y\\u00zz\",\"b\":[1,{\"c\":\"]}\"}],\"d\":-1.5}";
    struct member member;
    char value[64];
    cr_assert(member_next(&at, &member));
    size_t length = member_value(&member, value);
    cr_expect_eq(length, strlen("x\1\"\\y\\u00zz"));
    cr_expect_arr_eq(value, "x\1\"\\y\\u00zz", length);
    cr_assert(member_next(&at, &member));
    cr_expect(member_is(&member, "b"));
    length = member_value(&member, value);
    cr_expect_arr_eq(value, "[1,{\"c\":\"]}\"}]", length);
    cr_assert(member_next(&at, &member));
    cr_expect(member_is(&member, "d"));
    cr_expect_not(member_next(&at, &member));
}

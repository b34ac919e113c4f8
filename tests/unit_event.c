#include <criterion/criterion.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../shim/event/event.h"
#include "../shim/event/json.h"
#include "../shim/sys/call.h"
#include "../shim/sys/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LONG_PATH 4095

/* ---- a replaceable clock and poll ------------------------------------------------------------------------------------------- */

static struct timespec fake_time;
static bool fake_poll;
static long failing_call;

static long fake_call(long number, long a0, long b, long c, long d, long e, long f)
{
    const long a[6] = { a0, b, c, d, e, f };
    if (fake_time.tv_sec && number == SYS_clock_gettime && a[0] == CLOCK_REALTIME) {
        *(struct timespec *)a[1] = fake_time;
        return 0;
    }
    if (fake_poll && number == SYS_ppoll) { /* the reader goes just behind the poll */
        ((struct pollfd *)a[0])->revents = POLLOUT;
        return 1;
    }
    if (failing_call && number == failing_call) {
        errno = ENOMEM;
        return -1;
    }
    return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void replace_calls(void)
{
    sys_entry = fake_call;
}

TestSuite(event, .init = replace_calls);
TestSuite(send, .init = replace_calls);

/* ---- helpers ---------------------------------------------------------------------------------------------------------------- */

static const struct host a_host = { .pid = 17, .parent = 16, .thread = 18, .user = 19, .name = "machine" };

static struct event an_event(void)
{
    return (struct event){
        .event = "redirect",
        .op = "open64",
        .path = "app",
        .target = "/usr/bin/app",
        .error = ETXTBSY,
        .outcome = "replaced",
        .verdict = "replaced",
        .action = "redirect",
        .rule = "/etc/etxtbsy.conf:3",
        .message = "a sentence",
        .attempts = 3,
        .waited_ns = 1234567,
        .held_fd = -1,
        .host = &a_host,
        .comm = "cp",
        .exe = "/usr/bin/cp",
    };
}

/* Parses as strictly as json-c can: one object and a newline, nothing else, all of it UTF-8. */
static struct json_object *parse(const char *line, size_t length)
{
    cr_assert_gt(length, 0);
    cr_assert_eq(line[length - 1], '\n', "no newline at the end");
    cr_assert_null(memchr(line, '\n', length - 1), "more than one line");
    struct json_tokener *tokener = json_tokener_new();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object = json_tokener_parse_ex(tokener, line, (int)length - 1);
    cr_assert_eq(json_tokener_get_error(tokener), json_tokener_success, "%s: %.*s",
                 json_tokener_error_desc(json_tokener_get_error(tokener)), (int)(length < 300 ? length : 300), line);
    cr_assert_eq(json_tokener_get_parse_end(tokener), length - 1);
    cr_assert(json_object_is_type(object, json_type_object));
    json_tokener_free(tokener);
    return object;
}

static char line[EVENT_LINE_SIZE];

static struct json_object *formatted(const struct event *event)
{
    memset(line, 0xaa, sizeof line);
    return parse(line, event_format(event, line, sizeof line));
}

static const char *string_of(struct json_object *object, const char *name)
{
    struct json_object *field;
    return json_object_object_get_ex(object, name, &field) ? json_object_get_string(field) : NULL;
}

static int64_t number_of(struct json_object *object, const char *name)
{
    struct json_object *field;
    cr_assert(json_object_object_get_ex(object, name, &field), "no %s", name);
    cr_assert(json_object_is_type(field, json_type_int), "%s is no number", name);
    return json_object_get_int64(field);
}

static bool has(struct json_object *object, const char *name)
{
    return json_object_object_get_ex(object, name, NULL);
}

static size_t decode_base64(const char *text, char *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = 0;
    cr_assert_eq(strlen(text) % 4, 0);
    for (; *text; text += 4) {
        uint32_t bits = 0;
        int padding = 0;
        for (int i = 0; i < 4; i++) {
            const char *digit = text[i] == '=' ? NULL : strchr(digits, text[i]);
            cr_assert(digit || (text[i] == '=' && i >= 2 && !text[4]), "not base64");
            padding += !digit;
            bits = bits << 6 | (uint32_t)(digit ? digit - digits : 0);
        }
        for (int i = 0; i < 3 - padding; i++)
            bytes[length++] = (char)(bits >> (16 - 8 * i));
    }
    bytes[length] = '\0';
    return length;
}

/* The bytes that a path field stands for: those of the "_b64" field if there is one. */
static const char *path_of(struct json_object *object, const char *name)
{
    static char bytes[2 * EVENT_LINE_SIZE];
    char encoded[64];
    snprintf(encoded, sizeof encoded, "%s_b64", name);
    const char *base64 = string_of(object, encoded);
    if (!base64)
        return string_of(object, name);
    decode_base64(base64, bytes);
    return bytes;
}

/* ---- the line --------------------------------------------------------------------------------------------------------------- */

Test(event, says_every_field)
{
    struct event event = an_event();
    event.reason = "path";
    event.held_fd = 0;
    event.stage = "/usr/bin/.app.etxtbsy-1-0123456789ab";
    event.bytes = 5;
    event.old_inode = 6;
    event.new_inode = UINT64_C(9223372036854775807);
    event.hard_links = 2;
    event.sync = "full";
    event.published_early = true;
    event.first_delay_ns = 100000;
    event.last_delay_ns = 8000000;
    static struct host where = { .pid = 17,
                                 .parent = 16,
                                 .thread = 18,
                                 .user = 19,
                                 .name = "machine",
                                 .unit = "app.service",
                                 .boot_id = "b",
                                 .invocation_id = "i",
                                 .container_id = "c" };
    strcpy(where.ancestors[0], "make");
    strcpy(where.ancestors[1], "a\xff");
    event.host = &where;
    struct json_object *object = formatted(&event);
    cr_expect_eq(number_of(object, "v"), EVENT_VERSION);
    cr_expect_str_eq(string_of(object, "event"), "redirect");
    cr_expect_str_eq(string_of(object, "op"), "open64");
    cr_expect_str_eq(string_of(object, "path"), "app");
    cr_expect_str_eq(string_of(object, "target"), "/usr/bin/app");
    cr_expect_eq(number_of(object, "errno"), ETXTBSY);
    cr_expect_str_eq(string_of(object, "error"), "ETXTBSY");
    cr_expect_str_eq(string_of(object, "strerror"), "Text file busy");
    cr_expect_str_eq(string_of(object, "outcome"), "replaced");
    cr_expect_str_eq(string_of(object, "verdict"), "replaced");
    cr_expect_str_eq(string_of(object, "action"), "redirect");
    cr_expect_str_eq(string_of(object, "rule"), "/etc/etxtbsy.conf:3");
    cr_expect_str_eq(string_of(object, "reason"), "path");
    cr_expect_str_eq(string_of(object, "message"), "a sentence");
    cr_expect_str_eq(string_of(object, "waited_ms"), "1.234");
    cr_expect_eq(number_of(object, "attempts"), 3);
    cr_expect_eq(number_of(object, "held_fd"), 0);
    cr_expect_str_eq(string_of(object, "stage"), event.stage);
    cr_expect_eq(number_of(object, "bytes"), 5);
    cr_expect_eq(number_of(object, "old_inode"), 6);
    cr_expect_eq(number_of(object, "new_inode"), INT64_MAX);
    cr_expect_eq(number_of(object, "pid"), 17);
    cr_expect_eq(number_of(object, "ppid"), 16);
    cr_expect_eq(number_of(object, "tid"), 18);
    cr_expect_eq(number_of(object, "uid"), 19);
    cr_expect_str_eq(string_of(object, "host"), "machine");
    cr_expect_str_eq(string_of(object, "exe"), "/usr/bin/cp");
    cr_expect_str_eq(string_of(object, "comm"), "cp");
    cr_expect_eq(number_of(object, "hard_links"), 2);
    cr_expect_str_eq(string_of(object, "sync"), "full");
    cr_expect_str_eq(string_of(object, "published_early"), "true");
    cr_expect_str_eq(string_of(object, "delays"), "{ \"attempts\": 3, \"first_ms\": 0.100, \"last_ms\": 8.000 }");
    cr_expect_str_eq(string_of(object, "unit"), "app.service");
    cr_expect_str_eq(string_of(object, "boot_id"), "b");
    cr_expect_str_eq(string_of(object, "invocation_id"), "i");
    cr_expect_str_eq(string_of(object, "container_id"), "c");
    cr_expect_str_eq(string_of(object, "ancestry"), "[ \"make\", \"a\\\\xff\" ]");
    cr_expect_not(has(object, "holders"), "nobody has looked");
}

Test(event, leaves_out_what_does_not_apply)
{
    struct event event = an_event();
    event.path = event.target = event.action = event.rule = NULL;
    event.error = 0;
    struct json_object *object = formatted(&event);
    cr_expect_str_eq(string_of(object, "path"), "");
    cr_expect_str_eq(string_of(object, "target"), "");
    cr_expect_str_eq(string_of(object, "action"), "none");
    cr_expect_str_eq(string_of(object, "rule"), "built-in");
    cr_expect_str_eq(string_of(object, "error"), "none");
    cr_expect_str_eq(string_of(object, "strerror"), "Success");
    static const char *const names[] = { "reason", "held_fd", "stage", "bytes", "old_inode", "new_inode", "path_b64", "exe_b64" };
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_not(has(object, names[i]), "%s", names[i]);
}

/* An errno that nobody thought of is said by its number; those in the table say what libc says. */
Test(event, names_errors_as_libc_does)
{
    for (int error = 1; error < 134; error++) {
        struct event event = an_event();
        event.error = error;
        struct json_object *object = formatted(&event);
        const char *name = string_of(object, "error");
        char number[16];
        snprintf(number, sizeof number, "%d", error);
        cr_expect_eq(number_of(object, "errno"), error);
        if (strcmp(name, number)) {
            cr_expect_str_eq(name, strerrorname_np(error));
            cr_expect_str_eq(string_of(object, "strerror"), strerrordesc_np(error));
        }
        json_object_put(object);
    }
}

Test(event, says_times_to_the_microsecond)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {
        { 0, "0.000" },
        { 999, "0.000" },
        { 1000, "0.001" },
        { 999999, "0.999" },
        { 1000000, "1.000" },
        { 10 * CLOCK_SECOND + 50000, "10000.050" },
        { UINT64_MAX, "18446744073709.551" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event event = an_event();
        event.waited_ns = rows[i].ns;
        struct json_object *object = formatted(&event);
        cr_expect_str_eq(string_of(object, "waited_ms"), rows[i].text);
        json_object_put(object);
    }
}

Test(event, has_the_date_that_gmtime_has)
{
    /* Every day in turn around the leap days, and 400 years in steps that meet every time of day. */
    const int64_t end = sizeof(time_t) < 8 ? INT32_MAX : INT64_C(18000000000);
    const struct {
        int64_t from, to, step;
    } ranges[] = {
        { 1, 86400 * 3, 997 },
        { 951696000 - 3 * 86400, 951696000 + 3 * 86400, 3607 },   /* 2000-02-28 */
        { 4107456000 - 3 * 86400, 4107456000 + 3 * 86400, 3607 }, /* 2100-02-28: no leap day */
        { 1709078400 - 3 * 86400, 1709078400 + 3 * 86400, 3607 }, /* 2024-02-28 */
        { 1735603200 - 86400, 1735603200 + 2 * 86400, 599 },      /* the turn of a year */
        { 1, end, 6 * 86400 + 12345 },                            /* to 2540, the end of 64 bits of nanoseconds */
    };
    for (size_t i = 0; i < COUNT(ranges); i++)
        for (int64_t next = ranges[i].from; next < ranges[i].to && next <= end; next += ranges[i].step) {
            const time_t at = (time_t)next;
            struct event event = an_event();
            struct tm tm;
            char expected[64];
            fake_time = (struct timespec){ at, (at % 1000) * 1000000 + 999999 };
            size_t length = strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", gmtime_r(&at, &tm));
            snprintf(expected + length, sizeof expected - length, ".%03dZ", (int)(at % 1000));
            size_t size = event_format(&event, line, sizeof line);
            cr_assert_gt(size, 40);
            cr_assert_eq(strncmp(line, "{\"ts\":\"", 7), 0);
            line[7 + strlen(expected)] = '\0';
            cr_assert_str_eq(line + 7, expected);
        }
}

/* Each line is what event_format would have made, through all the lengths of the numbers. */
Test(event, is_renewed_as_if_it_were_made_anew)
{
    static char renewed[EVENT_SHORT_SIZE + 1];
    const uint64_t steps[] = { 2, 3, 9, 10, 99, 1000, 12, 123456789, 2 };
    struct event event = an_event();
    event.path = "\"attempts\":7,}"; /* not to be taken for ours */
    event.attempts = 2;
    fake_time = (struct timespec){ 1000000000, 1000000 };
    size_t length = event_format(&event, renewed, EVENT_SHORT_SIZE);
    renewed[length] = '\0';
    for (size_t i = 0; i < COUNT(steps); i++) {
        fake_time.tv_sec += 1000;
        event.attempts = steps[i];
        event.waited_ns = steps[i] * 1234567;
        event.first_delay_ns = steps[i] * 1000;
        event.last_delay_ns = steps[i] * 999999;
        length = event_renew(&event, renewed, length, EVENT_SHORT_SIZE);
        size_t expected = event_format(&event, line, EVENT_SHORT_SIZE);
        line[expected] = '\0';
        cr_assert_eq(length, expected);
        cr_assert_str_eq(renewed, line);
    }
    event.waited_ns = UINT64_MAX;
    errno = ETXTBSY;
    cr_expect_eq(event_renew(&event, renewed, length, length), 0, "there is no room");
    cr_expect_str_eq(renewed, line, "it isn't as it was");
    event.attempts = 1;
    event_format(&event, line, sizeof line);
    line[100] = '\0'; /* without the delays */
    cr_expect_eq(event_renew(&event, line, 100, sizeof line), 0);
    int error = errno;
    cr_expect_eq(error, ETXTBSY);
}

Test(event, keeps_errno)
{
    static const long calls[] = { 0, SYS_clock_gettime };
    for (size_t i = 0; i < COUNT(calls); i++) {
        struct event event = an_event();
        failing_call = calls[i];
        errno = ETXTBSY;
        size_t length = event_format(&event, line, sizeof line);
        int error = errno;
        failing_call = 0;
        cr_expect_eq(error, ETXTBSY, "system call %ld", calls[i]);
        struct json_object *object = parse(line, length);
        json_object_put(object);
    }
}

static void *expect_own_numbers(void *unused)
{
    struct host host;
    struct lines lines;
    host_learn(&host, &lines);
    cr_expect_eq(host.pid, getpid());
    cr_expect_eq(host.parent, getppid());
    cr_expect_eq(host.thread, gettid());
    cr_expect_eq(host.user, geteuid());
    return unused;
}

/* The second line of a process opens nothing to find out where that runs; a child's first line finds out anew. */
Test(event, remembers_where_the_process_runs)
{
    struct host first, again;
    struct lines lines;
    host_learn(&first, &lines);
    char machine[65] = "";
    gethostname(machine, sizeof machine);
    cr_expect_str_eq(first.name, machine);
    cr_expect_eq(strlen(first.boot_id), 36);
    failing_call = SYS_openat;
    errno = ETXTBSY;
    host_learn(&again, &lines);
    cr_expect_eq(errno, ETXTBSY);
    failing_call = 0;
    cr_expect_eq(memcmp(&again, &first, sizeof first), 0);
    expect_own_numbers(NULL);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, expect_own_numbers, NULL), 0);
    pthread_join(thread, NULL);

    prctl(PR_SET_NAME, "the parent");
    pid_t pid = fork();
    if (pid == 0) {
        host_learn(&again, &lines);
        _exit(strcmp(again.ancestors[0], "the parent")             ? 1
              : strcmp(again.ancestors[1], first.ancestors[0])     ? 2
              : again.pid != getpid() || again.parent != getppid() ? 3
              : again.thread != getpid()                           ? 4
                                                                   : 0);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0, "the child took its parent's word: %d", WEXITSTATUS(status));
}

/* ---- paths of any bytes ----------------------------------------------------------------------------------------------------- */

static void expect_bytes_back(const char *path)
{
    struct event event = an_event();
    event.path = event.target = event.stage = event.rule = path;
    struct json_object *object = formatted(&event);
    static const char *const names[] = { "path", "target", "stage", "rule" };
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_str_eq(path_of(object, names[i]), path, "%s", names[i]);
    json_object_put(object);
}

Test(event, gives_back_every_byte)
{
    char all[256 + 1] = "/";
    for (int byte = 1; byte < 256; byte++) {
        char one[] = { '/', (char)byte, 'x', '\0' }, last[] = { '/', 'x', (char)byte, '\0' };
        expect_bytes_back(one);
        expect_bytes_back(last);
        all[byte] = (char)byte;
    }
    expect_bytes_back(all);
    expect_bytes_back("/\"quoted\"/back\\slash/\\\\x41/\\u0041");
    expect_bytes_back("/\x01\x1f\x7f\n\r\t\b\f\x1b[31m");
}

/* Base64 comes in groups of three bytes: each length of the rest. */
Test(event, gives_back_invalid_bytes_at_each_length)
{
    char path[64] = "\xff";
    for (size_t length = 1; length < sizeof path; length++) {
        expect_bytes_back(path);
        path[length] = (char)('\x80' + length);
        path[length + 1 < sizeof path ? length + 1 : length] = '\0';
    }
}

Test(event, tells_utf8_from_other_bytes)
{
    static const struct {
        const char *bytes;
        bool utf8;
        const char *readable;
    } rows[] = {
        { "caf\xc3\xa9", true },
        { "\xe2\x82\xac", true },
        { "\xf0\x9f\x98\x80", true },
        { "\xc2\x80", true },
        { "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", true },
        { "\xed\x9f\xbf\xee\x80\x80", true },
        { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true },
        { "caf\xe9", false, "caf\\xe9" },
        { "\x80", false, "\\x80" },
        { "\xff", false, "\\xff" },
        { "\xc0\xaf", false, "\\xc0\\xaf" }, /* overlong */
        { "\xc1\xbf", false, "\\xc1\\xbf" },
        { "\xe0\x9f\xbf", false, "\\xe0\\x9f\\xbf" },
        { "\xf0\x8f\xbf\xbf", false, "\\xf0\\x8f\\xbf\\xbf" },
        { "\xed\xa0\x80", false, "\\xed\\xa0\\x80" }, /* a surrogate */
        { "\xf4\x90\x80\x80", false, "\\xf4\\x90\\x80\\x80" },
        { "\xf5\x80\x80\x80", false, "\\xf5\\x80\\x80\\x80" },
        { "\xe2\x82", false, "\\xe2\\x82" }, /* cut off */
        { "\xe2\x82x", false, "\\xe2\\x82x" },
        { "\xf0\x9f\x98", false, "\\xf0\\x9f\\x98" },
        { "\xc3", false, "\\xc3" },
        { "\xc3\xc3\xa9", false, "\\xc3\xc3\xa9" },
        { "a\nb\xff", false, "a\nb\\xff" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event event = an_event();
        event.path = rows[i].bytes;
        struct json_object *object = formatted(&event);
        cr_expect_eq(has(object, "path_b64"), !rows[i].utf8, "row %zu", i);
        cr_expect_str_eq(string_of(object, "path"), rows[i].utf8 ? rows[i].bytes : rows[i].readable, "row %zu", i);
        cr_expect_str_eq(path_of(object, "path"), rows[i].bytes, "row %zu", i);
        json_object_put(object);
    }
}

/* What event.schema.json demands of every line. */
static const char *const required[] = {
    "ts",       "v",         "event",  "op",   "outcome", "verdict", "path", "target", "errno", "error", "strerror", "message",
    "attempts", "waited_ms", "action", "rule", "pid",     "ppid",    "tid",  "uid",    "comm",  "exe",   "host",
};

static const char *long_path(char *buffer, const char *unit, size_t length)
{
    size_t size = strlen(unit);
    for (size_t i = 0; i < length; i++)
        buffer[i] = unit[i % size];
    buffer[length] = '\0';
    return buffer;
}

Test(event, gives_back_the_longest_paths)
{
    static const char *const units[] = { "x", "/\x01", "\x01", "\"", "\\", "\xc3\xa9", "\xe2\x82\xac", "\xff" };
    for (size_t i = 0; i < COUNT(units); i++) {
        char buffer[LONG_PATH + 1];
        struct event event = an_event();
        event.path = event.target = long_path(buffer, units[i], LONG_PATH);
        struct json_object *object = formatted(&event);
        cr_expect_str_eq(path_of(object, "path"), event.path, "row %zu", i);
        cr_expect_str_eq(path_of(object, "target"), event.path, "row %zu", i);
        for (size_t r = 0; r < COUNT(required); r++)
            cr_expect(has(object, required[r]), "no %s (row %zu)", required[r], i);
        json_object_put(object);
    }
}

/* A line that lacks what the schema demands is no use to whoever reads the log: the long fields have to yield. */
Test(event, has_all_required_fields_however_long_the_others_are)
{
    static const char *const units[] = { "x", "\x01", "\xff", "\xe2\x82\xac" };
    for (size_t i = 0; i < COUNT(units); i++) {
        char buffer[LONG_PATH + 1], sentence[2 * LONG_PATH + 1];
        struct event event = an_event();
        event.path = event.target = event.stage = event.rule = long_path(buffer, units[i], LONG_PATH);
        event.message = long_path(sentence, units[i], 2 * LONG_PATH);
        event.new_inode = event.old_inode = event.bytes = event.attempts = UINT64_MAX;
        static const size_t sizes[] = { EVENT_LINE_SIZE, EVENT_SHORT_SIZE };
        for (size_t s = 0; s < COUNT(sizes); s++) {
            struct json_object *object = parse(line, event_format(&event, line, sizes[s]));
            for (size_t r = 0; r < COUNT(required); r++)
                cr_expect(has(object, required[r]), "no %s (row %zu, %zu bytes)", required[r], i, sizes[s]);
            json_object_put(object);
        }
    }
}

Test(event, is_valid_in_the_smallest_room)
{
    static const char *const paths[] = { "app", "/\"\\\x01\x7f", "caf\xe9", "\xf0\x9f\x98\x80\xe2\x82\xac" };
    for (size_t p = 0; p < COUNT(paths); p++)
        for (size_t size = 3; size < 1500; size++) {
            char buffer[1600];
            struct event event = an_event();
            event.path = event.target = event.message = event.stage = paths[p];
            memset(buffer, 0x55, sizeof buffer);
            size_t length = event_format(&event, buffer, size);
            cr_assert_leq(length, size);
            for (size_t i = size; i < sizeof buffer; i++)
                cr_assert_eq(buffer[i], 0x55, "wrote behind %zu bytes", size);
            struct json_object *object = parse(buffer, length);
            /* half a base64 string would be a wrong path */
            if (has(object, "path_b64"))
                cr_expect_str_eq(path_of(object, "path"), paths[p], "in %zu bytes", size);
            json_object_put(object);
        }
}

/* A sentence is for a person: what isn't UTF-8 is shown, and said exactly in the fields that it was made from. */
Test(event, shows_bytes_in_its_message)
{
    struct event event = an_event();
    event.message = "caf\xe9 \"\x01\xc3\xa9";
    struct json_object *object = formatted(&event);
    cr_expect_str_eq(string_of(object, "message"), "caf\\xe9 \"\x01\xc3\xa9");
}

Test(event, writes_booleans_and_nothing)
{
    char buffer[64];
    struct json json = json_begin(buffer, sizeof buffer);
    json_boolean(&json, "yes", true);
    json_boolean(&json, "no", false);
    json_string(&json, "null", NULL);
    json_path(&json, "null", NULL);
    size_t length = json_end(&json);
    cr_expect_eq(length, strlen("{\"yes\":true,\"no\":false}\n"));
    cr_expect_arr_eq(buffer, "{\"yes\":true,\"no\":false}\n", length);
}

/* ---- sinks ------------------------------------------------------------------------------------------------------------------ */

static char directory[] = "/tmp/etxtbsy-unit-XXXXXX";

static void enter(void)
{
    cr_assert(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static void leave(void)
{
    static const char *const names[] = { "log", "second", "elsewhere", "fifo" };
    for (size_t i = 0; i < COUNT(names); i++)
        unlink(names[i]);
    chdir("/");
    rmdir(directory);
}

static const char *content(const char *name)
{
    static char buffer[1024];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);
    close(fd);
    buffer[length > 0 ? length : 0] = '\0';
    return length < 0 ? NULL : buffer;
}

/* Sends a line, and sees to errno. */
static void send_line(const char *sinks, const char *text)
{
    struct event event = an_event();
    errno = ETXTBSY;
    event_send(sinks, &event, text, strlen(text));
    int error = errno;
    cr_expect_eq(error, ETXTBSY, "errno after %s", sinks);
}

static const char *in_directory(const char *before, const char *name)
{
    static char buffers[4][256];
    static int next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], "%s%s/%s", before, directory, name);
    return buffer;
}

Test(send, appends_to_a_file_that_others_may_not_read, .init = enter, .fini = leave)
{
    struct stat file;
    umask(022);
    send_line(in_directory("", "log"), "one\n");
    send_line(in_directory("", "log"), "two\n");
    cr_expect_str_eq(content("log"), "one\ntwo\n");
    cr_assert_eq(stat("log", &file), 0);
    cr_expect_eq(file.st_mode & 07777, 0640, "%o", file.st_mode);
    unlink("log"); /* as logrotate does */
    send_line(in_directory("", "log"), "three\n");
    cr_expect_str_eq(content("log"), "three\n");
}

Test(send, follows_no_symbolic_link, .init = enter, .fini = leave)
{
    cr_assert_eq(symlink("elsewhere", "log"), 0);
    send_line(in_directory("", "log"), "one\n");
    cr_expect_null(content("elsewhere"), "the link was followed");
    close(open("elsewhere", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    send_line(in_directory("", "log"), "one\n");
    cr_expect_str_eq(content("elsewhere"), "", "the link was followed");
}

Test(send, leaves_no_descriptor, .init = enter, .fini = leave)
{
    int before = dup(2);
    close(before);
    send_line(in_directory("none, ", "log"), "one\n");
    send_line("/nowhere/at/all", "one\n");
    int after = dup(2);
    close(after);
    cr_expect_eq(after, before);
}

Test(send, to_several, .init = enter, .fini = leave)
{
    int first = open("second", O_WRONLY | O_CREAT | O_APPEND, 0600);
    char sinks[512];
    snprintf(sinks, sizeof sinks, " fd:%d , %s,none,fd:%d,/nowhere/at/all,fd:987654,%s", first, in_directory("", "log"), first,
             in_directory("", "elsewhere"));
    send_line(sinks, "one\n");
    cr_expect_str_eq(content("second"), "one\none\n");
    cr_expect_str_eq(content("log"), "one\n");
    cr_expect_str_eq(content("elsewhere"), "one\n");
}

Test(send, to_none, .init = enter, .fini = leave)
{
    static const char *const sinks[] = { "none", "", " ", ",", "none,none", "relative", "fd:", "fd:x", "fd", "nonesuch" };
    int fd = open("log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), own_stderr = dup(2);
    dup2(fd, 2);
    for (size_t i = 0; i < COUNT(sinks); i++)
        send_line(sinks[i], "one\n");
    dup2(own_stderr, 2);
    cr_expect_str_eq(content("log"), "");
    cr_expect_null(content("relative"));
}

Test(send, to_stderr, .init = enter, .fini = leave)
{
    int fd = open("log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), own_stderr = dup(2);
    dup2(fd, 2);
    send_line("stderr", "one\n");
    close(2);
    send_line("stderr", "two\n"); /* a program without stderr */
    dup2(own_stderr, 2);
    cr_expect_str_eq(content("log"), "one\n");
}

/* A program that had closed stderr got number 2 for its own file, however it opened it. */
Test(send, spares_a_data_file_that_has_got_the_number_of_stderr, .init = enter, .fini = leave)
{
    static const int flags[] = { O_RDWR, O_RDWR | O_APPEND, O_WRONLY, O_WRONLY | O_APPEND };
    for (size_t i = 0; i < COUNT(flags); i++) {
        unlink("log");
        int own_stderr = dup(2), fd = open("log", flags[i] | O_CREAT | O_CLOEXEC, 0600);
        event_remember_stderr();
        dup2(fd, 2);
        send_line("stderr", "one\n");
        cr_expect_str_eq(content("log"), "", "row %zu", i);
        event_remember_stderr(); /* as in a program that was started so */
        send_line("stderr", "two\n");
        cr_expect_str_eq(content("log"), "two\n", "row %zu", i);
        dup2(own_stderr, 2);
        close(own_stderr);
        close(fd);
    }
}

/* How many bytes of a line for stderr come to `from` where `to` has got its number in a program started with it, or without. */
static ssize_t arrives(bool had_stderr, int to, int from)
{
    char bytes[64];
    int own_stderr = dup(2);
    if (!had_stderr)
        close(2);
    event_remember_stderr();
    dup2(to, 2);
    send_line("stderr", "one more line\n");
    dup2(own_stderr, 2);
    close(own_stderr);
    return read(from, bytes, sizeof bytes);
}

Test(send, spares_whatever_is_where_no_stderr_was_from_the_start)
{
    int fds[2], counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    cr_expect_eq(arrives(false, fds[1], fds[0]), -1, "the program's own pipe has got it");
    cr_expect_eq(arrives(false, counter, counter), -1, "the program's own counter has got it");
    cr_expect_eq(arrives(true, fds[1], fds[0]), strlen("one more line\n"), "stderr has been led into a pipe");
}

Test(send, spares_the_file_that_is_being_replaced, .init = enter, .fini = leave)
{
    int fd = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int other = open("second", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct statx file;
    char sinks[512];
    cr_assert_eq(sys_fstat(fd, &file), 0);
    struct event event = an_event();
    event.avoid_device = sys_device(&file);
    event.avoid_inode = file.stx_ino;
    snprintf(sinks, sizeof sinks, "fd:%d,fd:%d,%s", fd, other, in_directory("", "log"));
    event_send(sinks, &event, "one\n", 4);
    cr_expect_str_eq(content("log"), "");
    cr_expect_str_eq(content("second"), "one\n");

    event.avoid_device++; /* the same inode number on another file system */
    event_send(sinks, &event, "two\n", 4);
    cr_expect_str_eq(content("log"), "two\ntwo\n");
}

Test(send, does_not_wait_for_the_reader_of_a_FIFO, .init = enter, .fini = leave, .timeout = 10)
{
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    send_line(in_directory("", "fifo"), "one\n");
}

static void fill(int fd, size_t leave_room)
{
    static char page[4096];
    int flags = fcntl(fd, F_GETFL), capacity = fcntl(fd, F_GETPIPE_SZ);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    for (size_t filled = 0; filled + sizeof page + leave_room <= (size_t)capacity; filled += sizeof page)
        cr_assert_eq(write(fd, page, sizeof page), (ssize_t)sizeof page);
    fcntl(fd, F_SETFL, flags);
}

/* Milliseconds that a line of `length` bytes to a pipe with so much room took; the sender is ended after three seconds. */
static uint64_t time_to_send(size_t room, size_t length)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    fill(fds[1], room);
    uint64_t started = clock_ns(CLOCK_MONOTONIC);
    pid_t child = fork();
    if (!child) {
        struct event event = an_event();
        char sink[32];
        snprintf(sink, sizeof sink, "fd:%d", fds[1]);
        memset(line, 'x', length);
        alarm(3);
        event_send(sink, &event, line, length);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    uint64_t took = (clock_ns(CLOCK_MONOTONIC) - started) / CLOCK_MS;
    close(fds[0]);
    close(fds[1]);
    return took;
}

Test(send, does_not_wait_long_for_a_full_pipe)
{
    uint64_t took = time_to_send(0, 500);
    cr_expect_lt(took, 1000, "%lu ms", (unsigned long)took);
    cr_expect_geq(took, 90, "%lu ms: the reader gets a chance to make room", (unsigned long)took);
}

/* Poll calls a pipe writable as soon as it has one free page, and then a longer line waits for its reader inside write. */
Test(send, does_not_wait_long_for_a_pipe_that_is_nearly_full)
{
    uint64_t took = time_to_send(4096, 20000);
    cr_expect_lt(took, 1000, "%lu ms", (unsigned long)took);
}

static int pending_pipe_signal(void)
{
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, SIGPIPE);
}

static int blocked_pipe_signal(void)
{
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    return sigismember(&set, SIGPIPE);
}

static int closed_pipe(char sink[32])
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    snprintf(sink, 32, "fd:%d", fds[1]);
    return fds[1];
}

Test(send, raises_no_signal_for_a_closed_pipe)
{
    char sink[32];
    signal(SIGPIPE, SIG_DFL);
    closed_pipe(sink);
    for (int late = 0; late < 2; late++) { /* the reader is gone before the poll, or behind it */
        fake_poll = late;
        send_line(sink, "one\n");
        cr_expect_eq(pending_pipe_signal(), 0);
        cr_expect_eq(blocked_pipe_signal(), 0);
    }
}

Test(send, leaves_a_signal_that_was_pending_before)
{
    char sink[32];
    sigset_t set;
    closed_pipe(sink);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    fake_poll = true;
    send_line(sink, "one\n");
    cr_expect_eq(pending_pipe_signal(), 0, "one of ours was left");
    raise(SIGPIPE);
    send_line(sink, "one\n");
    cr_expect_eq(pending_pipe_signal(), 1, "the program's own was taken away");
    cr_expect_eq(blocked_pipe_signal(), 1);
}

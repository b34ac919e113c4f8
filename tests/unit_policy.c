#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/policy/keys.h"
#include "../shim/policy/policy.h"
#include "../shim/sys/call.h"
#include "../shim/sys/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Each test has a directory of its own, in which "system" and "user" are the configuration files. */
static char directory[] = "/tmp/etxtbsy-unit-XXXXXX";
static char source_directory[PATH_MAX];

static void enter(void)
{
    char file[] = __FILE__;
    if (!realpath(dirname(file), source_directory))
        snprintf(source_directory, sizeof source_directory, "%s", dirname(file));
    cr_assert(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static void leave(void)
{
    unlink("system");
    unlink("user");
    rmdir("user");
    chdir("/");
    rmdir(directory);
}

TestSuite(policy, .init = enter, .fini = leave);

static void put(const char *name, const char *bytes, size_t length)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
    close(fd);
}

/* What was complained of, copied: a complaint points into memory that is gone later. */
struct said {
    unsigned count, line;
    char file[PATH_MAX], found[8192], expected[256];
};

static void complain(void *context, const struct policy_complaint *complaint)
{
    struct said *said = context;
    said->count++;
    said->line = complaint->line;
    snprintf(said->file, sizeof said->file, "%s", complaint->file ? complaint->file : "environment");
    snprintf(said->found, sizeof said->found, "%.*s", (int)complaint->found_length, complaint->found);
    snprintf(said->expected, sizeof said->expected, "%s", complaint->expected);
}

/* A decision from these texts; NULL: no such file, no variables. A block of variables ends with two zeros. */
static struct said decide(struct policy *policy, enum policy_operation operation, const char *system, const char *user,
                          const char *environment)
{
    struct said said = { 0 };
    const struct policy_listener listener = { complain, &said };
    const struct policy_question question = {
        .operation = operation,
        .path = "/usr/local/bin/tool",
        .exe = "/usr/bin/busybox",
        .comm = "cp",
    };
    const struct policy_sources sources = {
        .system_file = "system",
        .user_file = user ? "user" : NULL,
        .environment = environment ? environment : "",
    };
    unlink("system");
    if (system)
        put("system", system, strlen(system));
    if (user)
        put("user", user, strlen(user));
    policy_decide(policy, &question, &sources, &listener);
    return said;
}

static const char *value_of(const struct policy *policy, enum policy_key key)
{
    static char buffer[POLICY_LOG_SIZE];
    struct text text = TEXT(buffer);
    policy_add_value(&text, policy, key);
    return buffer;
}

static const char *origin_of(const struct policy *policy, enum policy_key key)
{
    static char buffer[PATH_MAX];
    struct text text = TEXT(buffer);
    policy_add_origin(&text, &policy->origin[key]);
    return buffer;
}

/* ---- which value wins ------------------------------------------------------------------------------------------------------- */

Test(policy, has_built_in_values)
{
    static const struct {
        enum policy_operation operation;
        enum policy_key key;
        const char *value;
    } rows[] = {
        { POLICY_EXEC, KEY_LOG, "stderr" },       { POLICY_EXEC, KEY_IO_URING, "allow" },
        { POLICY_EXEC, KEY_SYNC, "full" },        { POLICY_EXEC, KEY_HOLDERS, "always" },
        { POLICY_EXEC, KEY_CMDLINE, "off" },      { POLICY_EXEC, KEY_ACTION, "retry" },
        { POLICY_WRITE, KEY_ACTION, "redirect" }, { POLICY_TRUNCATE, KEY_ACTION, "redirect" },
        { POLICY_EXEC, KEY_FIRST, "100us" },      { POLICY_EXEC, KEY_CAP, "200ms" },
        { POLICY_EXEC, KEY_MAX_WAIT, "10s" },     { POLICY_WRITE, KEY_MAX_WAIT, "2s" },
        { POLICY_TRUNCATE, KEY_MAX_WAIT, "2s" },  { POLICY_EXEC, KEY_MAX_WAIT_VFORK, "1s" },
        { POLICY_EXEC, KEY_MAX_ATTEMPTS, "0" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy policy;
        struct said said = decide(&policy, rows[i].operation, NULL, NULL, NULL);
        cr_expect_str_eq(value_of(&policy, rows[i].key), rows[i].value, "%s of %s", policy_key_name(rows[i].key),
                         policy_operation_name(rows[i].operation));
        cr_expect_str_eq(origin_of(&policy, rows[i].key), "built-in");
        cr_expect_eq(said.count, 0, "a missing system file is no error");
    }
}

/* Without complaint. The question is about /usr/local/bin/tool, and /usr/bin/busybox asks, which calls itself cp. */
struct row {
    const char *system, *user, *environment;
    enum policy_operation operation;
    enum policy_key key;
    const char *value, *origin;
};

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct policy policy;
        struct said said = decide(&policy, rows[i].operation, rows[i].system, rows[i].user, rows[i].environment);
        cr_expect_str_eq(value_of(&policy, rows[i].key), rows[i].value, "row %zu: %s", i, value_of(&policy, rows[i].key));
        cr_expect_str_eq(origin_of(&policy, rows[i].key), rows[i].origin, "row %zu: %s", i, origin_of(&policy, rows[i].key));
        cr_expect_eq(said.count, 0, "row %zu: %s, expected %s", i, said.found, said.expected);
    }
}

#define THREE_WAITS "[exec]\nmax_wait=3s\n[write]\nmax_wait=4s\n[truncate]\nmax_wait=5s\n"

Test(policy, reads_sections)
{
    static const struct row rows[] = {
        { "[write]\naction = retry\n", NULL, NULL, POLICY_WRITE, KEY_ACTION, "retry", "system:2" },
        { "[write]\naction = retry\n", NULL, NULL, POLICY_TRUNCATE, KEY_ACTION, "redirect", "built-in" },
        { THREE_WAITS, NULL, NULL, POLICY_EXEC, KEY_MAX_WAIT, "3s", "system:2" },
        { THREE_WAITS, NULL, NULL, POLICY_WRITE, KEY_MAX_WAIT, "4s", "system:4" },
        { THREE_WAITS, NULL, NULL, POLICY_TRUNCATE, KEY_MAX_WAIT, "5s", "system:6" },
        { "log = journal, syslog,stderr", NULL, NULL, POLICY_EXEC, KEY_LOG, "journal, syslog,stderr", "system:1" },
        { "log = none\n[write]\naction = off", NULL, NULL, POLICY_EXEC, KEY_LOG, "none", "system:1" },
        { "sync = data", NULL, NULL, POLICY_WRITE, KEY_SYNC, "data", "system:1" },
        { "holders = give-up", NULL, NULL, POLICY_EXEC, KEY_HOLDERS, "give-up", "system:1" },
        { "", "holders = never", NULL, POLICY_WRITE, KEY_HOLDERS, "never", "user:1" },
        { "", NULL, "ETXTBSY_CMDLINE=on\0", POLICY_WRITE, KEY_CMDLINE, "on", "ETXTBSY_CMDLINE" },
        { "io_uring = refuse", NULL, NULL, POLICY_WRITE, KEY_IO_URING, "refuse", "system:1" },
        { "hard_links = break", NULL, NULL, POLICY_WRITE, KEY_HARD_LINKS, "break", "system:1" },
        { "keep = 3", NULL, NULL, POLICY_TRUNCATE, KEY_KEEP, "3", "system:1" },
        { "respect_locks = on", NULL, NULL, POLICY_EXEC, KEY_RESPECT_LOCKS, "on", "system:1" },
        { "serialise = on", NULL, NULL, POLICY_WRITE, KEY_SERIALISE, "on", "system:1" },
        { "[write]\naction = atomic", NULL, NULL, POLICY_WRITE, KEY_ACTION, "atomic", "system:2" },
        { "[rule]\ntruncate = atomic", NULL, NULL, POLICY_TRUNCATE, KEY_ACTION, "atomic", "system:2" },
        { "[rename]\naction = observe\nmax_wait = 7s", NULL, NULL, POLICY_RENAME, KEY_MAX_WAIT, "7s", "system:3" },
        { "[rule]\nrename = off", NULL, NULL, POLICY_RENAME, KEY_ACTION, "off", "system:2" },
        { NULL, NULL, "ETXTBSY_RENAME_MAX_WAIT=3s\0", POLICY_RENAME, KEY_MAX_WAIT, "3s", "ETXTBSY_RENAME_MAX_WAIT" },
        { "[exec]\nmax_attempts = 17", NULL, NULL, POLICY_EXEC, KEY_MAX_ATTEMPTS, "17", "system:2" },
        { "[exec]\nfirst = 1ms\ncap=2ms\nmax_wait_vfork=3ms", NULL, NULL, POLICY_EXEC, KEY_CAP, "2ms", "system:3" },
        /* the same section twice: the later line, as anybody who appends to a file expects */
        { "[write]\naction = off\n[exec]\n[write]\naction = retry\n", NULL, NULL, POLICY_WRITE, KEY_ACTION, "retry", "system:5" },
        { "log = /var/log/a b.json, fd:7 ,none", NULL, NULL, POLICY_EXEC, KEY_LOG, "/var/log/a b.json, fd:7 ,none", "system:1" },
    };
    expect_rows(rows, COUNT(rows));
}

Test(policy, lets_the_stronger_source_win)
{
    static const struct row rows[] = {
        { "[write]\naction = off", "[write]\naction = retry", NULL, POLICY_WRITE, KEY_ACTION, "retry", "user:2" },
        { "[write]\naction = off", "[exec]\naction = off", NULL, POLICY_WRITE, KEY_ACTION, "off", "system:2" },
        { "log = none", "log = fd:3", NULL, POLICY_WRITE, KEY_LOG, "fd:3", "user:1" },
        { "log = none", "log = fd:3", "ETXTBSY_LOG=fd:4\0", POLICY_WRITE, KEY_LOG, "fd:4", "ETXTBSY_LOG" },
        /* a section of the stronger file beats a rule of the weaker one */
        { "[rule]\nwrite = off", "[write]\naction = retry", NULL, POLICY_WRITE, KEY_ACTION, "retry", "user:2" },
        { "[rule]\nwrite = off", "[rule]\nwrite = retry", NULL, POLICY_WRITE, KEY_ACTION, "retry", "user:2" },
        { "[rule]\nwrite = off", "[rule]\nexec = observe", NULL, POLICY_WRITE, KEY_ACTION, "off", "system:2" },
        { NULL, "[rule]\nwrite = off", "ETXTBSY_WRITE=observe\0", POLICY_WRITE, KEY_ACTION, "observe", "ETXTBSY_WRITE" },
        { NULL, NULL, "ETXTBSY_EXEC=observe\0", POLICY_WRITE, KEY_ACTION, "redirect", "built-in" },
        { NULL, NULL, "ETXTBSY_EXEC_MAX_WAIT=3s\0ETXTBSY_MAX_WAIT=4s\0", POLICY_EXEC, KEY_MAX_WAIT, "3s", "ETXTBSY_EXEC_MAX_WAIT" },
        { NULL, NULL, "ETXTBSY_MAX_WAIT=4s\0ETXTBSY_EXEC_MAX_WAIT=3s\0", POLICY_EXEC, KEY_MAX_WAIT, "3s", "ETXTBSY_EXEC_MAX_WAIT" },
        { NULL, NULL, "ETXTBSY_EXEC_MAX_WAIT=3s\0ETXTBSY_MAX_WAIT=4s\0", POLICY_WRITE, KEY_MAX_WAIT, "4s", "ETXTBSY_MAX_WAIT" },
        { NULL, "[rule]\nmax_wait = 9s", "ETXTBSY_MAX_WAIT=4s\0", POLICY_WRITE, KEY_MAX_WAIT, "4s", "ETXTBSY_MAX_WAIT" },
        { NULL, NULL, "ETXTBSY_MAX_WAIT_VFORK=4s\0", POLICY_EXEC, KEY_MAX_WAIT_VFORK, "4s", "ETXTBSY_MAX_WAIT_VFORK" },
        { NULL, NULL, "ETXTBSY_MAX_WAIT_VFORK=4s\0", POLICY_EXEC, KEY_MAX_WAIT, "10s", "built-in" },
        { NULL, NULL, "ETXTBSY_TRUNCATE_MAX_ATTEMPTS=4\0", POLICY_TRUNCATE, KEY_MAX_ATTEMPTS, "4",
          "ETXTBSY_TRUNCATE_MAX_ATTEMPTS" },
        { NULL, NULL, "ETXTBSY_SYNC=none\0ETXTBSY_IO_URING=refuse\0", POLICY_WRITE, KEY_IO_URING, "refuse", "ETXTBSY_IO_URING" },
        /* the same variable twice: the first, as getenv has it */
        { NULL, NULL, "ETXTBSY_LOG=fd:3\0ETXTBSY_SYNC=none\0ETXTBSY_LOG=fd:4\0", POLICY_WRITE, KEY_LOG, "fd:3", "ETXTBSY_LOG" },
        { NULL, NULL, "ETXTBSY_CAP=3ms\0ETXTBSY_CAP=what\0", POLICY_WRITE, KEY_CAP, "3ms", "ETXTBSY_CAP" },
        /* words that say where to look are no keys */
        { NULL, NULL, "ETXTBSY_CONF=/nowhere\0ETXTBSY_DISABLE=0\0", POLICY_WRITE, KEY_ACTION, "redirect", "built-in" },
    };
    expect_rows(rows, COUNT(rows));
}

/* One more sink stands behind whatever list is in force, and takes nothing from it. */
Test(policy, adds_one_more_sink)
{
    static const struct {
        const char *user, *environment, *log;
    } rows[] = {
        { NULL, "ETXTBSY_ALSO_LOG=/also\0", "stderr,/also" },
        { "log = none", "ETXTBSY_ALSO_LOG=/also\0", "none,/also" },
        { "log = /top\n[rule]\nlog = /rule", "ETXTBSY_ALSO_LOG=/also\0", "/rule,/also" },
        { "log = /top", "ETXTBSY_ALSO_LOG=/also\0ETXTBSY_LOG=fd:3\0", "fd:3,/also" },
        { NULL, "ETXTBSY_ALSO_LOG=relative\0", "stderr" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy policy;
        struct said said = decide(&policy, POLICY_WRITE, NULL, rows[i].user, rows[i].environment);
        cr_expect_str_eq(policy.log, rows[i].log);
        cr_expect_eq(said.count, !strcmp(rows[i].log, "stderr"), "%s", said.expected);
    }

    /* The longest list that there may be, and still all of it. */
    static char environment[2 * POLICY_LOG_SIZE + 64];
    char *end = stpcpy(environment, "ETXTBSY_LOG=/");
    end = (char *)memset(end, 'a', POLICY_LOG_SIZE - 2) + POLICY_LOG_SIZE - 1;
    end = stpcpy(end, "ETXTBSY_ALSO_LOG=/");
    memset(end, 'b', POLICY_LOG_SIZE - 2);
    struct policy policy;
    cr_expect_eq(decide(&policy, POLICY_WRITE, NULL, NULL, environment).count, 0);
    cr_expect_eq(strlen(policy.log), 2 * (POLICY_LOG_SIZE - 1) + 1);
    cr_expect_eq(policy.log[strlen(policy.log) - 1], 'b');
}

Test(policy, is_off_where_disabled_whatever_else_is_said)
{
    static const char rule[] = "[rule]\nexec = observe\nwrite = observe\ntruncate = observe";
    static const char variables[] = "ETXTBSY_EXEC=retry\0ETXTBSY_DISABLE=1\0ETXTBSY_WRITE=redirect\0ETXTBSY_TRUNCATE=retry\0";
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        struct policy policy;
        decide(&policy, (enum policy_operation)operation, rule, rule, variables);
        cr_expect_eq(policy.value[KEY_ACTION], ACTION_OFF);
        cr_expect_str_eq(origin_of(&policy, KEY_ACTION), "ETXTBSY_DISABLE");
    }
}

Test(policy, takes_for_each_key_the_first_rule_that_gives_it)
{
    static const struct row rows[] = {
        { "[rule]\nwrite = off\n[rule]\nwrite = retry", NULL, NULL, POLICY_WRITE, KEY_ACTION, "off", "system:2" },
        { "[rule]\nwrite = off\n[rule]\nwrite = retry\nmax_wait = 7s", NULL, NULL, POLICY_WRITE, KEY_MAX_WAIT, "7s", "system:5" },
        { "[rule]\nwrite = off\n[rule]\nwrite = retry\nmax_wait = 7s", NULL, NULL, POLICY_EXEC, KEY_ACTION, "retry", "built-in" },
        { "[rule]\npath = /other\nwrite = off\n[rule]\nwrite = retry", NULL, NULL, POLICY_WRITE, KEY_ACTION, "retry", "system:5" },
        /* before or behind the sections: a rule is stronger than they */
        { "[rule]\nwrite = off\n[write]\naction = retry", NULL, NULL, POLICY_WRITE, KEY_ACTION, "off", "system:2" },
        { "[write]\naction = retry\n[rule]\nwrite = off", NULL, NULL, POLICY_WRITE, KEY_ACTION, "off", "system:4" },
        /* a rule may give a global key, too */
        { "log = none\n[rule]\nlog = fd:5", NULL, NULL, POLICY_WRITE, KEY_LOG, "fd:5", "system:3" },
        /* twice in one rule: the first, as for two rules */
        { "[rule]\nwrite = off\nwrite = retry", NULL, NULL, POLICY_WRITE, KEY_ACTION, "off", "system:2" },
        { "[rule]\n", NULL, NULL, POLICY_WRITE, KEY_ACTION, "redirect", "built-in" },
    };
    expect_rows(rows, COUNT(rows));
}

Test(policy, applies_a_rule_where_all_its_conditions_hold)
{
    static const struct {
        const char *conditions;
        bool applies;
    } rows[] = {
        { "", true },
        { "path = /usr/local/bin/tool", true },
        { "path = /usr/local/bin/*", true },
        { "path = /usr/local/**", true },
        { "path = /usr/local/*", false },
        { "path = tool", true },
        { "path = t*", true },
        { "path = *", true },
        { "path = bin/tool", false }, /* with a slash it is for the whole path */
        { "path = /usr/local/bin/tools", false },
        { "path = TOOL", false },
        { "program = cp", true },
        { "program = busybox", true },
        { "program = /usr/bin/busybox", true },
        { "program = /usr/bin/*", true },
        { "program = mv", false },
        { "program = /usr/bin/cp", false },
        { "program = cp\npath = tool", true },
        { "program = cp\npath = other", false },
        { "program = mv\npath = tool", false },
        { "program = cp\nprogram = mv", false },
        { "program = cp # the copier", true },
        { "program = [cd]p", true },
        { "program = \\cp", true },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int before = 0; before < 2; before++) { /* the conditions may stand anywhere in the rule */
            char text[512];
            struct policy policy;
            snprintf(text, sizeof text, before ? "[rule]\n%s\nwrite = off\n" : "[rule]\nwrite = off\n%s\n", rows[i].conditions);
            struct said said = decide(&policy, POLICY_WRITE, text, NULL, NULL);
            cr_expect_eq(policy.value[KEY_ACTION] == ACTION_OFF, rows[i].applies, "%s", text);
            cr_expect_eq(said.count, 0, "%s", text);
        }
}

Test(policy, does_not_take_the_conditions_of_the_next_section)
{
    struct policy policy;
    decide(&policy, POLICY_WRITE, "[rule]\nwrite = off\n[rule]\npath = /other\n", NULL, NULL);
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_OFF);
}

/* ---- what is looked for without a conflict ----------------------------------------------------------------------------------- */

Test(policy, foresees_what_any_source_mentions)
{
    static const struct {
        const char *conf;
        unsigned foresight;
    } rows[] = {
        { "", 0 },
        { "[write]\naction = redirect\n", 0 },
        { "# action = atomic\nrespect_locks = off\n", 0 },
        { "[write]\naction = atomic\n", POLICY_ATOMIC },
        { "[rule]\npath = /elsewhere\nwrite = atomic\n", POLICY_ATOMIC },
        { "respect_locks = on\n", POLICY_LOCKS },
        { "[rule]\nrespect_locks=on # for deploys\ntruncate=atomic\n", POLICY_LOCKS | POLICY_ATOMIC },
    };
    static const char both[] = "respect_locks = on\n[write]\naction = atomic\n";
    char conf[PATH_MAX + 32], *environment[] = { conf, NULL, NULL };
    char *here = getcwd(NULL, 0);
    snprintf(conf, sizeof conf, "ETXTBSY_CONF=%s/user", here);
    free(here);
    if (access(POLICY_SYSTEM_FILE, F_OK) == 0)
        cr_skip_test("there is an " POLICY_SYSTEM_FILE " here");
    policy_remember_environment(environment);
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("user", rows[i].conf, strlen(rows[i].conf));
        policy_foreseen = 0;
        errno = ETXTBSY;
        cr_expect_eq(policy_foresight(), POLICY_KNOWN | rows[i].foresight, "%s", rows[i].conf);
        cr_expect_eq(errno, ETXTBSY);
        put("user", both, sizeof both - 1);
        cr_expect_eq(policy_foresight(), POLICY_KNOWN | rows[i].foresight, "asked once a process");
    }
}

Test(policy, foresees_what_the_environment_asks_for)
{
    static const struct {
        char *variables[3];
        unsigned foresight;
    } rows[] = {
        { { "ETXTBSY_WRITE=atomic" }, POLICY_ATOMIC },          { { "ETXTBSY_TRUNCATE=atomic" }, POLICY_ATOMIC },
        { { "ETXTBSY_RESPECT_LOCKS=on" }, POLICY_LOCKS },       { { "ETXTBSY_WRITE=redirect" }, 0 },
        { { "ETXTBSY_WRITE=atomic", "ETXTBSY_DISABLE=1" }, 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int status;
        pid_t child = fork(); /* the environment is remembered once a process */
        if (!child) {
            policy_remember_environment((char *const *)rows[i].variables);
            _exit(policy_foresight() == (POLICY_KNOWN | rows[i].foresight) ? 0 : 1);
        }
        waitpid(child, &status, 0);
        cr_expect_eq(status, 0, "%s", rows[i].variables[0]);
    }
}

/* What a program makes itself that empties a file: its seccomp filter may kill it for anything else. */
static unsigned opens, other_calls;

static long counted_call(long number, long a, long b, long c, long d, long e, long f)
{
    ++*(number == SYS_openat ? &opens : &other_calls);
    return syscall(number, a, b, c, d, e, f);
}

Test(policy, looks_for_its_files_by_an_open_and_nothing_else)
{
    char *environment[] = { "ETXTBSY_CONF=/nowhere/at/all", NULL };
    if (access(POLICY_SYSTEM_FILE, F_OK) == 0)
        cr_skip_test("there is an " POLICY_SYSTEM_FILE " here");
    policy_remember_environment(environment);
    sys_entry = counted_call;
    cr_expect_eq(policy_foresight(), POLICY_KNOWN);
    cr_expect_eq(opens, 2, "%u", opens);
    cr_expect_eq(other_calls, 0, "%u", other_calls);
}

static long failing_call;
static int failing_error;

static long failing_once(long number, long a, long b, long c, long d, long e, long f)
{
    if (number != failing_call)
        return counted_call(number, a, b, c, d, e, f);
    failing_call = -1;
    errno = failing_error;
    return -1;
}

/* Else every rule would be off for the life of a process that had no descriptor left when it first asked. */
Test(policy, looks_again_for_what_could_not_be_read)
{
    static const struct {
        long call;
        int error;
        bool again;
    } rows[] = {
        { SYS_openat, EMFILE, true },  { SYS_openat, ENFILE, true },   { SYS_openat, ENOMEM, true }, { SYS_openat, EINTR, true },
        { SYS_openat, EIO, true },     { SYS_statx, ENOMEM, true },    { SYS_read, EIO, true },      { SYS_openat, ENOENT, false },
        { SYS_openat, EACCES, false }, { SYS_openat, ENOTDIR, false }, { SYS_statx, ENOSYS, false }, { SYS_openat, ELOOP, false },
        { SYS_read, EINTR, false }, /* it is read again at once */
    };
    static const char text[] = "[write]\naction = atomic\n";
    char conf[PATH_MAX + 32], *environment[] = { conf, NULL };
    snprintf(conf, sizeof conf, "ETXTBSY_CONF=%s/user", directory);
    if (access(POLICY_SYSTEM_FILE, F_OK) == 0)
        cr_skip_test("there is an " POLICY_SYSTEM_FILE " here");
    put("user", text, sizeof text - 1);
    policy_remember_environment(environment);
    sys_entry = failing_once;
    for (size_t i = 0; i < COUNT(rows); i++) {
        policy_foreseen = 0;
        failing_call = rows[i].call;
        failing_error = rows[i].error;
        policy_foresight();
        opens = 0;
        unsigned second = policy_foresight();
        cr_expect_eq(failing_call, -1);
        cr_expect_eq(opens, rows[i].again ? 2 : 0, "row %zu: %u", i, opens);
        if (rows[i].again)
            cr_expect_eq(second, POLICY_KNOWN | POLICY_ATOMIC, "row %zu: %u", i, second);
    }
}

/* ---- bad input -------------------------------------------------------------------------------------------------------------- */

/* Weaker values that none of the bad lines could give. */
#define WEAKER_SECTION "action = observe\nfirst = 3us\ncap = 4us\nmax_wait = 5us\nmax_wait_vfork = 6us\nmax_attempts = 7\n"
static const char weaker[] =
    "log = /weaker\nholders = never\ncmdline = on\nsync = data\nhard_links = break\nkeep = 2\nrespect_locks = on\nserialise = on\n"
    "io_uring = refuse\n[exec]\n" WEAKER_SECTION "[write]\n" WEAKER_SECTION "[truncate]\n" WEAKER_SECTION
    "[rename]\n" WEAKER_SECTION;

static void expect_weaker(const struct policy *policy, const char *what)
{
    static const char *const values[POLICY_KEYS] = {
        [KEY_LOG] = "/weaker",  [KEY_HOLDERS] = "never",      [KEY_CMDLINE] = "on",     [KEY_IO_URING] = "refuse",
        [KEY_SYNC] = "data",    [KEY_HARD_LINKS] = "break",   [KEY_KEEP] = "2",         [KEY_RESPECT_LOCKS] = "on",
        [KEY_SERIALISE] = "on", [KEY_ACTION] = "observe",     [KEY_FIRST] = "3us",      [KEY_CAP] = "4us",
        [KEY_MAX_WAIT] = "5us", [KEY_MAX_WAIT_VFORK] = "6us", [KEY_MAX_ATTEMPTS] = "7",
    };
    for (int key = 0; key < POLICY_KEYS; key++) {
        const char *value = value_of(policy, (enum policy_key)key);
        cr_expect_str_eq(value, values[key], "%s: %s is %s, and %s was in force", what, policy_key_name((enum policy_key)key),
                         value, values[key]);
    }
}

#define DURATION "a duration such as 10s, 250ms or 100us"
#define NUMBER "a whole number; 0 for no limit"
#define SINKS "stderr, journal, syslog, none, fd:N or an absolute path, several separated by commas"
#define LINE "key = value, [section] or # comment"
#define SECTION "[exec], [write], [truncate], [rename] or [rule]"
#define GLOBAL_KEY "log, holders, cmdline, sync, hard_links, keep, respect_locks, serialise, io_uring or a [section]"
#define SECTION_KEY "action, first, cap, max_wait, max_wait_vfork or max_attempts"
#define RULE_KEY "path, program, exec, write, truncate, rename or another key"
#define PATTERN "a pattern such as /usr/local/bin/** or cp"

Test(policy, complains_once_of_each_bad_line)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *found, *expected;
    } rows[] = {
        { "nonsense", 1, "nonsense", LINE },
        { "\n# comment\n\r\n  nonsense  # more\n\n", 4, "nonsense", LINE },
        { "= none", 1, "= none", LINE },
        { "[exec", 1, "[exec", LINE },
        { "[exec] off", 1, "[exec] off", LINE },
        { "[nope]", 1, "[nope]", SECTION },
        { "[]", 1, "[]", SECTION },
        { "[Exec]", 1, "[Exec]", SECTION },
        { "[nope]\naction = off\nlog = none", 1, "[nope]", SECTION }, /* what is in it isn't examined */
        { "action = off", 1, "action = off", GLOBAL_KEY },
        { "max_wait = 1s", 1, "max_wait = 1s", GLOBAL_KEY },
        { "Log = none", 1, "Log = none", GLOBAL_KEY },
        { "[exec]\nlog = none", 2, "log = none", SECTION_KEY },
        { "[exec]\npath = /x", 2, "path = /x", SECTION_KEY },
        { "[exec]\nexec = off", 2, "exec = off", SECTION_KEY },
        { "[exec]\nmaxwait = 1s", 2, "maxwait = 1s", SECTION_KEY },
        { "sync = sometimes", 1, "sync = sometimes", "none, data or full" },
        { "sync =", 1, "sync =", "none, data or full" },
        { "holders = sometimes", 1, "holders = sometimes", "always, give-up or never" },
        { "cmdline = yes", 1, "cmdline = yes", "on or off" },
        { "log = syslogd", 1, "log = syslogd", SINKS },
        { "[exec]\nholders = never", 2, "holders = never", SECTION_KEY },
        { "io_uring = off", 1, "io_uring = off", "allow or refuse" },
        { "[exec]\naction = redirect", 2, "action = redirect", "retry, observe or off" },
        { "[exec]\naction = atomic", 2, "action = atomic", "retry, observe or off" },
        { "[exec]\naction = Off", 2, "action = Off", "retry, observe or off" },
        { "[write]\naction = maybe", 2, "action = maybe", "retry, redirect, atomic, observe or off" },
        { "[truncate]\naction =", 2, "action =", "retry, redirect, atomic, observe or off" },
        { "[exec]\nfirst = soon", 2, "first = soon", DURATION },
        { "[write]\ncap = -1s", 2, "cap = -1s", DURATION },
        { "[truncate]\nmax_wait =", 2, "max_wait =", DURATION },
        { "[exec]\nmax_wait_vfork = 10 parsecs", 2, "max_wait_vfork = 10 parsecs", DURATION },
        { "[exec]\nmax_attempts = -1", 2, "max_attempts = -1", NUMBER },
        { "[exec]\nmax_attempts = 4294967296", 2, "max_attempts = 4294967296", NUMBER },
        { "[exec]\nmax_attempts = 1.5", 2, "max_attempts = 1.5", NUMBER },
        { "[exec]\nmax_attempts =", 2, "max_attempts =", NUMBER },
        { "log =", 1, "log =", SINKS },
        { "log = relative.json", 1, "log = relative.json", SINKS },
        { "log = stdout", 1, "log = stdout", SINKS },
        { "log = fd:", 1, "log = fd:", SINKS },
        { "log = fd:x", 1, "log = fd:x", SINKS },
        { "log = fd:-1", 1, "log = fd:-1", SINKS },
        { "log = fd:2147483648", 1, "log = fd:2147483648", SINKS },
        { "log = stderr,", 1, "log = stderr,", SINKS },
        { "log = stderr,,none", 1, "log = stderr,,none", SINKS },
        { "log = /a,b", 1, "log = /a,b", SINKS },
        { "[rule]\npath =", 2, "path =", PATTERN },
        { "[rule]\nprogram = ", 2, "program =", PATTERN },
        { "[rule]\naction = off", 2, "action = off", RULE_KEY },
        { "[rule]\nwirte = off", 2, "wirte = off", RULE_KEY },
        { "[rule]\nexec = redirect", 2, "exec = redirect", "retry, observe or off" },
        { "[rule]\nwrite = maybe", 2, "write = maybe", "retry, redirect, atomic, observe or off" },
        { "[rule]\nmax_wait = never", 2, "max_wait = never", DURATION },
        { "[rule]\npath = /other\nmax_wait = never", 3, "max_wait = never", DURATION }, /* examined though it doesn't apply */
        { "\xef\xbb\xbf# a byte order mark", 1, "\xef\xbb\xbf# a byte order mark", LINE },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int operation = 0; operation < POLICY_OPERATIONS; operation++) { /* whoever asks hears of it */
            struct policy policy;
            struct said said = decide(&policy, (enum policy_operation)operation, weaker, rows[i].text, NULL);
            cr_expect_eq(said.count, 1, "%s: %u complaints, the last one \"%s\", expected %s", rows[i].text, said.count, said.found,
                         said.expected);
            cr_expect_str_eq(said.file, "user");
            cr_expect_eq(said.line, rows[i].line, "%s: line %u", rows[i].text, said.line);
            cr_expect_str_eq(said.found, rows[i].found, "%s: found %s", rows[i].text, said.found);
            cr_expect_str_eq(said.expected, rows[i].expected, "%s: expected %s", rows[i].text, said.expected);
            expect_weaker(&policy, rows[i].text);
        }
}

Test(policy, complains_once_of_each_bad_variable)
{
    static const char name[] = "the name of a key, such as ETXTBSY_LOG, ETXTBSY_WRITE or ETXTBSY_EXEC_MAX_WAIT";
    static const struct {
        const char *variable, *expected;
    } rows[] = {
        { "ETXTBSY_WRITE=maybe\0", "retry, redirect, atomic, observe or off" },
        { "ETXTBSY_EXEC=redirect\0", "retry, observe or off" },
        { "ETXTBSY_EXEC=\0", "retry, observe or off" },
        { "ETXTBSY_MAX_WAIT=soon\0", DURATION },
        { "ETXTBSY_TRUNCATE_CAP=\0", DURATION },
        { "ETXTBSY_EXEC_MAX_ATTEMPTS=x\0", NUMBER },
        { "ETXTBSY_LOG=relative\0", SINKS },
        { "ETXTBSY_SYNC=maybe\0", "none, data or full" },
        { "ETXTBSY_BOGUS=1\0", name },
        { "ETXTBSY_=1\0", name },
        { "ETXTBSY_exec=off\0", name },
        { "ETXTBSY_ACTION=off\0", name },
        { "ETXTBSY_RULE=off\0", name },
        { "ETXTBSY_EXEC_BOGUS=1\0", name },
        { "ETXTBSY_EXEC_=1\0", name },
        { "ETXTBSY_EXEC_LOG=none\0", name },
        { "ETXTBSY_CONF_FILE=/x\0", name },
        { "ETXTBSY_DISABLE=11\0", "ETXTBSY_DISABLE=1, or 0" },
        { "ETXTBSY_DISABLE=yes\0", "ETXTBSY_DISABLE=1, or 0" },
        { "ETXTBSY_DISABLE=\0", "ETXTBSY_DISABLE=1, or 0" },
        { "ETXTBSY_EXECUTE_THIS_AND_MANY_OTHER_THINGS=1\0", name },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
            struct policy policy;
            struct said said = decide(&policy, (enum policy_operation)operation, weaker, NULL, rows[i].variable);
            cr_expect_eq(said.count, 1, "%s: %u complaints", rows[i].variable, said.count);
            cr_expect_str_eq(said.file, "environment");
            cr_expect_eq(said.line, 0);
            cr_expect_str_eq(said.found, rows[i].variable);
            cr_expect_str_eq(said.expected, rows[i].expected, "%s: expected %s", rows[i].variable, said.expected);
            expect_weaker(&policy, rows[i].variable);
        }
}

/* Half a heading is no heading: what stands under it must not be taken for the section above. */
Test(policy, keeps_what_is_under_a_broken_heading_out_of_the_section_above)
{
    static const char *const texts[] = {
        "[exec]\n[write\naction = off\nmax_wait = 1h",
        "[write]\n[exec\naction = off\nmax_wait = 1h",
        "[rule]\npath = tool\n[exec\nmax_wait = 1h",
        "[rule]\npath = tool\n[rule\npath = /other\nwrite = off\nexec = off",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
            struct policy policy;
            decide(&policy, (enum policy_operation)operation, weaker, texts[i], NULL);
            expect_weaker(&policy, texts[i]);
        }
}

Test(policy, refuses_what_is_too_long_to_keep)
{
    static const struct {
        const char *before;
        size_t length;
        bool valid;
        const char *expected;
    } rows[] = {
        { "log = /", POLICY_LOG_SIZE - 1, true, NULL },  { "log = /", POLICY_LOG_SIZE, false, SINKS },
        { "[rule]\npath = /", 1023, true, NULL },        { "[rule]\npath = /", 1024, false, PATTERN },
        { "[rule]\nprogram = /", 5000, false, PATTERN },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[8192];
        struct policy policy;
        size_t length = strlen(rows[i].before);
        memcpy(text, rows[i].before, length);
        memset(text + length, 'x', rows[i].length - 1); /* the slash is part of it */
        memcpy(text + length + rows[i].length - 1, "\n", 2);
        struct said said = decide(&policy, POLICY_EXEC, weaker, text, NULL);
        cr_expect_eq(said.count, !rows[i].valid, "row %zu", i);
        if (rows[i].valid)
            continue;
        cr_expect_str_eq(said.expected, rows[i].expected, "row %zu", i);
        expect_weaker(&policy, rows[i].before);
    }
}

/* A rule whose condition can't be read must not become a rule for everything. */
Test(policy, does_not_apply_a_rule_with_a_bad_condition)
{
    struct policy policy;
    static const char *const conditions[] = { "path =", "pth = /other", "program mv", "Program = mv" };
    for (size_t i = 0; i < COUNT(conditions); i++)
        for (int before = 0; before < 2; before++) {
            char text[256];
            snprintf(text, sizeof text, before ? "[rule]\n%s\nwrite = off\n" : "[rule]\nwrite = off\n%s\n", conditions[i]);
            struct said said = decide(&policy, POLICY_WRITE, text, NULL, NULL);
            cr_expect_eq(said.count, 1, "%s", text);
            cr_expect_eq(policy.value[KEY_ACTION], ACTION_REDIRECT, "%s", text);
        }
}

Test(policy, goes_on_behind_a_bad_line)
{
    struct policy policy;
    static const char text[] = "nonsense\nlog = x\n[nope]\nx = y\n[write]\naction = maybe\naction = off\n";
    struct said said = decide(&policy, POLICY_WRITE, text, NULL, NULL);
    cr_expect_eq(said.count, 4);
    cr_expect_str_eq(value_of(&policy, KEY_ACTION), "off");
    cr_expect_str_eq(origin_of(&policy, KEY_ACTION), "system:7");
}

Test(policy, can_do_without_a_listener_and_keeps_errno)
{
    const struct policy_question question = { .operation = POLICY_WRITE, .path = "/x", .exe = "", .comm = "" };
    const struct policy_sources sources = { .system_file = "system", .user_file = "nowhere", .environment = "ETXTBSY_LOG=bad\0" };
    struct policy policy;
    put("system", "nonsense", 8);
    errno = ETXTBSY;
    policy_decide(&policy, &question, &sources, NULL);
    cr_expect_eq(errno, ETXTBSY);
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_REDIRECT);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

Test(policy, reads_any_text_file)
{
    static const struct {
        const char *text;
        const char *value;
    } rows[] = {
        { "", "redirect" },
        { "\n", "redirect" },
        { "\n\n\n", "redirect" },
        { "# only a comment", "redirect" },
        { "   \t  \r\n", "redirect" },
        { "[write]\r\naction = off\r\n", "off" },
        { "[write]\naction = off", "off" },
        { "[write]\naction=off\n", "off" },
        { "  [ write ]  \n\t action \t=\toff  \n", "off" },
        { "[write] # the other side\naction = off # for now\n", "off" },
        { "[write]\n#action = off\n", "redirect" },
        { "[write]\n   # action = off\naction = retry\n", "retry" },
        { "#[write]\n[exec]\naction = off\n", "redirect" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy policy;
        struct said said = decide(&policy, POLICY_WRITE, NULL, rows[i].text, NULL);
        cr_expect_eq(said.count, 0, "row %zu: %s", i, said.found);
        cr_expect_str_eq(value_of(&policy, KEY_ACTION), rows[i].value, "row %zu", i);
    }
}

Test(policy, tells_a_comment_from_a_path_with_a_hash_in_it)
{
    struct policy policy;
    decide(&policy, POLICY_WRITE, "log = /var/log/a#b #c\n", NULL, NULL);
    cr_expect_str_eq(policy.log, "/var/log/a#b");
}

static struct said decide_from(const char *user, struct policy *policy)
{
    struct said said = { 0 };
    const struct policy_listener listener = { complain, &said };
    const struct policy_question question = { .operation = POLICY_WRITE, .path = "/x", .exe = "/bin/cp", .comm = "cp" };
    const struct policy_sources sources = { .user_file = user, .environment = "" };
    policy_decide(policy, &question, &sources, &listener);
    return said;
}

static void expect_no_file(const char *what, const char *found, const char *expected)
{
    struct policy policy;
    struct said said = decide_from("user", &policy);
    cr_expect_eq(said.count, 1, "%s: %u complaints", what, said.count);
    cr_expect_str_eq(said.file, "user");
    cr_expect_eq(said.line, 0);
    cr_expect_str_eq(said.found, found, "%s: found %s", what, said.found);
    cr_expect_str_eq(said.expected, expected, "%s: expected %s", what, said.expected);
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_REDIRECT);
}

/* With a time limit: a FIFO must not make the program wait. */
Test(policy, complains_of_what_is_no_readable_file, .timeout = 10)
{
    expect_no_file("a missing file", "no such file", "a readable file");

    cr_assert_eq(mkfifo("user", 0600), 0);
    expect_no_file("a FIFO", "something else", "a regular file");
    unlink("user");

    cr_assert_eq(mkdir("user", 0700), 0);
    expect_no_file("a directory", "something else", "a regular file");
    rmdir("user");

    cr_assert_eq(symlink("/dev/zero", "user"), 0);
    expect_no_file("a device", "something else", "a regular file");
    unlink("user");

    cr_assert_eq(symlink("user", "user"), 0);
    expect_no_file("a loop", "a file that can't be read", "a readable file");
    unlink("user");
}

Test(policy, takes_no_file_for_none)
{
    struct policy policy;
    cr_expect_eq(decide_from(NULL, &policy).count, 0);
    cr_expect_eq(decide_from("", &policy).count, 0, "ETXTBSY_CONF= names no file");
}

/* A file of that many bytes, which ends with a line that turns writing off. */
static struct said decide_from_size(size_t size, struct policy *policy)
{
    static const char end[] = "\n[write]\naction = off\n";
    char *text = malloc(size);
    memset(text, '#', size);
    memcpy(text + size - (sizeof end - 1), end, sizeof end - 1);
    put("user", text, size);
    free(text);
    return decide_from("user", policy);
}

Test(policy, reads_files_of_nearly_64_KiB)
{
    struct policy policy;
    cr_expect_eq(decide_from_size(65535, &policy).count, 0);
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_OFF);
}

Test(policy, reads_files_of_64_KiB)
{
    struct policy policy;
    struct said said = decide_from_size(65536, &policy);
    cr_expect_eq(said.count, 0, "found %s, expected %s", said.found, said.expected);
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_OFF);
}

Test(policy, refuses_files_of_more_than_64_KiB)
{
    static const size_t sizes[] = { 65537, 1 << 20 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct policy policy;
        struct said said = decide_from_size(sizes[i], &policy);
        cr_expect_eq(said.count, 1);
        cr_expect_str_eq(said.found, "a larger file");
        cr_expect_str_eq(said.expected, "at most 64 KiB");
        cr_expect_eq(policy.value[KEY_ACTION], ACTION_REDIRECT);
    }
}

/* ---- durations -------------------------------------------------------------------------------------------------------------- */

#define YEAR (365 * 86400 * CLOCK_SECOND)

Test(policy, reads_durations)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t ns;
    } rows[] = {
        { "10s", true, 10 * CLOCK_SECOND },
        { "250ms", true, 250 * CLOCK_MS },
        { "100us", true, 100000 },
        { "1.5s", true, 1500 * CLOCK_MS },
        { "0.25ms", true, 250000 },
        { "1min 30s", true, 90 * CLOCK_SECOND },
        { "1min30s", true, 90 * CLOCK_SECOND },
        { "2m", true, 120 * CLOCK_SECOND },
        { "1h", true, 3600 * CLOCK_SECOND },
        { "3sec", true, 3 * CLOCK_SECOND },
        { "10 s", true, 10 * CLOCK_SECOND },
        { "5", true, 5 * CLOCK_SECOND },
        { "1min 5", true, 65 * CLOCK_SECOND },
        { "0", true, 0 },
        { "0s", true, 0 },
        { "0.5", true, 500 * CLOCK_MS },
        { "1.000000001s", true, CLOCK_SECOND }, /* counted in microseconds */
        { "0.9999999999999999999999999s", true, 999999000 },
        { "8760h", true, YEAR },
        { "31536000", true, YEAR },
        { "", false },
        { "soon", false },
        { "s", false },
        { "-1s", false },
        { "+1s", false },
        { ".5s", false },
        { "1,5s", false },
        { "1..5s", false },
        { "1.5.5s", false },
        { "10S", false },
        { "10 parsecs", false },
        { "10ss", false },
        { "1e3", false },
        { "0x10", false },
        { "10s!", false },
        { "10s,", false },
        { "infinity", false },
        { "8761h", false },
        { "31536001", false },
        { "8760h 1us", false },
        { "18446744073709551615s", false },
        { "18446744073709551616", false },
        { "99999999999999999999999999999999999999999", false },
        { "584942417355us 18446744073709551us", false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t ns = 42;
        const char *expected = key_parse(KEY_MAX_WAIT, POLICY_EXEC, rows[i].text, strlen(rows[i].text), &ns);
        cr_expect_eq(expected == NULL, rows[i].valid, "\"%s\"", rows[i].text);
        if (rows[i].valid)
            cr_expect_eq(ns, rows[i].ns, "\"%s\" is %lu ns", rows[i].text, (unsigned long)ns);
        else
            cr_expect_str_eq(expected, DURATION);
    }
}

/* Six hundred years in terms of one: their sum doesn't fit into 64 bits. */
Test(policy, does_not_let_a_sum_of_durations_overflow)
{
    char text[600 * 6 + 1] = "";
    for (int i = 0; i < 585; i++)
        memcpy(text + i * 6, "8760h ", 7);
    uint64_t ns = 0;
    cr_expect(key_parse(KEY_MAX_WAIT, POLICY_EXEC, text, strlen(text), &ns) != NULL, "585 years were taken for %lu s",
              (unsigned long)(ns / CLOCK_SECOND));
}

Test(policy, writes_values_as_a_file_has_them)
{
    static const char *const texts[] = { "0s", "1us", "100us", "8ms", "1500ms", "10s", "90s" };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct policy policy = { 0 };
        cr_assert_null(key_parse(KEY_CAP, POLICY_EXEC, texts[i], strlen(texts[i]), &policy.value[KEY_CAP]));
        cr_expect_str_eq(value_of(&policy, KEY_CAP), texts[i]);
    }
}

/* ---- the environment -------------------------------------------------------------------------------------------------------- */

Test(policy, remembers_its_variables)
{
    char *const environment[] = {
        "PATH=/bin", "ETXTBSY_WRITE=off", "ETXTBS_EXEC=off", "XETXTBSY_EXEC=off", "ETXTBSY_CONF=/x/y", "ETXTBSY_CONFIG=/z", "E", "",
        NULL
    };
    policy_remember_environment(environment);
    struct policy_sources sources = policy_sources();
    cr_expect_str_eq(sources.system_file, "/etc/etxtbsy.conf");
    cr_expect_str_eq(sources.user_file, "/x/y");
    cr_expect_str_eq(policy_variable(&sources, "WRITE"), "off");
    cr_expect_str_eq(policy_variable(&sources, "CONFIG"), "/z");
    cr_expect_null(policy_variable(&sources, "EXEC"));
    cr_expect_null(policy_variable(&sources, "WRIT"));
    cr_expect_null(policy_variable(&sources, ""));
}

Test(policy, remembers_nothing_of_an_empty_environment)
{
    char *const environment[] = { NULL };
    policy_remember_environment(environment);
    struct policy_sources sources = policy_sources();
    cr_expect_null(sources.user_file);
    cr_expect_eq(sources.environment[0], '\0');
}

/* Not as if it weren't set: somebody meant something by it. */
Test(policy, complains_of_a_variable_that_does_not_fit)
{
    static char large[8192] = "ETXTBSY_LOG=/";
    char *const environment[] = { large, "ETXTBSY_WRITE=off", NULL };
    memset(large + strlen(large), 'x', sizeof large - strlen(large) - 1);
    policy_remember_environment(environment);
    struct policy_sources sources = policy_sources();
    cr_expect_str_eq(policy_variable(&sources, "WRITE"), "off");

    struct said said = { 0 };
    struct policy policy;
    const struct policy_listener listener = { complain, &said };
    const struct policy_question question = { .operation = POLICY_WRITE, .path = "/x", .exe = "", .comm = "" };
    sources.system_file = NULL;
    policy_decide(&policy, &question, &sources, &listener);
    cr_expect_eq(said.count, 1);
    cr_expect_eq(strncmp(said.found, "ETXTBSY_LOG=", 12), 0, "%s", said.found);
    cr_expect_str_eq(policy.log, "stderr");
    cr_expect_eq(policy.value[KEY_ACTION], ACTION_OFF);
}

/* Never behind the end, and never half a value. */
Test(policy, remembers_as_much_as_there_is_room_for)
{
    static char entries[300][64];
    char *environment[301] = { NULL };
    for (int i = 0; i < 300; i++) {
        snprintf(entries[i], sizeof entries[i], "ETXTBSY_KEY%03d=%.*s", i, i % 40, "0123456789012345678901234567890123456789");
        environment[i] = entries[i];
    }
    policy_remember_environment(environment);
    struct policy_sources sources = policy_sources();
    unsigned count = 0;
    for (const char *entry = sources.environment; *entry; entry += strlen(entry) + 1, count++) {
        bool found = strstr(entry, "=(too long)") != NULL;
        cr_assert_lt(entry + strlen(entry) - sources.environment, 4095);
        for (int i = 0; i < 300 && !found; i++)
            found = !strcmp(entry, entries[i]);
        cr_expect(found, "%s", entry);
    }
    cr_expect_gt(count, 80);
}

/* ---- the table of keys ------------------------------------------------------------------------------------------------------ */

Test(policy, has_a_name_and_a_valid_built_in_value_for_each_key)
{
    for (int key = 0; key < POLICY_KEYS; key++) {
        const struct key *entry = &policy_keys[key];
        cr_expect_eq(key_find(entry->name, strlen(entry->name)), (enum policy_key)key, "%s", entry->name);
        for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
            struct policy policy;
            uint64_t value = 0;
            decide(&policy, (enum policy_operation)operation, NULL, NULL, NULL);
            const char *text = value_of(&policy, (enum policy_key)key);
            cr_expect_null(key_parse((enum policy_key)key, (enum policy_operation)operation, text, strlen(text), &value),
                           "%s of %s: the built-in %s is not a value", entry->name,
                           policy_operation_name((enum policy_operation)operation), text);
            cr_expect_eq(value, entry->built_in[operation], "%s", entry->name);
        }
    }
}

/* Takes the comment sign from a line such as "# first = 100us": an example may show a value that way. */
static char *uncommented(char *line)
{
    line += strspn(line, " \t");
    if (*line == '#')
        line += 1 + strspn(line + 1, " \t");
    return line;
}

/* Notes for each key and operation whether the example says its built-in value. */
static void note_examples(FILE *file, bool shown[POLICY_KEYS][POLICY_OPERATIONS])
{
    char buffer[1024];
    enum policy_operation section = POLICY_OPERATIONS;
    bool in_rule = false;
    while (fgets(buffer, sizeof buffer, file)) {
        char *line = uncommented(buffer), name[32], value[512];
        if (sscanf(line, "[%31[a-z]]", name) == 1) {
            section = key_find_operation(name, strlen(name));
            in_rule = section == POLICY_OPERATIONS;
        } else if (!in_rule && sscanf(line, "%31[a-z_] = %511[^#\n]", name, value) == 2) {
            enum policy_key key = key_find(name, strlen(name));
            size_t length = strlen(value);
            while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
                value[--length] = '\0';
            for (int operation = 0; key != POLICY_KEYS && operation < POLICY_OPERATIONS; operation++) {
                const struct key *entry = &policy_keys[key];
                uint64_t number = 0;
                if (section != (entry->global ? POLICY_OPERATIONS : (enum policy_operation)operation) ||
                    key_parse(key, (enum policy_operation)operation, value, length, &number))
                    continue;
                shown[key][operation] |= key == KEY_LOG ? !strcmp(value, "stderr") : number == entry->built_in[operation];
            }
        }
    }
}

Test(policy, is_explained_in_the_example)
{
    bool shown[POLICY_KEYS][POLICY_OPERATIONS] = { 0 };
    char path[PATH_MAX + 32];
#ifdef SOURCE_DIR
    snprintf(path, sizeof path, "%s/etxtbsy.conf.example", SOURCE_DIR);
#else
    snprintf(path, sizeof path, "%s/../etxtbsy.conf.example", source_directory);
#endif
    FILE *file = fopen(path, "re");
    if (!file) {
        leave(); /* a skipped test isn't finished */
        cr_skip_test("%s isn't there", path);
    }
    note_examples(file, shown);
    fclose(file);

    for (int key = 0; key < POLICY_KEYS; key++)
        for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
            const uint64_t *built_in = policy_keys[key].built_in;
            /* What is the same everywhere need be shown but once. */
            if (operation == 0 || built_in[operation] != built_in[0])
                cr_expect(shown[key][operation], "%s doesn't show %s of [%s] with its built-in value", path, policy_keys[key].name,
                          policy_operation_name((enum policy_operation)operation));
        }

    /* And as it stands it may be copied to /etc and changes nothing. */
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        struct said said = { 0 };
        const struct policy_listener listener = { complain, &said };
        const struct policy_question question = { (enum policy_operation)operation, "/x", "/bin/cp", "cp" };
        const struct policy_sources sources = { .user_file = path, .environment = "" };
        struct policy policy;
        policy_decide(&policy, &question, &sources, &listener);
        cr_expect_eq(said.count, 0, "line %u: found %s, expected %s", said.line, said.found, said.expected);
        cr_expect_str_eq(policy.log, "stderr");
        for (int key = 0; key < POLICY_KEYS; key++)
            cr_expect_eq(policy.value[key], policy_keys[key].built_in[operation], "%s of [%s] is %s", policy_keys[key].name,
                         policy_operation_name((enum policy_operation)operation), value_of(&policy, (enum policy_key)key));
    }
}

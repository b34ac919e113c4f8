/*
 * The `etxtbsy` command as a user meets it: run as a program, examined by its output and exit status. Also what it ships
 * with: the example configuration and the schema of the log.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/event/event.h"
#include "../shim/policy/keys.h"
#include "harness.h"
#include "schema.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "."
#endif
#ifndef BUILD_DIR
#define BUILD_DIR SOURCE_DIR "/build"
#endif

#define EXAMPLE SOURCE_DIR "/etxtbsy.conf.example"

struct run {
    int status;
    char *out, *err;
};

/* A directory for a test, with a configuration file in it. */
static char directory[64], conf[128];

static void make_directory(void)
{
    strcpy(directory, "/tmp/etxtbsy-cli-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(conf, sizeof conf, "%s/conf", directory);
}

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(cli, .init = make_directory, .fini = remove_directory);
TestSuite(example, .init = make_directory, .fini = remove_directory);

static void write_conf(const char *text)
{
    FILE *file = fopen(conf, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static char *content_of(FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    rewind(file);
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

static const char *command_path(void)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/etxtbsy", BUILD_DIR);
    return path;
}

/*
 * Runs `etxtbsy` with arguments, and with variables up to a NULL in `environment`, which may be NULL itself. None of our own
 * ETXTBSY_* variables gets there. `output`: where stdout goes; NULL: into the result; "-": nowhere, it is closed.
 */
static struct run run_to(const char *output, const char *const *environment, const char *const *arguments)
{
    const char *argv[16] = { "etxtbsy" }, *envp[16] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8" };
    for (int i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    for (int i = 0; environment && environment[i]; i++)
        envp[i + 2] = environment[i];

    FILE *out = tmpfile(), *err = tmpfile();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(out), 1);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), 2);
    if (output && !strcmp(output, "-"))
        posix_spawn_file_actions_addclose(&actions, 1);
    else if (output)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY, 0);

    pid_t pid;
    int status, error = posix_spawn(&pid, command_path(), &actions, NULL, (char **)argv, (char **)envp);
    cr_assert_eq(error, 0, "%s: %s", command_path(), strerror(error));
    posix_spawn_file_actions_destroy(&actions);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "wait status %d", status);
    return (struct run){ .status = WEXITSTATUS(status), .out = content_of(out), .err = content_of(err) };
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_WORDS ((const char *const[]){ NULL })
#define RUN(...) run_to(NULL, NULL, WORDS(__VA_ARGS__))
#define RUN_WITH(environment, ...) run_to(NULL, environment, WORDS(__VA_ARGS__))

#define EXPECT_STATUS(run, expected)                                                                                               \
    cr_expect_eq((run).status, expected, "status %d instead of %d; stdout: %s; stderr: %s", (run).status, expected, (run).out,     \
                 (run).err)
#define EXPECT_TEXT(text, part) cr_expect_not_null(strstr(text, part), "no \"%s\" in: %s", part, text)
#define EXPECT_NO_TEXT(text, part) cr_expect_null(strstr(text, part), "\"%s\" in: %s", part, text)
#define EXPECT_EMPTY(text) cr_expect_str_empty(text, "found: %s", text)

static bool has_system_file(void)
{
    return access(POLICY_SYSTEM_FILE, F_OK) == 0;
}

Test(cli, without_arguments_teaches)
{
    struct run run = run_to(NULL, NULL, NO_WORDS);
    EXPECT_STATUS(run, 2);
    EXPECT_EMPTY(run.out);
    EXPECT_TEXT(run.err, "etxtbsy run make install");
    EXPECT_TEXT(run.err, "check ");
}

Test(cli, help_and_version)
{
    struct run help = RUN("--help"), version = RUN("--version"), check = RUN("check", "--help");
    EXPECT_STATUS(help, 0);
    EXPECT_TEXT(help.out, "usage: etxtbsy COMMAND");
    EXPECT_EMPTY(help.err);
    EXPECT_STATUS(version, 0);
    EXPECT_TEXT(version.out, "etxtbsy ");
    EXPECT_STATUS(check, 0);
    EXPECT_TEXT(check.out, "usage: etxtbsy check");
}

static const char *const all_commands[] = { "check", "generations", "rollback", "sweep",  "run",     "report", "metrics",
                                            "who",   "doctor",      "snapshot", "enable", "disable", "status" };

Test(cli, each_command_has_help_and_version)
{
    struct run all = RUN("--help"), version = RUN("--version");
    size_t listed = 0;
    for (const char *line = all.out; (line = strstr(line, "\n    ")); line++)
        listed += line[5] != ' ';
    cr_expect_eq(listed, sizeof all_commands / sizeof *all_commands, "a command that isn't tested: %s", all.out);
    for (size_t i = 0; i < sizeof all_commands / sizeof *all_commands; i++) {
        const char *name = all_commands[i];
        char usage[64];
        struct run help = RUN(name, "--help"), of_command = RUN(name, "--version"), nonsense = RUN(name, "--frob");
        snprintf(usage, sizeof usage, "usage: etxtbsy %s", name);
        EXPECT_STATUS(help, 0);
        EXPECT_TEXT(help.out, usage);
        EXPECT_TEXT(help.out, "-h, --help");
        EXPECT_TEXT(help.out, "Exit status: ");
        EXPECT_EMPTY(help.err);
        EXPECT_STATUS(of_command, 0);
        cr_expect_str_eq(of_command.out, version.out, "%s", name);
        EXPECT_STATUS(nonsense, strcmp(name, "run") ? 2 : 125);
        EXPECT_TEXT(nonsense.err, "unrecognized option '--frob'");
        EXPECT_EMPTY(nonsense.out);
    }
}

Test(cli, refuses_what_it_does_not_know)
{
    struct run command = RUN("fr\033ob"), option = RUN("--frob"), check_option = RUN("check", "--frob");
    EXPECT_STATUS(command, 2);
    EXPECT_TEXT(command.err, "no command \"fr\\x1bob\"");
    EXPECT_STATUS(option, 2);
    EXPECT_TEXT(option.err, "frob");
    EXPECT_STATUS(check_option, 2);
    EXPECT_TEXT(check_option.err, "etxtbsy check: ");
    EXPECT_TEXT(check_option.err, "frob");
}

Test(cli, output_that_cannot_be_written_is_an_error)
{
    write_conf("");
    static const char *const nowhere[] = { "-", "/dev/full" };
    for (int i = 0; i < 2; i++) {
        struct run runs[] = {
            run_to(nowhere[i], NULL, WORDS("--help")),
            run_to(nowhere[i], NULL, WORDS("--version")),
            run_to(nowhere[i], NULL, WORDS("check", "--help")),
            run_to(nowhere[i], NULL, WORDS("check", conf)),
            run_to(nowhere[i], NULL, WORDS("check", "--path", "/x", "--op", "exec", conf)),
            run_to(nowhere[i], NULL, WORDS("check", "--path", "/x", "--op", "exec", "--json", conf)),
        };
        for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
            cr_expect_neq(runs[r].status, 0, "run %zu to %s", r, nowhere[i]);
            EXPECT_TEXT(runs[r].err, "can't write");
        }
    }
}

Test(cli, check_of_a_good_file)
{
    write_conf("log = none\n[exec]\nmax_wait = 3s # short\n[rule]\npath = /opt/**\nwrite = off\n");
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 0);
    EXPECT_TEXT(run.out, "no problems");
    EXPECT_EMPTY(run.err);
}

Test(cli, check_reports_every_problem_once)
{
    write_conf("log = stdrr\n"
               "frob = 1\n"
               "\n"
               "[exec]\n"
               "action = redirect\n"
               "first = 3 parsecs\n"
               "max_attempts = -1\n"
               "[foo]\n"
               "[write]\n"
               "just words\n"
               "[rule]\n"
               "path = /x\n"
               "write = maybe\n");
    static const char *const expected[] = {
        ":1: found \"log = stdrr\", expected stderr, journal, syslog, none, fd:N",
        ":2: found \"frob = 1\", expected log, holders",
        ":5: found \"action = redirect\", expected retry, observe or off",
        ":6: found \"first = 3 parsecs\", expected a duration",
        ":7: found \"max_attempts = -1\", expected a whole number",
        ":8: found \"[foo]\", expected [exec]",
        ":10: found \"just words\", expected key = value",
        ":13: found \"write = maybe\", expected retry, redirect",
    };
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 1);
    EXPECT_EMPTY(run.out);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char line[512];
        snprintf(line, sizeof line, "%s%s", conf, expected[i]);
        cr_expect_eq(count_of(run.err, line), 1, "\"%s\" is there %d times in: %s", line, count_of(run.err, line), run.err);
    }
    cr_expect_eq(count_of(run.err, "\n"), 8, "%s", run.err);
}

Test(cli, check_escapes_what_it_found)
{
    write_conf("\033[31mred \xff\xc2\x9b caf\xc3\xa9\ttab\n");
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 1);
    EXPECT_TEXT(run.err, ":1: found \"\\x1b[31mred \\xff\\xc2\\x9b caf\xc3\xa9\\ttab\", expected key = value");
    EXPECT_NO_TEXT(run.err, "\033");
}

Test(cli, check_cuts_a_long_line)
{
    char line[5001];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    write_conf(line);
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 1);
    EXPECT_TEXT(run.err, "xxx...\", expected");
    cr_expect_lt(strlen(run.err), 500);
}

Test(cli, check_of_a_file_that_cannot_be_read)
{
    struct run missing = RUN("check", conf), is_directory = RUN("check", directory), empty = RUN("check", "");
    EXPECT_STATUS(missing, 2);
    EXPECT_TEXT(missing.err, "No such file");
    EXPECT_STATUS(is_directory, 2);
    EXPECT_TEXT(is_directory.err, "expected a regular file");
    EXPECT_STATUS(empty, 2);

    FILE *file = fopen(conf, "w");
    for (int i = 0; i < 70000; i++)
        fputc('\n', file);
    fclose(file);
    struct run large = RUN("check", conf);
    EXPECT_STATUS(large, 2);
    EXPECT_TEXT(large.err, "64 KiB");

    cr_assert_eq(unlink(conf), 0);
    cr_assert_eq(mkfifo(conf, 0600), 0);
    struct run fifo = RUN("check", conf);
    EXPECT_STATUS(fifo, 2);
}

Test(cli, check_without_file)
{
    struct run run = RUN("check");
    if (has_system_file())
        cr_skip_test("this machine has " POLICY_SYSTEM_FILE);
    EXPECT_STATUS(run, 0);
    EXPECT_TEXT(run.out, POLICY_SYSTEM_FILE ": not there");
    EXPECT_EMPTY(run.err);
}

Test(cli, check_of_the_environment)
{
    struct run run = RUN_WITH(WORDS("ETXTBSY_EXEC=redirect", "ETXTBSY_FROB=1", "ETXTBSY_MAX_WAIT=soon"), "check");
    if (has_system_file())
        cr_skip_test("this machine has " POLICY_SYSTEM_FILE);
    EXPECT_STATUS(run, 1);
    EXPECT_TEXT(run.err, "environment: found \"ETXTBSY_EXEC=redirect\", expected retry, observe or off");
    EXPECT_TEXT(run.err, "environment: found \"ETXTBSY_FROB=1\", expected the name of a key");
    EXPECT_TEXT(run.err, "environment: found \"ETXTBSY_MAX_WAIT=soon\", expected a duration");
    cr_expect_eq(count_of(run.err, "\n"), 3, "%s", run.err);

    write_conf("[exec]\nfirst = x\n");
    char variable[256];
    snprintf(variable, sizeof variable, "ETXTBSY_CONF=%s", conf);
    struct run user = RUN_WITH(WORDS(variable), "check");
    EXPECT_STATUS(user, 1);
    EXPECT_TEXT(user.err, "/conf:2: found \"first = x\", expected a duration");
    struct run missing = RUN_WITH(WORDS("ETXTBSY_CONF=/nonexistent/conf"), "check");
    EXPECT_STATUS(missing, 2);
    EXPECT_TEXT(missing.err, "/nonexistent/conf: found no such file, expected a readable file");
}

/* The library can't say it, and goes on. */
Test(cli, check_of_a_log_that_cannot_be_written)
{
    write_conf("log = stderr, /no/such/log , journal\n");
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 1);
    cr_expect_str_eq(run.err, "log: no line can be written to /no/such/log: there is no directory /no/such; mkdir -p /no/such\n");
    write_conf("log = /etc\n");
    run = RUN("check", conf);
    EXPECT_STATUS(run, 1);
    EXPECT_TEXT(run.err, "it is a directory; name a file in it, /etc/etxtbsy.json");
    write_conf("log = /etxtbsy.json\n"); /* who may write there is another matter */
    run = RUN("check", conf);
    EXPECT_STATUS(run, 0);
}

/* A file that is given is looked at alone. */
Test(cli, check_of_a_file_leaves_the_environment_out)
{
    write_conf("");
    struct run run = RUN_WITH(WORDS("ETXTBSY_FROB=1", "ETXTBSY_WRITE=off"), "check", conf);
    EXPECT_STATUS(run, 0);
    struct run policy = RUN_WITH(WORDS("ETXTBSY_WRITE=off"), "check", "--path", "/x", "--op", "write", conf);
    EXPECT_STATUS(policy, 0);
    EXPECT_TEXT(policy.out, "write of /x: redirect, built-in");
}

Test(cli, check_options_go_together)
{
    write_conf("");
    struct run runs[] = {
        RUN("check", "--path", "/x", conf),
        RUN("check", "--op", "exec", conf),
        RUN("check", "--op", "frob", "--path", "/x", conf),
        RUN("check", "--json", conf),
        RUN("check", "--program", "cp", conf),
        RUN("check", conf, conf),
        RUN("check", "--path", "", "--op", "exec", conf),
        RUN("check", "--path"),
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        cr_expect_eq(runs[i].status, 2, "run %zu: status %d", i, runs[i].status);
        EXPECT_EMPTY(runs[i].out);
        cr_expect(*runs[i].err, "run %zu says nothing", i);
    }
}

/* Whether one line of a table has these words in this order, and nothing else but blanks. */
static bool has_row(const char *table, const char *key, const char *value, const char *from)
{
    char *copy = strdup(table), *state;
    bool found = false;
    for (char *line = strtok_r(copy, "\n", &state); line && !found; line = strtok_r(NULL, "\n", &state)) {
        char first[64], second[256], rest[512];
        found = sscanf(line, "%63s %255s %511[^\n]", first, second, rest) == 3 && !strcmp(first, key) && !strcmp(second, value) &&
                !strcmp(rest, from);
    }
    free(copy);
    return found;
}

#define EXPECT_ROW(run, key, value, from)                                                                                          \
    cr_expect(has_row((run).out, key, value, from), "no row %s %s %s in: %s", key, value, from, (run).out)

static const char *at(int line, const char *place)
{
    static char buffers[8][256];
    static int next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, 256, "%s:%d%s", conf, line, place);
    return buffer;
}

#define RULES                                                                                                                      \
    "log = none\n"                                                                                                                 \
    "[write]\n"                                                                                                                    \
    "cap = 9ms\n"                                                                                                                  \
    "[rule]\n"                                                                                                                     \
    "path = /opt/**\n"                                                                                                             \
    "program = cp\n"                                                                                                               \
    "write = retry\n"                                                                                                              \
    "[rule]\n"                                                                                                                     \
    "path = /opt/**\n"                                                                                                             \
    "write = observe\n"                                                                                                            \
    "max_wait = 1min\n"

Test(cli, check_shows_the_policy_for_a_path)
{
    write_conf(RULES);
    char headline[512];

    struct run run = RUN("check", "--path", "/opt/nonexistent/tool", "--op", "write", conf);
    EXPECT_STATUS(run, 0);
    EXPECT_EMPTY(run.err);
    snprintf(headline, sizeof headline, "write of /opt/nonexistent/tool: observe, from the rule at %s\n", at(10, ""));
    cr_expect_eq(strncmp(run.out, headline, strlen(headline)), 0, "%s", run.out);
    EXPECT_ROW(run, "action", "observe", at(10, " (rule)"));
    EXPECT_ROW(run, "max_wait", "60s", at(11, " (rule)"));
    EXPECT_ROW(run, "cap", "9ms", at(3, " ([write])"));
    EXPECT_ROW(run, "log", "none", at(1, " (top of the file)"));
    EXPECT_ROW(run, "first", "100us", "built-in");

    struct run by_program = RUN("check", "--path", "/opt/nonexistent/tool", "--op", "write", "--program", "cp", conf);
    EXPECT_ROW(by_program, "action", "retry", at(7, " (rule)"));
    EXPECT_ROW(by_program, "max_wait", "60s", at(11, " (rule)"));
    EXPECT_TEXT(by_program.out, "/cp: retry, from the rule at ");

    struct run by_path = RUN("check", "--path", "/opt/nonexistent/tool", "--op", "write", "--program", "/nonexistent/cp", conf);
    EXPECT_TEXT(by_path.out, "by /nonexistent/cp: retry, from the rule at ");

    struct run elsewhere = RUN("check", "--path", "/srv/nonexistent", "--op", "exec", conf);
    EXPECT_TEXT(elsewhere.out, "exec of /srv/nonexistent: retry, built-in; no rule");
    EXPECT_ROW(elsewhere, "max_wait", "10s", "built-in");
    EXPECT_ROW(elsewhere, "cap", "200ms", "built-in");
}

Test(cli, check_resolves_the_path)
{
    char link[128], text[512];
    snprintf(link, sizeof link, "%s/link", directory);
    snprintf(text, sizeof text, "[rule]\npath = %s\nexec = off\n", conf);
    write_conf(text);
    cr_assert_eq(symlink(conf, link), 0);
    struct run run = RUN("check", "--path", link, "--op", "exec", conf);
    EXPECT_TEXT(run.out, "/conf: off, from the rule");

    cr_assert_eq(chdir(directory), 0);
    struct run relative = RUN("check", "--path", "nonexistent", "--op", "exec", "conf");
    snprintf(text, sizeof text, "exec of %s/nonexistent: ", directory);
    EXPECT_TEXT(relative.out, text);
}

Test(cli, check_shows_variables)
{
    struct run run = RUN_WITH(WORDS("ETXTBSY_MAX_WAIT=5s", "ETXTBSY_EXEC_MAX_WAIT=6s"), "check", "--path", "/x", "--op", "exec");
    EXPECT_ROW(run, "max_wait", "6s", "ETXTBSY_EXEC_MAX_WAIT");
    struct run write = RUN_WITH(WORDS("ETXTBSY_MAX_WAIT=5s", "ETXTBSY_EXEC_MAX_WAIT=6s"), "check", "--path", "/x", "--op", "write");
    EXPECT_ROW(write, "max_wait", "5s", "ETXTBSY_MAX_WAIT");
    struct run off = RUN_WITH(WORDS("ETXTBSY_DISABLE=1", "ETXTBSY_WRITE=retry"), "check", "--path", "/x", "--op", "write");
    EXPECT_TEXT(off.out, "write of /x: off, from the variable ETXTBSY_DISABLE\n");
}

/* The policy is shown although there are problems; the status tells of them. */
Test(cli, check_shows_the_policy_and_complains)
{
    write_conf("[exec]\nfirst = x\n");
    struct run run = RUN("check", "--path", "/x", "--op", "exec", conf);
    EXPECT_STATUS(run, 1);
    EXPECT_ROW(run, "first", "100us", "built-in");
    cr_expect_eq(count_of(run.err, "\n"), 1, "%s", run.err);
}

static const char *string_in(struct json_object *object, const char *name)
{
    struct json_object *value;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "(missing)";
}

Test(cli, check_as_json)
{
    write_conf(RULES);
    struct run run = RUN("check", "--path", "/opt/\xff\n", "--op", "write", "--json", conf);
    EXPECT_STATUS(run, 0);
    cr_expect_eq(count_of(run.out, "\n"), 1, "one line: %s", run.out);
    struct json_object *object = json_tokener_parse(run.out), *policy;
    cr_assert_not_null(object, "not JSON: %s", run.out);
    cr_expect_str_eq(string_in(object, "path"), "/opt/\\xff\n");
    cr_expect_str_eq(string_in(object, "path_b64"), "L29wdC//Cg==");
    cr_expect_str_eq(string_in(object, "op"), "write");
    cr_assert(json_object_object_get_ex(object, "policy", &policy));
    cr_expect_eq(json_object_object_length(policy), POLICY_KEYS);

    static const struct {
        const char *key, *value, *source;
        int line;
    } expected[] = {
        { "log", "none", "top", 1 },    { "action", "observe", "rule", 10 }, { "max_wait", "60s", "rule", 11 },
        { "cap", "9ms", "section", 3 }, { "first", "100us", "built-in", 0 },
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct json_object *value, *line = NULL;
        cr_assert(json_object_object_get_ex(policy, expected[i].key, &value), "%s", expected[i].key);
        json_object_object_get_ex(value, "line", &line);
        cr_expect_str_eq(string_in(value, "value"), expected[i].value);
        cr_expect_str_eq(string_in(value, "source"), expected[i].source);
        cr_expect_eq(json_object_get_int(line), expected[i].line, "%s", expected[i].key);
        cr_expect_str_eq(string_in(value, "from"), expected[i].line ? at(expected[i].line, "") : "built-in");
    }
    json_object_put(object);

    run = RUN_WITH(WORDS("ETXTBSY_EXEC=off"), "check", "-p", "/x", "-o", "exec", "-x", "/nonexistent/cp", "-j");
    object = json_tokener_parse(run.out);
    cr_assert_not_null(object);
    cr_expect_str_eq(string_in(object, "program"), "/nonexistent/cp");
    struct json_object *action = json_object_object_get(json_object_object_get(object, "policy"), "action");
    cr_expect_str_eq(string_in(action, "source"), "variable");
    cr_expect_str_eq(string_in(action, "from"), "ETXTBSY_EXEC");
    json_object_put(object);
}

/* ---- etxtbsy.conf.example ---- */

/* Copies the example into the test's file, with what follows `prefix` uncommented where it looks like a key and a value. */
static void uncomment(const char *prefix, const char *also)
{
    char *line = NULL;
    size_t size = 0, length = strlen(prefix);
    FILE *from = fopen(EXAMPLE, "r"), *to = fopen(conf, "w");
    cr_assert(from && to, EXAMPLE);
    while (getline(&line, &size, from) > 0) {
        size_t word = strncmp(line, prefix, length) ? 0 : strspn(line + length, "abcdefghijklmnopqrstuvwxyz_");
        bool is_pair = word && !strncmp(line + length + word, " = ", 3);
        bool is_also = also && !strncmp(line, prefix, length) && !strncmp(line + length, also, strlen(also));
        fputs(is_pair || is_also ? line + length : line, to);
    }
    free(line);
    fclose(from);
    cr_assert_eq(fclose(to), 0);
}

Test(example, has_no_problems)
{
    struct run run = RUN("check", EXAMPLE);
    EXPECT_STATUS(run, 0);
    EXPECT_EMPTY(run.err);
}

Test(example, has_no_problems_when_uncommented)
{
    uncomment("# ", NULL);
    struct run run = RUN("check", conf);
    EXPECT_STATUS(run, 0);
    EXPECT_EMPTY(run.err);
}

/* Its rules are valid, too, and there are some. */
Test(example, has_valid_rules)
{
    uncomment("#     ", "[rule]");
    struct run run = RUN("check", conf), policy = RUN("check", "--path", "/srv/app/x/nonexistent", "--op", "exec", conf);
    EXPECT_STATUS(run, 0);
    EXPECT_EMPTY(run.err);
    EXPECT_TEXT(policy.out, " (rule)");
}

/* Uncommented, every key stands there for each operation, and says exactly what is built in. */
Test(example, says_what_is_built_in)
{
    uncomment("# ", NULL);
    const struct policy_sources none = { .environment = "" }, example = { .system_file = conf, .environment = "" };
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        const struct policy_question question = { .operation = operation, .path = "/x", .exe = "", .comm = "" };
        struct policy built_in, documented;
        policy_decide(&built_in, &question, &none, NULL);
        policy_decide(&documented, &question, &example, NULL);
        for (int key = 0; key < POLICY_KEYS; key++) {
            char first[POLICY_LOG_SIZE], second[POLICY_LOG_SIZE];
            struct text first_text = TEXT(first), second_text = TEXT(second);
            policy_add_value(&first_text, &built_in, key);
            policy_add_value(&second_text, &documented, key);
            cr_expect_not_null(documented.origin[key].file, "the example lacks %s for %s", policy_key_name(key),
                               policy_operation_name(operation));
            cr_expect_str_eq(second, first, "%s for %s", policy_key_name(key), policy_operation_name(operation));
        }
    }
}

/* ---- event.schema.json ---- */

static const struct host a_host = { .pid = 17, .parent = 16, .thread = 17, .name = "machine" };

static struct event good_event(void)
{
    return (struct event){
        .event = "wait",
        .op = "execve",
        .path = "tool",
        .target = "/opt/\xff/tool",
        .error = ETXTBSY,
        .outcome = "succeeded",
        .verdict = "transient",
        .action = "retry",
        .rule = "/etc/etxtbsy.conf:12",
        .message = "it was busy",
        .attempts = 3,
        .waited_ns = 1234567,
        .held_fd = -1,
        .host = &a_host,
        .comm = "make",
        .exe = "/usr/bin/make",
    };
}

static struct json_object *line_of(const struct event *event)
{
    static char line[EVENT_LINE_SIZE];
    size_t length = event_format(event, line, sizeof line);
    cr_assert_eq(line[length - 1], '\n');
    line[length - 1] = '\0';
    struct json_object *object = json_tokener_parse(line);
    cr_assert_not_null(object, "not JSON: %s", line);
    return object;
}

static void expect_good(struct json_object *line)
{
    const char *wrong = schema_check(line);
    cr_expect_null(wrong, "%s in %s", wrong, json_object_to_json_string(line));
    json_object_put(line);
}

static void expect_bad(struct json_object *line, const char *complaint)
{
    const char *wrong = schema_check(line);
    cr_expect_not_null(wrong, "accepted: %s", json_object_to_json_string(line));
    if (wrong)
        EXPECT_TEXT(wrong, complaint);
    json_object_put(line);
}

Test(schema, accepts_good_lines)
{
    struct event wait = good_event();
    expect_good(line_of(&wait));

    struct event bare = {
        .event = "config",
        .op = "open",
        .outcome = "ignored",
        .verdict = "failed",
        .message = "x",
        .held_fd = -1,
        .host = &a_host,
        .comm = "",
        .exe = "",
    };
    expect_good(line_of(&bare));

    struct event full = good_event();
    full.event = "redirect";
    full.outcome = full.verdict = "replaced";
    full.reason = "target-unlinked";
    full.stage = "/opt/.tool\xff";
    full.held_fd = 0;
    full.error = 4095;
    full.bytes = full.old_inode = full.new_inode = UINT64_MAX;
    expect_good(line_of(&full));
}

Test(schema, rejects_bad_lines)
{
    const struct event good = good_event();
    static const struct {
        const char *field, *json, *complaint;
    } bad[] = {
        { "ts", "\"2026-01-01 00:00:00Z\"", "ts" },
        { "ts", "\"2026-01-01T00:00:00.000Z\\n\"", "ts" },
        { "v", "2", "none of" },
        { "event", "\"frob\"", "event" },
        { "outcome", "\"\"", "outcome" },
        { "verdict", "null", "verdict" },
        { "action", "\"Retry\"", "action" },
        { "reason", "\"because\"", "reason" },
        { "message", "\"\"", "message" },
        { "pid", "\"1\"", "expected integer" },
        { "pid", "0", "less than" },
        { "errno", "-1", "less than" },
        { "attempts", "1.5", "expected integer" },
        { "waited_ms", "\"1\"", "expected number" },
        { "target_b64", "\"L29wdC//*\"", "target_b64" },
        { "error", "\"Text file busy\"", "error" },
        { "frob", "1", "isn't in the schema" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_object *line = line_of(&good);
        json_object_object_add(line, bad[i].field, json_tokener_parse(bad[i].json));
        expect_bad(line, bad[i].complaint);
    }
    static const char *const required[] = { "ts",    "v",     "event",    "op",      "outcome",  "verdict",   "path",   "target",
                                            "errno", "error", "strerror", "message", "attempts", "waited_ms", "action", "rule",
                                            "pid",   "ppid",  "tid",      "uid",     "comm",     "exe",       "host" };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        struct json_object *line = line_of(&good);
        json_object_object_del(line, required[i]);
        expect_bad(line, "is missing");
    }
    expect_bad(json_tokener_parse("[]"), "expected object");
}

/* One blank-separated word after the other, each up to a blank. */
#define FOR_EACH_WORD(word, words)                                                                                                 \
    for (char *rest_, *copy_ = strdup(words), *word = strtok_r(copy_, " ", &rest_); word; word = strtok_r(NULL, " ", &rest_))

static bool has_word(struct json_object *words, const char *word)
{
    for (size_t i = 0; i < json_object_array_length(words); i++)
        if (!strcmp(json_object_get_string(json_object_array_get_idx(words, i)), word))
            return true;
    return false;
}

/*
 * What README.md promises to those who read `v` = 1: no field of these goes, becomes optional or has another type, no word of these
 * goes, and there is no verdict but these. Who has to change this test has to raise the version.
 */
Test(schema, version_1_keeps_its_promise)
{
    static const struct {
        const char *type, *fields;
        bool required;
    } promised[] = {
        { "string", "ts event op outcome verdict path target error strerror message action rule comm exe host", true },
        { "integer", "v errno attempts pid ppid tid uid", true },
        { "number", "waited_ms", true },
        { "string",
          "path_b64 target_b64 message_b64 rule_b64 reason stage stage_b64 generation generation_b64 sync comm_b64 exe_b64 "
          "boot_id unit unit_b64 invocation_id container_id host_b64",
          false },
        { "integer", "held_fd bytes old_inode new_inode hard_links holders_hidden", false },
        { "boolean", "published_early holders_truncated", false },
        { "array", "holders ancestry", false },
        { "object", "delays", false },
    };
    static const struct {
        const char *field, *words;
        bool alone;
    } words[] = {
        { "verdict", "transient replaced persistent self-held refused failed", true },
        { "event", "wait redirect pending observe refuse config", false },
        { "outcome",
          "succeeded waiting gave-up replaced created unchanged in-place published-early discarded aborted failed pending "
          "observed refused ignored",
          false },
        { "action", "retry redirect atomic observe off none", false },
        { "reason",
          "self-held flags path not-a-regular-file hard-links mount-point immutable swap-file immutable-directory "
          "sticky-directory directory rename name-too-long read-only no-space quota no-proc descriptors unreadable owner "
          "attributes not-trackable target-unlinked target-replaced generation-name generation-link locked serialised "
          "write-failed writer-killed io_uring policy configuration",
          false },
    };
    struct json_object *properties = json_object_object_get(schema_get(), "properties");
    struct json_object *required = json_object_object_get(schema_get(), "required"), *field, *type;
    cr_assert_eq(EVENT_VERSION, 1, "this test is about version 1");
    cr_expect_str_eq(json_object_to_json_string_ext(json_object_object_get(json_object_object_get(properties, "v"), "enum"), 0),
                     "[1]");
    for (size_t i = 0; i < sizeof promised / sizeof *promised; i++)
        FOR_EACH_WORD(name, promised[i].fields)
        {
            cr_assert(json_object_object_get_ex(properties, name, &field), "%s is gone", name);
            cr_assert(json_object_object_get_ex(field, "type", &type));
            cr_expect_str_eq(json_object_get_string(type), promised[i].type, "%s", name);
            cr_expect_eq(has_word(required, name), promised[i].required, "whether %s is always there", name);
        }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct json_object *found = json_object_object_get(json_object_object_get(properties, words[i].field), "enum");
        size_t count = 0;
        FOR_EACH_WORD(word, words[i].words)
        {
            count++;
            cr_expect(has_word(found, word), "%s: %s is gone", words[i].field, word);
        }
        cr_expect(!words[i].alone || count == json_object_array_length(found), "%s: a new word", words[i].field);
    }
}

/* For an operator: every field is described, and every word of an enum explained. */
Test(schema, describes_everything)
{
    struct json_object *schema = schema_get(), *properties, *field, *words, *meanings;
    cr_assert_not_null(schema);
    cr_assert(json_object_object_get_ex(schema, "properties", &properties));
    json_object_object_foreach(properties, name, property)
    {
        cr_expect(json_object_object_get_ex(property, "description", &field), "%s has no description", name);
        if (!json_object_object_get_ex(property, "enum", &words) || !strcmp(name, "v"))
            continue;
        cr_assert(json_object_object_get_ex(property, "x-meanings", &meanings), "%s", name);
        cr_expect_eq((size_t)json_object_object_length(meanings), json_object_array_length(words), "%s", name);
        for (size_t i = 0; i < json_object_array_length(words); i++) {
            const char *word = json_object_get_string(json_object_array_get_idx(words, i));
            cr_expect(json_object_object_get_ex(meanings, word, NULL), "%s: %s isn't explained", name, word);
        }
    }
}

/* The policy's actions are the schema's. */
Test(schema, knows_every_action)
{
    struct json_object *properties = json_object_object_get(schema_get(), "properties");
    struct json_object *words = json_object_object_get(json_object_object_get(properties, "action"), "enum");
    size_t actions = 0;
    for (; *policy_keys[KEY_ACTION].choices[actions]; actions++) {
        struct event event = good_event();
        event.action = policy_keys[KEY_ACTION].choices[actions];
        expect_good(line_of(&event));
    }
    cr_expect_eq(json_object_array_length(words), actions + 1); /* and "none" */
}

/*
 * `etxtbsy doctor`: will the library reach this program and its children?
 */
#include "doctor.h"

#include <errno.h>
#include <getopt.h>
#include <json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "program.h"

static struct finding {
    enum finding_state state;
    const char *name, *remedy;
    char *text;
} * findings;
static size_t finding_count;

void doctor_find(enum finding_state state, const char *name, const char *remedy, const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    findings = realloc(findings, (finding_count + 1) * sizeof *findings);
    if (!findings || vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    findings[finding_count++] = (struct finding){ state, name, remedy ? strdup(remedy) : NULL, text };
}

static int usage(void)
{
    fputs("usage: etxtbsy doctor [--json] [PID | UNIT | CMD [ARG]...]\n"
          "\n"
          "Says whether the library reaches a program, and its children, and what to do where it doesn't: static programs, set-id\n"
          "programs and file capabilities, another word size, another libc, an environment that is taken away (env -i, sudo), a "
          "library\n"
          "that isn't where LD_PRELOAD says, a kernel or a file system that doesn't enforce ETXTBSY (tried out, with a copy of the "
          "shell\n"
          "in a new directory beside the program, where that may be written to, and in $TMPDIR or /tmp), few inotify instances.\n"
          "\n"
          "    (nothing)            the machine\n"
          "    PID                  a process: what it has loaded, and its children\n"
          "    UNIT                 a systemd unit (NAME.service, ...): its settings, its program, its processes\n"
          "    CMD [ARG]...         a program as it would be started from here; it isn't started\n"
          "\n"
          "    -j, --json           one JSON object: state is fine, note or problem\n"
          "    -h, --help           this text\n"
          "\n"
          "Exit status: 0 the library does its work there, 1 it doesn't, 2 usage error, or it can't be found out.\n",
          stdout);
    return CLI_FINE;
}

static const char *const state_names[] = { "fine", "note", "problem" };

static bool any_problem(void)
{
    for (size_t i = 0; i < finding_count; i++)
        if (findings[i].state == FINDING_PROBLEM)
            return true;
    return false;
}

static void print_lines(const char *text)
{
    for (;;) { /* a remedy may be several lines; nothing else that is printed has its own newlines */
        size_t length = strcspn(text, "\n");
        cli_print_escaped(stdout, text, length);
        if (!text[length])
            break;
        fputs("\n              ", stdout);
        text += length + 1;
    }
}

static void print_table(void)
{
    static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
    bool coloured = cli_colours();
    for (size_t i = 0; i < finding_count; i++) {
        const struct finding *finding = &findings[i];
        printf("%s%-7s%s  %-13s ", coloured ? colours[finding->state] : "", state_names[finding->state], coloured ? "\033[0m" : "",
               finding->name);
        cli_print_escaped(stdout, finding->text, strlen(finding->text));
        if (finding->remedy) {
            fputs("\n           -> ", stdout);
            print_lines(finding->remedy);
        }
        putchar('\n');
    }
}

static void print_json(const char *subject)
{
    struct json_object *object = json_object_new_object(), *array = json_object_new_array();
    cli_add_bytes(object, "subject", subject);
    json_object_object_add(object, "reached", json_object_new_boolean(!any_problem()));
    for (size_t i = 0; i < finding_count; i++) {
        struct json_object *entry = json_object_new_object();
        json_object_object_add(entry, "state", json_object_new_string(state_names[findings[i].state]));
        json_object_object_add(entry, "name", json_object_new_string(findings[i].name));
        cli_add_bytes(entry, "text", findings[i].text);
        if (findings[i].remedy)
            cli_add_bytes(entry, "remedy", findings[i].remedy);
        json_object_array_add(array, entry);
    }
    json_object_object_add(object, "findings", array);
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

bool doctor_names_library(const char *list)
{
    static const char separators[] = " :\t\n";
    for (const char *at = list ? list : ""; *(at += strspn(at, separators)); at += strcspn(at, separators)) {
        size_t length = strcspn(at, separators), name = strlen(DOCTOR_LIBRARY);
        if (length >= name && !memcmp(at + length - name, DOCTOR_LIBRARY, name) && (length == name || at[length - name - 1] == '/'))
            return true;
    }
    return false;
}

static int examine(int argc, char **argv)
{
    if (!argc) {
        const char *library = program_library();
        if (!library)
            return CLI_TROUBLE;
        doctor_machine(library);
    } else if (argc == 1 && strspn(argv[0], "0123456789") == strlen(argv[0]) && *argv[0]) {
        errno = 0;
        long pid = strtol(argv[0], NULL, 10);
        if (errno || pid <= 0 || pid > INT_MAX)
            return cli_trouble("%s is no process id", argv[0]);
        doctor_process((pid_t)pid);
    } else if (argc == 1 && doctor_is_unit(argv[0])) {
        if (!doctor_unit(argv[0]))
            return CLI_TROUBLE;
    } else {
        doctor_command(argc, argv);
    }
    return finding_count ? any_problem() ? CLI_PROBLEMS : CLI_FINE : CLI_TROUBLE;
}

int doctor_main(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
    bool as_json = false;
    int option;
    while ((option = getopt_long(argc, argv, "+jh", options, NULL)) != -1)
        switch (option) {
        case 'j':
            as_json = true;
            break;
        case 'h':
            return usage();
        default:
            fputs("`etxtbsy doctor --help` lists the options\n", stderr);
            return CLI_TROUBLE;
        }
    int status = examine(argc - optind, argv + optind);
    if (status == CLI_TROUBLE)
        return status;
    if (as_json)
        print_json(optind < argc ? argv[optind] : "machine");
    else
        print_table();
    return status;
}

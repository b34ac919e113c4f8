/*
 * `etxtbsy check`: reads the configuration as the shim does, and says what the shim would stumble over.
 */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "options.h"
#include "log_place.h"

#define FOUND_MAX 200 /* of what was found, shown: a binary file has long lines */

extern char **environ;

/* What has been said. A decision is made for each operation, and most complaints come each time. */
struct complaints {
    struct json_object *said; /* a set: the keys of an object */
    unsigned count;
    bool unreadable;
};

static void say_complaint(void *context, const struct policy_complaint *complaint)
{
    struct complaints *complaints = context;
    char *message = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&message, &size);
    if (!stream)
        abort();

    const char *file = complaint->file ? complaint->file : "environment";
    bool whole_file = complaint->file && !complaint->line; /* `found` isn't a quotation then */
    size_t length = complaint->found_length;
    cli_print_escaped(stream, file, strlen(file));
    if (complaint->line)
        fprintf(stream, ":%u", complaint->line);
    fprintf(stream, ": found %s", whole_file ? "" : "\"");
    cli_print_escaped(stream, complaint->found, length < FOUND_MAX ? length : FOUND_MAX);
    fprintf(stream, "%s%s, expected %s", length < FOUND_MAX ? "" : "...", whole_file ? "" : "\"", complaint->expected);
    fclose(stream);

    if (!json_object_object_get_ex(complaints->said, message, NULL)) {
        json_object_object_add(complaints->said, message, NULL);
        fprintf(stderr, "%s\n", message);
        complaints->count++;
        complaints->unreadable |= whole_file;
    }
    free(message);
}

/* What only this user can't write to may be right for those who do. */
static void say_log_trouble(void *context, const struct log_trouble *trouble)
{
    struct complaints *complaints = context;
    if (!trouble->for_everyone)
        return;
    fputs("log: no line can be written to ", stderr);
    cli_print_escaped(stderr, trouble->path, strlen(trouble->path));
    fputs(": ", stderr);
    cli_print_escaped(stderr, trouble->what, strlen(trouble->what));
    fputs("; ", stderr);
    cli_print_escaped(stderr, trouble->remedy, strlen(trouble->remedy));
    fputc('\n', stderr);
    complaints->count++;
}

static int usage(void)
{
    fputs("usage: etxtbsy check [FILE]\n"
          "       etxtbsy check --path PATH --op exec|write|truncate|rename [--program EXE] [--json] [FILE]\n"
          "\n"
          "Without options: reads FILE as the library does and reports every line that it would pass over, as\n"
          "FILE:LINE: found \"...\", expected ... Without FILE: " POLICY_SYSTEM_FILE ", the file that ETXTBSY_CONF names, and\n"
          "the ETXTBSY_* variables. A log file in a directory that isn't there is reported, too.\n"
          "\n"
          "With --path: shows which values are in force when a program wants to do OPERATION to PATH, and where each of\n"
          "them comes from. With FILE, from that file alone.\n"
          "\n"
          "    -p, --path PATH      the file that is busy; symbolic links are followed, as the library does\n"
          "    -o, --op OPERATION   exec, write, truncate or rename (link, unlink, ... too)\n"
          "    -x, --program EXE    the program that wants to; rules that ask for a program match no other\n"
          "    -j, --json           one JSON object instead of a table\n"
          "    -h, --help           this text\n"
          "\n"
          "Exit status: 0 no problems, 1 problems found, 2 usage error or a file that can't be read.\n",
          stdout);
    return CLI_FINE;
}

static enum policy_operation find_operation(const char *name)
{
    int operation = 0;
    while (operation < POLICY_OPERATIONS && strcmp(policy_operation_name(operation), name))
        operation++;
    return operation;
}

/* Where the path leads; what doesn't exist stays as it is, made absolute. NULL: no memory, or no current directory. */
static char *resolve(const char *path)
{
    char *resolved = realpath(path, NULL), *directory;
    if (resolved)
        return resolved;
    if (path[0] == '/')
        return strdup(path);
    if (!(directory = getcwd(NULL, 0)))
        return NULL;
    if (asprintf(&resolved, "%s/%s", directory, path) < 0)
        resolved = NULL;
    free(directory);
    return resolved;
}

/* The program's path, as /proc/PID/exe would have it; a name without a slash is looked for along PATH, and may not be found. */
static char *resolve_program(const char *name)
{
    const char *at = getenv("PATH");
    if (strchr(name, '/'))
        return resolve(name);
    for (; at && *at; at += strcspn(at, ":"), at += *at == ':') {
        char *candidate = NULL, *resolved = NULL;
        if (asprintf(&candidate, "%.*s/%s", (int)strcspn(at, ":"), at, name) < 0)
            return NULL;
        if (*at == '/' && access(candidate, X_OK) == 0)
            resolved = realpath(candidate, NULL);
        free(candidate);
        if (resolved)
            return resolved;
    }
    return strdup(name);
}

/* Whether there is a file to read. Opened here only for a good message; the shim's own reader opens it again. */
static bool is_readable(const char *file)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Decides for each operation, so that every complaint is heard, and keeps the decision that was asked for. */
static void decide(struct policy *policy, const struct policy_question *question, const struct policy_sources *sources,
                   struct complaints *complaints)
{
    const struct policy_listener listener = { say_complaint, complaints };
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        struct policy other;
        struct policy_question each = *question;
        each.operation = operation;
        policy_decide(each.operation == question->operation ? policy : &other, &each, sources, &listener);
    }
}

static void say_what_was_read(const struct policy_sources *sources, const char *file)
{
    if (!file && access(POLICY_SYSTEM_FILE, F_OK) < 0 && errno == ENOENT)
        printf("%s: not there; the built-in values stand in for it\n", POLICY_SYSTEM_FILE);
    if (file) {
        cli_print_escaped(stdout, file, strlen(file));
        puts(": no problems");
    } else {
        puts(*sources->environment ? "no problems in the files and the ETXTBSY_* variables" : "no problems");
    }
}

int check_main(int argc, char **argv)
{
    const char *path = NULL, *operation = NULL, *program = NULL;
    bool as_json = false;
    const struct option_row options[] = {
        { 'p', "path", .value = &path },
        { 'o', "op", .value = &operation },
        { 'x', "program", .value = &program },
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (argc - optind > 1)
        return cli_trouble("check takes one FILE, not %d", argc - optind);
    if (!path != !operation)
        return cli_trouble("--path and --op go together: what is busy, and what was to be done with it");
    if (!path && (program || as_json))
        return cli_trouble("--program and --json need --path and --op");
    if (path && !*path)
        return cli_trouble("--path is empty");

    struct policy_question question = { .path = "", .exe = "", .comm = "" };
    if (operation && (question.operation = find_operation(operation)) == POLICY_OPERATIONS)
        return cli_trouble("--op is exec, write, truncate or rename");

    const char *file = argv[optind];
    struct policy_sources sources = { .user_file = file, .environment = "" };
    if (file && !is_readable(file))
        return cli_trouble("%s: %s", file, strerror(errno));
    if (!file) {
        policy_remember_environment(environ);
        sources = policy_sources();
    }

    char *target = NULL, *exe = NULL, comm[16] = "";
    if (path && !(question.path = target = resolve(path)))
        return cli_trouble("%s: %s", path, strerror(errno));
    if (program) {
        /* The applets of a multi-call binary differ in this name; the kernel cuts it. */
        snprintf(comm, sizeof comm, "%s", text_base(program));
        question.comm = comm;
        if (!(question.exe = exe = resolve_program(program))) {
            free(target);
            return cli_trouble("%s: %s", program, strerror(errno));
        }
    }

    struct complaints complaints = { .said = json_object_new_object() };
    struct policy policy;
    decide(&policy, &question, &sources, &complaints);
    log_place_examine(policy.log, say_log_trouble, &complaints);
    if (path && as_json)
        explain_as_json(&policy, &question);
    else if (path)
        explain_as_table(&policy, &question);
    else if (!complaints.count)
        say_what_was_read(&sources, file);
    json_object_put(complaints.said);
    free(target);
    free(exe);
    return complaints.unreadable ? CLI_TROUBLE : complaints.count ? CLI_PROBLEMS : CLI_FINE;
}

/*
 * The `etxtbsy` command: what its subcommands share. An ordinary program, so it may allocate, use stdio and json-c; nothing
 * of it is ever linked into the library.
 */
#ifndef CLI_H
#define CLI_H

#include <json.h>
#include <stdbool.h>
#include <stdio.h>

#include "../policy/policy.h"

#define CLI_VERSION "0.1.0"

/* What every subcommand exits with. A script may rely on these. */
enum cli_status {
    CLI_FINE = 0,
    CLI_PROBLEMS = 1, /* it looked, and found something wrong */
    CLI_TROUBLE = 2,  /* it couldn't look: usage error, unreadable file, output that can't be written */
};

/*
 * The subcommands. argv[0] is "etxtbsy NAME"; getopt is reset. Each returns a cli_status, and need not look after errors of
 * stdout: main does, at the end.
 */
int check_main(int argc, char **argv);
int generations_main(int argc, char **argv);
int rollback_main(int argc, char **argv);
int sweep_main(int argc, char **argv);
int metrics_main(int argc, char **argv);
int report_main(int argc, char **argv);
int run_main(int argc, char **argv); /* returns the command's status, as its --help says */
int doctor_main(int argc, char **argv);
int snapshot_main(int argc, char **argv);
int who_main(int argc, char **argv);
int disable_main(int argc, char **argv);
int enable_main(int argc, char **argv);
int status_main(int argc, char **argv);

/* Says on stderr "etxtbsy: ..." with a newline. Returns CLI_TROUBLE. */
int cli_trouble(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same about a path, or another name, that somebody else may have chosen. */
int cli_trouble_at(const char *path, const char *what);

/*
 * Writes bytes that somebody else chose so that a terminal shows them and does nothing else: what the locale can't print
 * stands as \t, \n or \xNN. Returns the number of columns written.
 */
int cli_print_escaped(FILE *, const char *bytes, size_t length);

/* Whether stdout is a terminal that shows colours, and nobody has asked for none (https://no-color.org). */
bool cli_colours(void);

/*
 * A file that is there whole or not at all: written under another name, which the end changes; mode 0644. "-" is stdout. The
 * beginning returns NULL, and the end CLI_TROUBLE, when it has said what went wrong.
 */
struct cli_file {
    char *path, *temporary;
    FILE *stream;
};

FILE *cli_file_begin(struct cli_file *, const char *path);
int cli_file_end(struct cli_file *);

/*
 * Adds a string of any bytes to a JSON object as the log does: readable, and, where it isn't UTF-8, exact in a field of the
 * same name with "_b64".
 */
void cli_add_bytes(struct json_object *, const char *name, const char *bytes);

/* Prints a JSON object in one line, and frees it. */
void cli_print_json(struct json_object *);

/* explain.c: prints the policy in force for a question, with the origin of each value, as a table or as one JSON object. */
void explain_as_table(const struct policy *, const struct policy_question *);
void explain_as_json(const struct policy *, const struct policy_question *);

#endif

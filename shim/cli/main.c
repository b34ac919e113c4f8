/*
 * The `etxtbsy` command: finds the subcommand and hands over.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../event/event.h"
#include "cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "check", check_main, "check the configuration, and show what is in force for a path" },
    { "generations", generations_main, "list the replaced files that are kept beside a file, and who still runs them" },
    { "rollback", rollback_main, "put one of them back, while the file runs" },
    { "sweep", sweep_main, "remove what killed writers have left in directories" },
    { "run", run_main, "run a command under the library" },
    { "report", report_main, "put together what the logs say, with what to do about it" },
    { "metrics", metrics_main, "the same for Prometheus" },
    { "who", who_main, "who executes, writes or maps a file now, and what to do about each" },
    { "doctor", doctor_main, "will the library reach a program and its children?" },
    { "snapshot", snapshot_main, "a file's holders, whole, as one JSON document for the record" },
    { "enable", enable_main, "have systemd load the library into a service" },
    { "disable", disable_main, "take it out of a service again" },
    { "status", status_main, "which services have it" },
};

#define COMMANDS (sizeof commands / sizeof *commands)

static void usage(FILE *stream)
{
    fputs("etxtbsy: ends \"Text file busy\" (ETXTBSY)\n"
          "\n"
          "The work is done by a library that is loaded into programs; this command looks after it:\n"
          "\n"
          "        etxtbsy run make install       one command under the library\n"
          "        etxtbsy doctor make install    will it be reached?\n"
          "\n"
          "usage: etxtbsy COMMAND [OPTION]... [ARGUMENT]...\n"
          "\n",
          stream);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stream, "    %-12s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "`etxtbsy COMMAND --help` says more about each; `etxtbsy --version` names the version.\n"
          "Exit status: 0 all is well, 1 something is wrong with what was looked at, 2 it couldn't be looked at.\n",
          stream);
}

/* A full disk or a closed pipe must not pass for success. */
static int close_output(int status)
{
    int failed = ferror(stdout);
    if (fclose(stdout) != 0 || failed)
        return cli_trouble("can't write the output: %s", errno ? strerror(errno) : "unknown error");
    return ferror(stderr) ? CLI_TROUBLE : status;
}

static int say_version(void)
{
    printf("etxtbsy %s (log lines of version %d)\n", CLI_VERSION, EVENT_VERSION);
    return CLI_FINE;
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name))
            continue;
        if (argc == 2 && !strcmp(argv[1], "--version"))
            return say_version();
        char title[64]; /* getopt begins its messages with argv[0] */
        snprintf(title, sizeof title, "etxtbsy %s", commands[i].name);
        argv[0] = title;
        optind = 0;
        return commands[i].run(argc, argv);
    }
    fputs("etxtbsy: there is no command \"", stderr);
    cli_print_escaped(stderr, argv[0], strlen(argv[0]));
    fputs("\"; `etxtbsy --help` lists those that there are\n", stderr);
    return CLI_TROUBLE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { 0 },
    };
    int option;

    setlocale(LC_CTYPE, "");
    while ((option = getopt_long(argc, argv, "+hV", options, NULL)) != -1)
        switch (option) {
        case 'h':
            usage(stdout);
            return close_output(CLI_FINE);
        case 'V':
            return close_output(say_version());
        default:
            return CLI_TROUBLE;
        }
    if (optind == argc) {
        usage(stderr);
        return CLI_TROUBLE;
    }
    return close_output(run_command(argc - optind, argv + optind));
}

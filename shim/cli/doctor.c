/*
 * `etxtbsy doctor`: will the library reach this program and its children?
 */
#include "doctor.h"

#include <errno.h>
#include <unistd.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "program.h"

static int usage(void)
{
    fputs("usage: etxtbsy doctor [--json] [PID | UNIT | CMD [ARG]...]\n"
          "\n"
          "Says whether the library reaches a program, and its children, and what to do where it doesn't: static programs, set-id\n"
          "programs and file capabilities, another word size, another libc, an environment that is taken away (env -i, sudo), a "
          "library\n"
          "that isn't where LD_PRELOAD says, a kernel or a file system that doesn't enforce ETXTBSY (tried out, with a copy of the "
          "shell\n"
          "in a new directory beside the program, where that may be written to, and in $TMPDIR or /tmp).\n"
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
    return findings_status();
}

int doctor_main(int argc, char **argv)
{
    bool as_json = false;
    const struct option_row options[] = {
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_FIRST, options, usage, &status))
        return status;
    status = examine(argc - optind, argv + optind);
    if (status == CLI_TROUBLE)
        return status;
    if (as_json)
        findings_as_json(optind < argc ? argv[optind] : "machine");
    else
        findings_as_table();
    return status;
}

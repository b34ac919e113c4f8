/*
 * `etxtbsy enable` and `etxtbsy disable`: the library for one service, by a drop-in, and away again. What is as it should be
 * isn't touched, and what somebody else wrote never is. No service is restarted.
 */
#include <errno.h>
#include <unistd.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "drop_in.h"
#include "manager.h"
#include "program.h"
#include "units.h"

struct request {
    struct unit_manager manager;
    bool runtime, dry_run, all;
    bool changed; /* the manager has to hear of it */
};

static int usage_of_enable(void)
{
    fputs("usage: etxtbsy enable [OPTION]... UNIT...\n"
          "\n"
          "Has systemd load the library into the services UNIT and into what they start, by a drop-in " DROP_IN_NAME " for each,\n"
          "from their next start on. Nothing is restarted. Enabled services stay as they are; a drop-in of that name that was\n"
          "written or edited by somebody else isn't touched.\n"
          "\n"
          "A UNIT is the name of a service, with or without .service; a template (app@) means all its instances.\n"
          "\n"
          "    -u, --user       services of your own service manager\n"
          "    -r, --runtime    until the next boot only\n"
          "    -R, --root DIR   services in the file system below DIR, such as an image; nobody is told to reload\n"
          "    -n, --dry-run    only show what would be written\n"
          "    -h, --help       this text\n"
          "\n"
          "Exit status: 0 all are enabled now, 1 one was left alone (stderr says why), 2 usage error or it failed.\n",
          stdout);
    return CLI_FINE;
}

static int usage_of_disable(void)
{
    fputs("usage: etxtbsy disable [OPTION]... UNIT...\n"
          "       etxtbsy disable [OPTION]... --all\n"
          "\n"
          "Takes away what `etxtbsy enable` wrote for the services UNIT, from their next start on. Nothing is restarted. Services\n"
          "that aren't enabled stay as they are; a drop-in that was written or edited by somebody else isn't touched.\n"
          "\n"
          "    -a, --all        all services\n"
          "    -u, --user       services of your own service manager\n"
          "    -r, --runtime    only what goes with the next boot; else that, and what stays\n"
          "    -R, --root DIR   services in the file system below DIR, such as an image; nobody is told to reload\n"
          "    -n, --dry-run    only show what would be removed\n"
          "    -h, --help       this text\n"
          "\n"
          "Exit status: 0 none of them is enabled now, 1 one was left alone (stderr says why), 2 usage error or it failed.\n",
          stdout);
    return CLI_FINE;
}

/* "etxtbsy: PATH: what" about the drop-in of a unit. */
static int trouble_at(const char *directory, const char *unit, const char *what)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.d/" DROP_IN_NAME, directory, unit);
    return cli_trouble_at(path, what);
}

static void say_path(const char *what, const char *directory, const char *unit)
{
    printf("%s ", what);
    cli_print_escaped(stdout, directory, strlen(directory));
    printf("/%s.d/" DROP_IN_NAME "\n", unit);
}

static int failed_at(const char *directory, const char *unit)
{
    int error = errno;
    trouble_at(directory, unit, strerror(error));
    if (error == EACCES || error == EPERM)
        fputs("etxtbsy: the system's services are root's; --user is for your own\n", stderr);
    return CLI_TROUBLE;
}

static int leave_alone(const char *directory, const char *unit)
{
    trouble_at(directory, unit, "somebody else wrote or edited it, so it stays as it is");
    return CLI_PROBLEMS;
}

/* Two values of LD_PRELOAD don't add up: the later one is in force. */
static bool has_other_preload(const struct request *request, const char *unit, const char *library)
{
    char value[PATH_MAX];
    if (!manager_runs(&request->manager) || !manager_preload(&request->manager, unit, value, sizeof value) || !*value ||
        !strcmp(value, library))
        return false;
    fprintf(stderr, "etxtbsy: %s sets LD_PRELOAD itself, to ", unit);
    cli_print_escaped(stderr, value, strlen(value));
    fprintf(stderr, "; name both there, with a colon between them:\netxtbsy: Environment=\"LD_PRELOAD=");
    cli_print_escaped(stderr, value, strlen(value));
    fprintf(stderr, ":%s\"\n", library);
    return true;
}

static int write_for(struct request *request, const char *directory, const char *unit, const char *text)
{
    if (request->dry_run) {
        say_path("would write", directory, unit);
        fputs(text, stdout);
        return CLI_FINE;
    }
    if (drop_in_write(directory, unit, text) < 0)
        return failed_at(directory, unit);
    say_path("wrote", directory, unit);
    request->changed = true;
    return CLI_FINE;
}

static int enable_in(struct request *request, const char *directory, const char *unit, const char *library, const char *text)
{
    char *present = NULL;
    int status = CLI_FINE;
    switch (drop_in_read(directory, unit, &present)) {
    case DROP_IN_UNKNOWN:
        return failed_at(directory, unit);
    case DROP_IN_FOREIGN:
        return leave_alone(directory, unit);
    case DROP_IN_NONE:
        return has_other_preload(request, unit, library) ? CLI_PROBLEMS : write_for(request, directory, unit, text);
    case DROP_IN_OURS:
        if (strcmp(present, text)) /* for a library in another place */
            status = write_for(request, directory, unit, text);
        else
            printf("%s is enabled already\n", unit);
        free(present);
    }
    return status;
}

static int enable_unit(struct request *request, const char *unit, const char *library)
{
    if (!unit_exists(&request->manager, unit)) {
        cli_trouble_at(unit, request->manager.user
                                 ? "you have no such unit; `systemctl --user list-unit-files` lists those that there are"
                                 : "there is no such unit; `systemctl list-unit-files` lists those that there are");
        return CLI_PROBLEMS;
    }
    char *directory = unit_directory(&request->manager, request->runtime), *text = drop_in_text(library);
    int status = CLI_TROUBLE;
    if (!text)
        cli_trouble_at(library, "systemd can't be told such a path");
    else if (directory)
        status = enable_in(request, directory, unit, library, text);
    free(directory);
    free(text);
    return status;
}

/* Returns CLI_FINE also when there was nothing; *removed says which. */
static int disable_in(struct request *request, const char *unit, bool runtime, bool *removed)
{
    char *directory = unit_directory(&request->manager, runtime);
    int status = CLI_FINE;
    if (!directory)
        return CLI_TROUBLE;
    switch (drop_in_read(directory, unit, NULL)) {
    case DROP_IN_NONE:
        break;
    case DROP_IN_UNKNOWN:
        status = failed_at(directory, unit);
        break;
    case DROP_IN_FOREIGN:
        status = leave_alone(directory, unit);
        break;
    case DROP_IN_OURS:
        *removed = true;
        if (request->dry_run) {
            say_path("would remove", directory, unit);
        } else if (drop_in_remove(directory, unit) < 0) {
            status = failed_at(directory, unit);
        } else {
            say_path("removed", directory, unit);
            request->changed = true;
        }
    }
    free(directory);
    return status;
}

static int disable_unit(struct request *request, const char *unit)
{
    bool removed = false, has_runtime = !request->manager.user || getenv("XDG_RUNTIME_DIR");
    int stays = request->runtime ? CLI_FINE : disable_in(request, unit, false, &removed);
    int goes = has_runtime || request->runtime ? disable_in(request, unit, true, &removed) : CLI_FINE;
    if (!removed && stays == CLI_FINE && goes == CLI_FINE && !request->all)
        printf("%s is not enabled\n", unit);
    return stays > goes ? stays : goes;
}

static int disable_all(struct request *request)
{
    struct unit_list list = { 0 };
    int status = units_with_drop_in(&list, &request->manager);
    for (size_t i = 0; i < list.count; i++) {
        int one = disable_unit(request, list.names[i]);
        status = one > status ? one : status;
    }
    unit_list_free(&list);
    return status;
}

/* What was changed comes into force when the manager has read it, and the service is started anew. */
static int tell_manager(const struct request *request)
{
    if (!request->changed || *request->manager.root)
        return CLI_FINE;
    if (!manager_runs(&request->manager)) {
        puts("it counts from the next start of the service manager on");
        return CLI_FINE;
    }
    if (!manager_reload(&request->manager))
        return cli_trouble("the service manager didn't read that; `systemctl%s daemon-reload` makes it",
                           request->manager.user ? " --user" : "");
    printf("it counts when the service is restarted: systemctl%s restart UNIT\n", request->manager.user ? " --user" : "");
    return CLI_FINE;
}

/* True: go on, with the units from optind on. */
static bool take_options(struct request *request, int argc, char **argv, int (*usage)(void), bool takes_all, int *status)
{
    const struct option_row options[] = {
        { 'u', "user", .given = &request->manager.user },          { 'r', "runtime", .given = &request->runtime },
        { 'R', "root", .value = &request->manager.root },          { 'n', "dry-run", .given = &request->dry_run },
        { takes_all ? 'a' : '\0', "all", .given = &request->all }, { 0 },
    };
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, status))
        return false;
    *status = CLI_TROUBLE;
    if (request->manager.user && *request->manager.root)
        cli_trouble("--user and --root exclude each other");
    else if (optind == argc && !request->all)
        cli_trouble("%s wants the name of a service%s", takes_all ? "disable" : "enable", takes_all ? ", or --all" : "");
    else if (optind < argc && request->all)
        cli_trouble("--all means every service, so it takes no names");
    else
        return true;
    return false;
}

int enable_main(int argc, char **argv)
{
    struct request request = { .manager.root = "" };
    int status;
    if (!take_options(&request, argc, argv, usage_of_enable, false, &status))
        return status;
    /* An image's library is in the image. */
    const char *library = *request.manager.root ? INSTALLED_LIBRARY : program_library();
    if (!library)
        return CLI_TROUBLE;
    for (status = CLI_FINE; optind < argc; optind++) {
        char unit[UNIT_NAME_SIZE];
        int one = unit_name(argv[optind], unit) ? enable_unit(&request, unit, library) : CLI_TROUBLE;
        status = one > status ? one : status;
    }
    int told = tell_manager(&request);
    return told > status ? told : status;
}

int disable_main(int argc, char **argv)
{
    struct request request = { .manager.root = "" };
    int status;
    if (!take_options(&request, argc, argv, usage_of_disable, true, &status))
        return status;
    for (status = request.all ? disable_all(&request) : CLI_FINE; optind < argc; optind++) {
        char unit[UNIT_NAME_SIZE];
        int one = unit_name(argv[optind], unit) ? disable_unit(&request, unit) : CLI_TROUBLE;
        status = one > status ? one : status;
    }
    int told = tell_manager(&request);
    return told > status ? told : status;
}

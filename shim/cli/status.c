/*
 * `etxtbsy status`: which services are enabled, and whether their processes have the library loaded.
 */
#include <errno.h>
#include <unistd.h>
#include <json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "drop_in.h"
#include "manager.h"
#include "units.h"

struct unit_status {
    const char *state, *process; /* in the words of the help */
    pid_t pid;                   /* 0: none, or unknown */
    bool stays;                  /* whether the drop-in is the one that outlives a boot */
};

static int usage(void)
{
    fputs("usage: etxtbsy status [OPTION]... [UNIT...]\n"
          "\n"
          "Says of each service UNIT, or of all that have a drop-in " DROP_IN_NAME
          ", whether systemd is to load the library into it:\n"
          "\n"
          "    enabled      yes\n"
          "    runtime      until the next boot\n"
          "    foreign      there is a drop-in of that name, which `etxtbsy enable` didn't write, or which was edited since\n"
          "    disabled     no\n"
          "    unknown      the drop-in can't be read\n"
          "\n"
          "and, where systemd runs, of its main process:\n"
          "\n"
          "    loaded       it has the library loaded\n"
          "    not-loaded   it runs without; a restart loads it, unless the program is static or set-id\n"
          "    stopped      there is none\n"
          "    unknown      that can't be known: another user's process, a template, no systemd\n"
          "\n"
          "    -u, --user       services of your own service manager\n"
          "    -R, --root DIR   services in the file system below DIR, such as an image\n"
          "    -j, --json       an array with one object for each service\n"
          "    -h, --help       this text\n"
          "\n"
          "Exit status: 0 all are enabled, and none runs without, 1 one isn't or does, 2 usage error or a drop-in that can't be "
          "read.\n",
          stdout);
    return CLI_FINE;
}

static const char *process_state(pid_t pid)
{
    char path[64], *line = NULL;
    size_t size = 0;
    bool loaded = false, empty = true;
    if (pid == 0)
        return "stopped";
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = pid < 0 ? NULL : fopen(path, "re");
    while (maps && !loaded && getline(&line, &size, maps) > 0) {
        empty = false;
        loaded = strstr(line, "/libetxtbsy.so") != NULL;
    }
    free(line);
    if (maps)
        fclose(maps);
    return empty ? "unknown" : loaded ? "loaded" : "not-loaded";
}

static enum drop_in_state read_in(const struct unit_manager *manager, const char *unit, bool runtime)
{
    char *directory = runtime && manager->user && !getenv("XDG_RUNTIME_DIR") ? NULL : unit_directory(manager, runtime);
    enum drop_in_state state = directory ? drop_in_read(directory, unit, NULL) : DROP_IN_NONE;
    free(directory);
    return state;
}

/* Of two files of one name systemd takes the one in /etc. */
static struct unit_status look_at(const struct unit_manager *manager, const char *unit)
{
    struct unit_status status = { .stays = true };
    enum drop_in_state state = read_in(manager, unit, false);
    if (state == DROP_IN_NONE) {
        state = read_in(manager, unit, true);
        status.stays = state == DROP_IN_NONE;
    }
    static const char *const words[] = {
        [DROP_IN_NONE] = "disabled", [DROP_IN_OURS] = "enabled", [DROP_IN_FOREIGN] = "foreign", [DROP_IN_UNKNOWN] = "unknown"
    };
    status.state = state == DROP_IN_OURS && !status.stays ? "runtime" : words[state];
    pid_t pid = manager_runs(manager) ? manager_main_pid(manager, unit) : -1;
    status.process = process_state(pid);
    status.pid = pid > 0 ? pid : 0;
    return status;
}

static bool is_problem(const struct unit_status *status)
{
    bool enabled = !strcmp(status->state, "enabled") || !strcmp(status->state, "runtime");
    return !enabled || !strcmp(status->process, "not-loaded");
}

static void print_row(const char *unit, const struct unit_status *status)
{
    printf("%-*s %-*s %s", 32, unit, 9, status->state, status->process);
    if (status->pid)
        printf(" (%d)", (int)status->pid);
    putchar('\n');
}

static struct json_object *as_object(const char *unit, const struct unit_status *status)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "unit", json_object_new_string(unit));
    json_object_object_add(object, "state", json_object_new_string(status->state));
    json_object_object_add(object, "process", json_object_new_string(status->process));
    if (status->pid)
        json_object_object_add(object, "pid", json_object_new_int((int)status->pid));
    return object;
}

static int say_status(const struct unit_manager *manager, const struct unit_list *list, bool as_json)
{
    struct json_object *array = json_object_new_array();
    int result = CLI_FINE;
    if (!as_json && list->count)
        printf("%-*s %-*s %s\n", 32, "UNIT", 9, "STATE", "PROCESS");
    for (size_t i = 0; i < list->count; i++) {
        struct unit_status status = look_at(manager, list->names[i]);
        int one = !strcmp(status.state, "unknown") ? CLI_TROUBLE : is_problem(&status) ? CLI_PROBLEMS : CLI_FINE;
        result = one > result ? one : result;
        if (as_json)
            json_object_array_add(array, as_object(list->names[i], &status));
        else
            print_row(list->names[i], &status);
    }
    if (!as_json && !list->count)
        puts("no service is enabled; `etxtbsy enable UNIT` does that");
    if (as_json)
        cli_print_json(array);
    else
        json_object_put(array);
    return result;
}

int status_main(int argc, char **argv)
{
    struct unit_manager manager = { .root = "" };
    struct unit_list list = { 0 };
    bool as_json = false;
    const struct option_row options[] = {
        { 'u', "user", .given = &manager.user },
        { 'R', "root", .value = &manager.root },
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status = CLI_FINE;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (manager.user && *manager.root)
        return cli_trouble("--user and --root exclude each other");
    if (optind == argc)
        status = units_with_drop_in(&list, &manager);
    for (; optind < argc; optind++) {
        char unit[UNIT_NAME_SIZE];
        if (!unit_name(argv[optind], unit))
            status = CLI_TROUBLE;
        else
            unit_list_add(&list, unit);
    }
    int said = say_status(&manager, &list, as_json);
    unit_list_free(&list);
    return said > status ? said : status;
}

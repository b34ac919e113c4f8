#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sys/text.h"
#include "cli.h"
#include "program.h"
#include "doctor.h"

#define DROP_IN                                                                                                                    \
    "systemctl edit UNIT, and there:\n"                                                                                            \
    "[Service]\n"                                                                                                                  \
    "Environment=LD_PRELOAD=/usr/local/lib/" PROGRAM_LIBRARY

bool doctor_is_unit(const char *name)
{
    static const char *const kinds[] = { ".service", ".scope", ".socket", ".timer", ".slice", ".mount", ".target", ".path" };
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && !strchr(name, '/') && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(ending, kinds[i]))
            return true;
    return false;
}

/* What `systemctl show` prints for the unit, to be freed; NULL: it couldn't be asked, with its own words in `said`. */
static char *show(const char *unit, char *said, size_t size)
{
    extern char **environ;
    char *argv[] = { "systemctl", "show",       "--property=LoadState,Environment,ExecStart,MainPID,RootDirectory,RootImage",
                     "--",        (char *)unit, NULL };
    int pipes[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    if (error) {
        close(pipes[0]);
        snprintf(said, size, "systemctl: %s", strerror(error));
        return NULL;
    }
    FILE *output = fdopen(pipes[0], "r");
    char *text = NULL;
    size_t room = 0;
    if (getdelim(&text, &room, '\0', output) < 0 && !(text = realloc(text, 1)))
        abort();
    else if (!room)
        *text = '\0';
    fclose(output);
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return text;
    snprintf(said, size, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
    return NULL;
}

/* A property's value, to be freed; empty when it isn't there. */
static char *property(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, name, length) && line[length] == '=')
            return strndup(line + length + 1, strcspn(line + length + 1, "\n"));
    return strdup("");
}

/* One assignment of "A=b \"C=d e\"", without its quotes. */
static bool next_assignment(const char **at, char *assignment, size_t size)
{
    size_t length = 0;
    bool quoted = false;
    *at += strspn(*at, " ");
    for (; **at && (quoted || **at != ' '); ++*at) {
        if (**at == '"')
            quoted = !quoted;
        else if (length + 1 < size)
            assignment[length++] = **at;
    }
    assignment[length] = '\0';
    return length > 0;
}

static void look_at_environment(const char *unit, const char *environment)
{
    char assignment[PATH_MAX];
    bool preloads = false, disabled = false;
    while (next_assignment(&environment, assignment, sizeof assignment)) {
        const char *list = text_behind(assignment, "LD_PRELOAD=");
        preloads |= list && program_names_library(list);
        disabled |= !strcmp(assignment, "ETXTBSY_DISABLE=1");
    }
    if (preloads)
        finding_add(FINDING_FINE, "environment", NULL, "%s starts its programs with the library in LD_PRELOAD", unit);
    else
        finding_add(FINDING_PROBLEM, "environment", DROP_IN, "%s starts its programs without the library", unit);
    if (disabled)
        finding_add(FINDING_PROBLEM, "environment", "take it out again", "%s has ETXTBSY_DISABLE=1: everything is off", unit);
}

/* "{ path=/usr/bin/x ; argv[]=/usr/bin/x -y ; … }" */
static void look_at_program(const char *exec_start)
{
    char path[PATH_MAX];
    const char *at = strstr(exec_start, "path=");
    size_t length = at ? strcspn(at + 5, " ;") : 0;
    if (!length || length >= sizeof path)
        return;
    memcpy(path, at + 5, length);
    path[length] = '\0';
    doctor_program(path);
}

bool doctor_unit(const char *unit)
{
    char said[512] = "";
    char *text = show(unit, said, sizeof said);
    if (!text) {
        cli_trouble_at(unit, *said ? said : "systemctl can't be asked");
        return false;
    }
    char *state = property(text, "LoadState"), *environment = property(text, "Environment"), *exec = property(text, "ExecStart");
    char *main_pid = property(text, "MainPID"), *root = property(text, "RootDirectory"), *image = property(text, "RootImage");
    bool found = strcmp(state, "not-found") != 0;
    if (!found) {
        cli_trouble_at(unit, "there is no such unit");
    } else {
        look_at_environment(unit, environment);
        if (*root || *image)
            finding_add(FINDING_PROBLEM, "root",
                        "put the library into that root, under the path that LD_PRELOAD names (BindReadOnlyPaths=)",
                        "%s runs with another root directory: %s", unit, *root ? root : image);
        else
            look_at_program(exec);
        if (strtol(main_pid, NULL, 10) > 0)
            doctor_process((pid_t)strtol(main_pid, NULL, 10));
        else
            finding_add(FINDING_NOTE, "process", NULL, "%s has no main process now", unit);
    }
    free(text);
    free(state);
    free(environment);
    free(exec);
    free(main_pid);
    free(root);
    free(image);
    return found;
}

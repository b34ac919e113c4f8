#include "manager.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_SIZE 65536

extern char **environ;

bool manager_runs(const struct unit_manager *manager)
{
    char path[PATH_MAX];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (*manager->root)
        return false;
    if (manager->user && (!runtime || snprintf(path, sizeof path, "%s/systemd/private", runtime) >= PATH_MAX))
        return false;
    return access(manager->user ? path : "/run/systemd/system", F_OK) == 0; /* as sd_booted(3) asks */
}

/* systemctl with arguments up to a NULL. Its output goes into `answer`, when that is given. Returns whether it succeeded. */
static bool systemctl(const struct unit_manager *manager, const char *const arguments[], char *answer, bool quiet)
{
    const char *argv[12] = { "systemctl", manager->user ? "--user" : "--system" };
    for (size_t i = 0; arguments[i] && i + 3 < sizeof argv / sizeof *argv; i++)
        argv[i + 2] = arguments[i];
    int ends[2], status = -1;
    pid_t pid;
    size_t length = 0;
    posix_spawn_file_actions_t actions;
    if (pipe(ends) < 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, answer ? ends[1] : STDERR_FILENO, STDOUT_FILENO);
    if (quiet)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, (char **)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t count = 1; answer && !error && count > 0 && length < ANSWER_SIZE - 1; length += (size_t)(count > 0 ? count : 0))
        count = read(ends[0], answer + length, ANSWER_SIZE - 1 - length);
    close(ends[0]);
    if (answer)
        answer[length] = '\0';
    while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return !error && status == 0;
}

bool manager_reload(const struct unit_manager *manager)
{
    return systemctl(manager, (const char *const[]){ "daemon-reload", NULL }, NULL, false);
}

static bool show(const struct unit_manager *manager, const char *unit, const char *property, char answer[ANSWER_SIZE])
{
    return systemctl(manager, (const char *const[]){ "show", "--value", "--property", property, "--", unit, NULL }, answer, true);
}

pid_t manager_main_pid(const struct unit_manager *manager, const char *unit)
{
    char answer[ANSWER_SIZE], *end;
    if (!show(manager, unit, "MainPID", answer))
        return -1;
    long pid = strtol(answer, &end, 10);
    return end == answer || pid < 0 || pid > INT_MAX ? -1 : (pid_t)pid;
}

/*
 * The answer is words with blanks between them; one with a character that a shell would take amiss ($LIB has one) stands in
 * double quotes, with backslashes.
 */
bool manager_preload(const struct unit_manager *manager, const char *unit, char *value, size_t size)
{
    static const char name[] = "LD_PRELOAD=";
    char answer[ANSWER_SIZE], *at;
    size_t length = 0;
    if (!show(manager, unit, "Environment", answer))
        return false;
    for (at = answer; (at = strstr(at, name)); at++)
        if (at == answer || strchr(" \"", at[-1]))
            break;
    if (!at)
        return false;
    bool quoted = at > answer && at[-1] == '"';
    for (at += strlen(name); *at && !strchr(quoted ? "\"\n" : " \n", *at) && length < size - 1; at++) {
        at += quoted && *at == '\\' && at[1];
        value[length++] = *at;
    }
    value[length] = '\0';
    return true;
}

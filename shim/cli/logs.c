#include "logs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

extern char **environ;

bool logs_find(struct logs *logs, char **named)
{
    struct policy policy;
    struct policy_question question = { .operation = POLICY_EXEC, .path = "", .exe = "", .comm = "" };
    size_t count = 0;
    bool any = false;
    *logs = (struct logs){ .files = named };
    if (*named)
        return true;

    policy_remember_environment(environ);
    struct policy_sources sources = policy_sources();
    policy_decide(&policy, &question, &sources, NULL);
    logs->is_own = true;
    if (!(logs->files = calloc(POLICY_LOG_SIZE, sizeof *logs->files)))
        abort();
    for (char *rest, *sink = strtok_r(policy.log, ",", &rest); sink; sink = strtok_r(NULL, ",", &rest)) {
        sink += strspn(sink, " ");
        for (size_t length = strlen(sink); length && sink[length - 1] == ' '; length--)
            sink[length - 1] = '\0';
        if (*sink != '/')
            continue;
        any = true; /* if it isn't there, nothing was logged yet */
        if (access(sink, F_OK) == 0 && !(logs->files[count++] = strdup(sink)))
            abort();
    }
    if (any)
        return true;
    logs_free(logs);
    cli_trouble("the configuration's `log` names no file: name one, or - for standard input");
    return false;
}

void logs_free(struct logs *logs)
{
    for (char **file = logs->files; logs->is_own && *file; file++)
        free(*file);
    if (logs->is_own)
        free(logs->files);
}

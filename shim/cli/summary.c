#include "summary.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "lines.h"
#include "replaced.h"
#include "report.h"

#define USERS_SAID 20

struct summary {
    struct group sums[LINE_OPERATIONS]; /* their outcomes alone are used */
    uint64_t ended, longest_us;
    char *longest_path;
    struct replaced *replaced;
    int users;
};

static void use_line(void *context, const struct line *line)
{
    struct summary *summary = context;
    summary->sums[line->operation].outcomes[line->outcome]++;
    summary->ended += line_is_end(line);
    if (line->waited_us > summary->longest_us) {
        summary->longest_us = line->waited_us;
        free(summary->longest_path);
        summary->longest_path = strdup(line->path);
    }
    replaced_add(summary->replaced, line);
}

static void say_user(void *context, const struct replaced_user *user)
{
    struct summary *summary = context;
    if (summary->users++ >= USERS_SAID)
        return;
    fputs("etxtbsy: ", stderr);
    cli_print_escaped(stderr, user->comm, strlen(user->comm));
    fprintf(stderr, " (pid %d) still runs the old version of ", (int)user->pid);
    cli_print_escaped(stderr, user->path, strlen(user->path));
    fputc('\n', stderr);
}

static void say_counts(const struct summary *summary)
{
    const char *separator = "";
    fprintf(stderr, "etxtbsy: %llu intervention%s: ", (unsigned long long)summary->ended, summary->ended == 1 ? "" : "s");
    for (int operation = 0; operation < LINE_OPERATIONS; operation++) {
        char *outcomes = report_outcomes(&summary->sums[operation]);
        if (*outcomes) {
            fprintf(stderr, "%s%s: %s", separator, line_operations[operation], outcomes);
            separator = "; ";
        }
        free(outcomes);
    }
    if (summary->longest_us) {
        char wait[REPORT_WAIT_SIZE];
        report_wait(wait, summary->longest_us);
        fprintf(stderr, "; longest wait %s, for ", wait);
        cli_print_escaped(stderr, summary->longest_path, strlen(summary->longest_path));
    }
    fputc('\n', stderr);
}

void summary_say(const char *log)
{
    struct summary summary = { .replaced = replaced_begin() };
    struct lines *lines = lines_begin(use_line, &summary);
    lines_read(lines, log);
    if (lines_count(lines) > lines_broken(lines)) {
        say_counts(&summary);
        replaced_find(summary.replaced, say_user, &summary);
        if (summary.users > USERS_SAID)
            fprintf(stderr, "etxtbsy: and %d more processes run old versions\n", summary.users - USERS_SAID);
    }
    lines_end(lines);
    replaced_end(summary.replaced);
    free(summary.longest_path);
}

/*
 * `etxtbsy report`: what the logs say, put together: which files are busy, for how long, who holds them, and what to do.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../policy/glob.h"
#include "cli.h"
#include "options.h"
#include "lines.h"
#include "logs.h"
#include "moment.h"

extern char **environ;

/* Which lines count. */
struct filter {
    int64_t since, until; /* [since, until) */
    const char *path, *unit;
};

struct gathering {
    struct filter filter;
    struct report report;
};

static bool matches_unit(const char *wanted, const char *unit)
{
    if (strpbrk(wanted, "*?["))
        return glob_match(wanted, unit);
    size_t length = strlen(wanted);
    /* As systemctl has it: a name without a kind is a service's. */
    return !strncmp(wanted, unit, length) && (!unit[length] || (!strchr(wanted, '.') && !strcmp(unit + length, ".service")));
}

static void use_line(void *context, const struct line *line)
{
    struct gathering *gathering = context;
    const struct filter *filter = &gathering->filter;
    if (line->at_ms < filter->since || line->at_ms >= filter->until)
        return;
    if (filter->path && !glob_match(filter->path, strchr(filter->path, '/') ? line->path : text_base(line->path)))
        return;
    if (filter->unit && !matches_unit(filter->unit, line->unit))
        return;
    tally_add(&gathering->report.tally, line);
}

/* The arguments for what was logged to the journal, in the time that was asked for: the rest is for the filter. */
static pid_t start_journalctl(const struct filter *filter, int out)
{
    char since[32], until[32];
    char *argv[] = {
        "journalctl", "--quiet", "--no-pager", "--all", "--output=json", "SYSLOG_IDENTIFIER=etxtbsy", NULL, NULL, NULL
    };
    size_t count = 6;
    pid_t pid;
    if (filter->since != INT64_MIN) {
        snprintf(since, sizeof since, "--since=@%" PRId64, filter->since / 1000);
        argv[count++] = since;
    }
    if (filter->until != INT64_MAX) {
        snprintf(until, sizeof until, "--until=@%" PRId64, filter->until / 1000 + 1);
        argv[count++] = until;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (!error)
        return pid;
    cli_trouble_at(argv[0], strerror(error));
    return -1;
}

static bool read_journal(struct lines *lines, const struct filter *filter)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        cli_trouble("can't make a pipe: %s", strerror(errno));
        return false;
    }
    pid_t pid = start_journalctl(filter, ends[1]);
    close(ends[1]);
    bool whole = lines_read_descriptor(lines, ends[0], "journal");
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (status)
        cli_trouble("journalctl failed");
    return whole && !status;
}

static int usage(void)
{
    fputs("usage: etxtbsy report [OPTION]... [FILE...]\n"
          "       etxtbsy report --journal [OPTION]... [FILE...]\n"
          "\n"
          "Puts together what the library's logs say. FILE is a log, plain or gzip'd, or - for standard input; any\n"
          "number of them, from any number of hosts. Without FILE and --journal: the files that the configuration's\n"
          "`log` names.\n"
          "\n"
          "    -J, --journal        what went to the systemd journal, as journalctl gives it\n"
          "    -s, --since TIME     only what was logged from then on: 2026-11-22, \"2026-11-22 15:48:32\" (local time,\n"
          "                         or with Z or +01:00 behind), today, yesterday, now, \"2h ago\", -90min, @SECONDS\n"
          "    -u, --until TIME     only what was logged before that\n"
          "    -p, --path PATTERN   only files that match, as in a [rule]: /srv/**, or a name without a slash\n"
          "    -U, --unit UNIT      only what ran in that systemd unit; a pattern, too\n"
          "    -j, --json           one JSON object instead of a table\n"
          "    -H, --html FILE      a page that needs nothing else, instead of a table; - for standard output\n"
          "    -h, --help           this text\n"
          "\n"
          "For each path and operation: how many interventions, how long they waited (half, nine of ten, 99 of 100\n"
          "waited no longer; at most 3.2 % too high), the worst verdict, who held the file most often, how they ended,\n"
          "and behind -> what to do where it doesn't end by itself. The worst come first. Times are in UTC.\n"
          "\n"
          "Exit status: 0 all lines were understood, 1 some were broken (stderr says which) and left out, 2 usage\n"
          "error, or a file that can't be read.\n",
          stdout);
    return CLI_FINE;
}

static int show(const struct report *report, bool as_json, const char *page)
{
    struct cli_file file;
    if (as_json)
        report_as_json(report);
    else if (!page)
        report_as_table(report, cli_colours());
    if (!page)
        return CLI_FINE;
    if (!cli_file_begin(&file, page))
        return CLI_TROUBLE;
    report_as_html(report, file.stream);
    return cli_file_end(&file);
}

static bool take_moment(const char *option, const char *text, int64_t *moment)
{
    if (moment_read(text, moment_now(), moment))
        return true;
    fprintf(stderr, "etxtbsy: --%s is a time such as \"2026-11-22 15:48\", yesterday or \"2h ago\", not \"", option);
    cli_print_escaped(stderr, text, strlen(text));
    fputs("\"\n", stderr);
    return false;
}

int report_main(int argc, char **argv)
{
    struct gathering gathering = { .filter = { .since = INT64_MIN, .until = INT64_MAX } };
    struct filter *filter = &gathering.filter;
    struct report *report = &gathering.report;
    const char *since = NULL, *until = NULL, *page = NULL;
    bool as_json = false, from_journal = false;
    const struct option_row options[] = {
        { 's', "since", .value = &since },          { 'u', "until", .value = &until },
        { 'p', "path", .value = &filter->path },    { 'U', "unit", .value = &filter->unit },
        { 'j', "json", .given = &as_json },         { 'H', "html", .value = &page },
        { 'J', "journal", .given = &from_journal }, { 0 },
    };
    int status = CLI_FINE;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if ((since && !take_moment("since", since, &filter->since)) || (until && !take_moment("until", until, &filter->until)))
        return CLI_TROUBLE;
    if (as_json && page && !strcmp(page, "-"))
        return cli_trouble("--json and --html - can't both go to standard output");

    struct logs logs = { .files = argv + optind };
    if (!from_journal && !logs_find(&logs, argv + optind))
        return CLI_TROUBLE;
    tally_begin(&report->tally);
    struct lines *lines = lines_begin(use_line, &gathering);
    if (from_journal && !read_journal(lines, filter))
        status = CLI_TROUBLE;
    for (char **file = logs.files; *file; file++)
        if (!lines_read(lines, *file))
            status = CLI_TROUBLE;
    report->lines = lines_count(lines);
    report->broken = lines_broken(lines);
    lines_end(lines);
    logs_free(&logs);

    tally_sort(&report->tally);
    if (show(report, as_json, page) != CLI_FINE)
        status = CLI_TROUBLE;
    tally_end(&report->tally);
    return status == CLI_FINE && report->broken ? CLI_PROBLEMS : status;
}

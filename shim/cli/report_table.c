/*
 * The report for a terminal: a table, and the waits over time.
 */
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "advice.h"
#include "cli.h"
#include "moment.h"
#include "report.h"

#define PATHS_SHOWN 50
#define SHADES 4
#define LABEL 10
#define COUNT 9

static const char *begin_colour(bool colours, const char *code)
{
    return colours ? code : "";
}

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define NORMAL "\033[0m"

static void print_cell(const char *text, int width)
{
    int columns = cli_print_escaped(stdout, text, strlen(text));
    printf("%*s ", columns < width ? width - columns : 0, "");
}

/* The comm alone; the path of the program stands in the advice. */
static void print_holder(const struct group *group)
{
    const struct tally_name *holder = tally_first(&group->holders);
    char *name = strdup(holder ? holder->text : "-"), *rest = name ? strstr(name, " (/") : NULL;
    if (!name)
        abort();
    if (rest)
        *rest = '\0';
    print_cell(name, 15);
    free(name);
}

static void print_group(const struct group *group, const char *operation, bool colours)
{
    const char *colour = group->worst >= VERDICT_PERSISTENT ? RED : group->worst >= VERDICT_REFUSED ? YELLOW : "";
    char wait[REPORT_WAIT_SIZE], *outcomes = report_outcomes(group), *advice = advice_for(group);
    printf("  %-9s %*llu", operation, COUNT, (unsigned long long)group->ended);
    for (int i = 0; i <= REPORT_QUANTILES; i++) {
        report_wait(wait, i < REPORT_QUANTILES ? quantiles_at(&group->waits_us, report_quantiles[i]) : group->waits_us.max);
        printf(" %9s", wait);
    }
    printf("  %s%-10s%s  ", begin_colour(colours, colour), group->ended ? line_verdicts[group->worst] : "-",
           begin_colour(colours && *colour, NORMAL));
    print_holder(group);
    puts(outcomes);
    if (advice) {
        fputs("    -> ", stdout);
        cli_print_escaped(stdout, advice, strlen(advice));
        putchar('\n');
    }
    free(outcomes);
    free(advice);
}

static void print_groups(const struct tally *tally, bool colours)
{
    const char *last = NULL;
    int paths = 0;
    size_t i;
    printf("\n%s  %-9s %*s", begin_colour(colours, BOLD), "OPERATION", COUNT, "COUNT");
    for (int q = 0; q < REPORT_QUANTILES; q++)
        printf(" %9s", report_quantile_names[q]);
    printf(" %9s  %-10s  %-15s %s%s\n", "max", "VERDICT", "HELD BY", "OUTCOMES", begin_colour(colours, NORMAL));
    for (i = 0; i < tally->count; i++) {
        const struct group *group = tally->groups[i];
        if (!last || strcmp(last, group->path)) {
            if (paths++ == PATHS_SHOWN)
                break;
            fputs(begin_colour(colours, BOLD), stdout);
            cli_print_escaped(stdout, *group->path ? group->path : "(no path)", *group->path ? strlen(group->path) : 9);
            puts(begin_colour(colours, NORMAL));
        }
        last = group->path;
        print_group(group, line_operations[group->operation], colours);
    }
    if (i < tally->count)
        printf("and %zu more groups, which --json shows, or --path\n", tally->count - i);
    if (tally->rest.ended) {
        printf("of more than %d groups, the others together\n", TALLY_GROUPS_MAX);
        print_group(&tally->rest, "all", colours);
    }
}

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col < 160 ? size.ws_col : 160;
    return 80;
}

static const char *shade_of(uint64_t count, uint64_t most)
{
    static const char *const blocks[] = { " ", "\xe2\x96\x91", "\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x88" };
    static const char *const ascii[] = { " ", ".", ":", "*", "#" };
    int shade = 0;
    if (count)
        shade = most < 2 ? SHADES : 1 + (int)((SHADES - 1) * log((double)count) / log((double)most) + 0.5);
    return strcmp(nl_langinfo(CODESET), "UTF-8") ? ascii[shade] : blocks[shade];
}

/* Each row is a length of wait, each column a span of time; the darker, the more (on a scale of powers). */
static void print_timeline(const struct timeline *timeline, bool colours)
{
    struct timeline fitted;
    char from[MOMENT_SIZE], to[MOMENT_SIZE], width[REPORT_WAIT_SIZE];
    int columns = timeline_fit(timeline, &fitted, terminal_width() - LABEL - COUNT - 4);
    uint64_t most = 0;
    if (!columns)
        return;
    for (int column = 0; column < columns; column++)
        for (int wait = 0; wait < TIMELINE_WAITS; wait++)
            if (fitted.columns[column].waits[wait] > most)
                most = fitted.columns[column].waits[wait];

    report_wait(width, (uint64_t)fitted.width_ms * 1000);
    printf("\n%sWaits over time%s (a column is %s)\n", begin_colour(colours, BOLD), begin_colour(colours, NORMAL), width);
    for (int wait = TIMELINE_WAITS - 1; wait >= 0; wait--) {
        uint64_t sum = 0;
        printf("%*s |", LABEL, timeline_waits[wait]);
        for (int column = 0; column < columns; column++) {
            sum += fitted.columns[column].waits[wait];
            fputs(shade_of(fitted.columns[column].waits[wait], most), stdout);
        }
        printf("| %*llu\n", COUNT, (unsigned long long)sum);
    }
    moment_write(from, fitted.first * fitted.width_ms, fitted.width_ms < 1000);
    moment_write(to, (fitted.first + columns) * fitted.width_ms, fitted.width_ms < 1000);
    int gap = columns - (int)strlen(from) - (int)strlen(to);
    printf("%s%*s  %s%*s%s%s\n", begin_colour(colours, DIM), LABEL, "", from, gap > 0 ? gap : 4, gap > 0 ? "" : " to ", to,
           begin_colour(colours, NORMAL));
    timeline_free(&fitted);
}

static void print_summary(const struct report *report)
{
    const struct tally *tally = &report->tally;
    char from[MOMENT_SIZE], to[MOMENT_SIZE];
    printf("%llu of %llu lines", (unsigned long long)tally->lines, (unsigned long long)report->lines);
    if (tally->timeline.width_ms) {
        moment_write(from, tally->timeline.earliest, false);
        moment_write(to, tally->timeline.latest, false);
        printf(", %s to %s", from, to);
    }
    if (tally->hosts.count) {
        const struct tally_name *host = tally_first(&tally->hosts);
        printf(", %s%d host%s: ", tally->hosts.crowded ? "more than " : "", tally->hosts.count, tally->hosts.count == 1 ? "" : "s");
        cli_print_escaped(stdout, host->text, strlen(host->text));
        if (tally->hosts.count > 1)
            printf(" and others");
    }
    if (report->broken)
        printf("; %llu broken lines were passed over", (unsigned long long)report->broken);
    putchar('\n');
}

void report_as_table(const struct report *report, bool colours)
{
    print_summary(report);
    if (!report->tally.lines)
        return;
    print_groups(&report->tally, colours);
    print_timeline(&report->tally.timeline, colours);
}

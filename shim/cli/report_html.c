/*
 * The report as one page that needs nothing else: no script, no font, no picture from anywhere. Light and dark as the reader's
 * system is. Every byte that comes from a log is escaped, and the page forbids itself all but its own style.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "moment.h"
#include "report.h"

#define GROUPS_SHOWN 1000
#define COLUMNS 120

/* The drawing: all in the units of its viewBox. */
#define LEFT 76
#define RIGHT 12
#define WIDTH 960
#define PLOT (WIDTH - LEFT - RIGHT)
#define BARS_TOP 12
#define BARS 150
#define WAITS_TOP (BARS_TOP + BARS + 26)
#define WAIT_ROW 20
#define AXIS (WAITS_TOP + WAIT_ROW * TIMELINE_WAITS)
#define HEIGHT (AXIS + 30)

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#5c6670;--line:#d5dae0;--soft:#f4f6f8;"
    "--observed:#8a94a0;--transient:#2a9d8f;--replaced:#3b76c4;--unknown:#b0a48f;--refused:#c98a00;--self-held:#9b5fc0;"
    "--persistent:#d9480f;--failed:#a61e4d;--waits:#3b76c4}"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e3e7eb;--faint:#98a2ad;--line:#363d45;--soft:#1c2126;"
    "--observed:#77818c;--transient:#3fb8a8;--replaced:#6b9fe6;--unknown:#93876f;--refused:#e0a93a;--self-held:#bd8ae0;"
    "--persistent:#f0743e;--failed:#e8527f;--waits:#6b9fe6}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:1120px;padding:24px 20px 60px;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}p{margin:0 0 8px}.faint{color:var(--faint)}"
    "svg{display:block;width:100%;min-width:640px;height:auto}svg text{fill:var(--faint);font:11px system-ui,sans-serif}"
    ".axis{stroke:var(--line);stroke-width:1}.wait{fill:var(--waits)}"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none;font-size:13px}"
    ".legend i,.verdict i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;min-width:900px;font-size:14px}"
    "th,td{padding:5px 10px;text-align:left;vertical-align:top;border-top:1px solid var(--line)}"
    "th{color:var(--faint);font-weight:600;border-top:0}"
    ".number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".path th{background:var(--soft);color:var(--ink);font:600 14px ui-monospace,monospace;overflow-wrap:anywhere}"
    ".verdict{white-space:nowrap}.advice td{border-top:0;padding-top:0;color:var(--faint);overflow-wrap:anywhere}"
    ".holder{min-width:16em;overflow-wrap:anywhere}"
    ".observed{fill:var(--observed);background:var(--observed)}.transient{fill:var(--transient);background:var(--transient)}"
    ".replaced{fill:var(--replaced);background:var(--replaced)}.unknown{fill:var(--unknown);background:var(--unknown)}"
    ".refused{fill:var(--refused);background:var(--refused)}.self-held{fill:var(--self-held);background:var(--self-held)}"
    ".persistent{fill:var(--persistent);background:var(--persistent)}.failed{fill:var(--failed);background:var(--failed)}";

/* The next character of UTF-8; a byte that begins none is returned as -1 - byte. */
static long next_character(const unsigned char **at)
{
    const unsigned char *s = *at;
    int more = s[0] < 0x80                   ? 0
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 1
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 2
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 3
                                             : -1;
    long character = more <= 0 ? s[0] : s[0] & (0x3f >> more);
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            more = -1;
        else
            character = character << 6 | (s[i] & 0x3f);
    }
    static const long least[] = { 0, 0x80, 0x800, 0x10000 };
    if (more < 0 || character < least[more] || character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) {
        *at = s + 1;
        return -1 - (long)s[0];
    }
    *at = s + 1 + more;
    return character;
}

/* Neither a control character nor one that turns the text around, hides, or isn't a character at all. */
static bool is_harmless(long c)
{
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0x200b && c < 0x2010) && !(c >= 0x2028 && c < 0x2030) &&
           !(c >= 0x2060 && c < 0x2070) && c != 0xfeff && c != 0xad && !(c >= 0xfff0 && c < 0x10000) &&
           !(c >= 0xe0000 && c < 0xe1000);
}

static void write_escaped(FILE *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const unsigned char *start = at;
        long character = next_character(&at);
        if (character < 0)
            fprintf(out, "\\x%02lx", -1 - character);
        else if (!is_harmless(character))
            fprintf(out, "\\u{%lx}", character);
        else if (character == '<' || character == '>' || character == '&' || character == '"' || character == '\'')
            fprintf(out, "&#%ld;", character);
        else
            fwrite(start, 1, (size_t)(at - start), out);
    }
}

static uint64_t sum_of(const uint64_t *counts, int size)
{
    uint64_t sum = 0;
    for (int i = 0; i < size; i++)
        sum += counts[i];
    return sum;
}

/* The round number that the axis of counts ends with; it has a half, but for the smallest. */
static uint64_t round_up(uint64_t most)
{
    static const uint64_t steps[] = { 1, 2, 4, 6, 8 };
    for (uint64_t power = 1;; power *= 10)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            if (power * steps[i] >= most)
                return power * steps[i];
}

static double column_at(double column, int columns)
{
    return LEFT + PLOT * column / columns;
}

/* A moment as the axis names it: as much of it as tells it from its neighbours. */
static void write_tick(FILE *out, int64_t ms, int64_t step_ms)
{
    char text[MOMENT_SIZE];
    moment_write(text, ms, step_ms < 1000);
    if (step_ms >= 86400000)
        fprintf(out, "%.10s", text);
    else if (step_ms >= 3600000)
        fprintf(out, "%.5s %.5s", text + 5, text + 11);
    else if (step_ms >= 60000)
        fprintf(out, "%.5s", text + 11);
    else
        fprintf(out, "%.*s", step_ms < 1000 ? 12 : 8, text + 11);
}

static void write_ticks(FILE *out, const struct timeline *fitted, int columns)
{
    static const int64_t steps[] = { 100,       200,       500,        1000,       2000,        5000,        10000,
                                     15000,     30000,     60000,      120000,     300000,      600000,      900000,
                                     1800000,   3600000,   7200000,    10800000,   21600000,    43200000,    86400000,
                                     172800000, 604800000, 2592000000, 7776000000, 31536000000, 315360000000 };
    int64_t from = fitted->first * fitted->width_ms, span = columns * fitted->width_ms, step = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (span / (step = steps[i]) <= 6) /* the longest label is 80 units wide */
            break;
    for (int64_t at = (from + step - 1) / step * step; at <= from + span; at += step) {
        double x = LEFT + PLOT * ((double)(at - from) / (double)span);
        const char *anchor = x > WIDTH - RIGHT - 40 ? "end" : "middle";
        fprintf(out, "<line class=axis x1=%.1f x2=%.1f y1=%d y2=%d /><text x=%.1f y=%d text-anchor=%s>", x, x, AXIS, AXIS + 5, x,
                AXIS + 20, anchor);
        write_tick(out, at, step);
        fputs("</text>", out);
    }
}

static void write_bars(FILE *out, const struct timeline *fitted, int columns)
{
    uint64_t most = 1;
    double width = (double)PLOT / columns;
    for (int i = 0; i < columns; i++) {
        uint64_t sum = sum_of(fitted->columns[i].verdicts, LINE_VERDICTS);
        most = sum > most ? sum : most;
    }
    most = round_up(most);
    for (int part = 0; part <= 2; part++) {
        if (part == 1 && most % 2)
            continue;
        double y = BARS_TOP + BARS - BARS * part / 2.0;
        fprintf(out, "<line class=axis x1=%d x2=%d y1=%.1f y2=%.1f /><text x=%d y=%.1f text-anchor=end>%llu</text>", LEFT,
                WIDTH - RIGHT, y, y, LEFT - 8, y + 4, (unsigned long long)(most * (unsigned)part / 2));
    }
    for (int i = 0; i < columns; i++) {
        double y = BARS_TOP + BARS;
        for (int verdict = LINE_VERDICTS - 1; verdict >= 0; verdict--) { /* the worst at the bottom, where they can be compared */
            uint64_t count = fitted->columns[i].verdicts[verdict];
            double height = BARS * (double)count / (double)most;
            if (!count)
                continue;
            y -= height;
            fprintf(out, "<rect class=%s x=%.2f y=%.2f width=%.2f height=%.2f><title>", line_verdicts[verdict],
                    column_at(i, columns), y, width > 3 ? width - 1 : width, height);
            write_tick(out, (fitted->first + i) * fitted->width_ms, 1000);
            fprintf(out, ": %llu %s</title></rect>", (unsigned long long)count, line_verdicts[verdict]);
        }
    }
}

static void write_waits(FILE *out, const struct timeline *fitted, int columns)
{
    uint64_t most = 1;
    double width = (double)PLOT / columns;
    for (int i = 0; i < columns; i++)
        for (int wait = 0; wait < TIMELINE_WAITS; wait++)
            most = fitted->columns[i].waits[wait] > most ? fitted->columns[i].waits[wait] : most;
    for (int wait = 0; wait < TIMELINE_WAITS; wait++) {
        int y = AXIS - WAIT_ROW * (wait + 1);
        fprintf(out, "<text x=%d y=%d text-anchor=end>", LEFT - 8, y + 14);
        write_escaped(out, timeline_waits[wait]);
        fprintf(out, "</text><line class=axis x1=%d x2=%d y1=%d y2=%d />", LEFT, WIDTH - RIGHT, y + WAIT_ROW, y + WAIT_ROW);
        for (int i = 0; i < columns; i++) {
            uint64_t count = fitted->columns[i].waits[wait];
            if (!count)
                continue;
            double shade = most < 2 ? 1 : 0.25 + 0.75 * log((double)count) / log((double)most);
            fprintf(out, "<rect class=wait x=%.2f y=%d width=%.2f height=%d opacity=%.2f><title>", column_at(i, columns), y + 1,
                    width > 3 ? width - 1 : width, WAIT_ROW - 2, shade);
            write_tick(out, (fitted->first + i) * fitted->width_ms, 1000);
            fprintf(out, ": %llu waited: ", (unsigned long long)count);
            write_escaped(out, timeline_waits[wait]);
            fputs("</title></rect>", out);
        }
    }
}

/* What each verdict asks of the reader; what isn't known asks nothing. */
static const char *const verdict_meanings[LINE_VERDICTS] = {
    [VERDICT_OBSERVED] = "looked at, and left alone",
    [VERDICT_TRANSIENT] = "over; nothing to do",
    [VERDICT_REPLACED] = "the old version runs on; restart it when it suits",
    [VERDICT_REFUSED] = "not remedied, for the reason given",
    [VERDICT_SELF_HELD] = "the program\xe2\x80\x99s own descriptor",
    [VERDICT_PERSISTENT] = "waiting doesn\xe2\x80\x99t help; redesign",
    [VERDICT_FAILED] = "broken; wants a person now",
};

static void write_timeline(FILE *out, const struct tally *tally)
{
    struct timeline fitted;
    char width[REPORT_WAIT_SIZE], from[MOMENT_SIZE], to[MOMENT_SIZE];
    uint64_t verdicts[LINE_VERDICTS] = { 0 };
    int columns = timeline_fit(&tally->timeline, &fitted, COLUMNS);
    if (!columns)
        return;
    for (int i = 0; i < columns; i++)
        for (int verdict = 0; verdict < LINE_VERDICTS; verdict++)
            verdicts[verdict] += fitted.columns[i].verdicts[verdict];

    moment_write(from, tally->timeline.earliest, false);
    moment_write(to, tally->timeline.latest, false);
    report_wait(width, (uint64_t)fitted.width_ms * 1000);
    fprintf(out, "<h2>Over time</h2><p class=faint>%s to %s, in columns of %s (UTC). Above: interventions by verdict. ", from, to,
            width);
    fputs("Below: how long they waited; the stronger the colour, the more.</p>", out);
    fprintf(out, "<div class=scroll><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"Interventions and waits over time\">", WIDTH,
            HEIGHT);
    write_bars(out, &fitted, columns);
    write_waits(out, &fitted, columns);
    write_ticks(out, &fitted, columns);
    fputs("</svg></div><ul class=legend>", out);
    for (int verdict = LINE_VERDICTS - 1; verdict >= 0; verdict--)
        if (verdicts[verdict])
            fprintf(out, "<li><i class=%s></i>%s %llu <span class=faint>%s</span></li>", line_verdicts[verdict],
                    line_verdicts[verdict], (unsigned long long)verdicts[verdict],
                    verdict_meanings[verdict] ? verdict_meanings[verdict] : "");
    fputs("</ul>", out);
    timeline_free(&fitted);
}

static void write_group(FILE *out, const struct group *group, const char *operation)
{
    const struct tally_name *holder = tally_first(&group->holders);
    char wait[REPORT_WAIT_SIZE], *outcomes = report_outcomes(group), *advice = advice_for(group);
    const char *verdict = line_verdicts[group->worst];
    fprintf(out, "<tr><td>%s<td class=number>%llu", operation, (unsigned long long)group->ended);
    for (int i = 0; i <= REPORT_QUANTILES; i++) {
        report_wait(wait, i < REPORT_QUANTILES ? quantiles_at(&group->waits_us, report_quantiles[i]) : group->waits_us.max);
        fprintf(out, "<td class=number>%s", wait);
    }
    fprintf(out, "<td class=verdict><i class=%s></i>%s<td class=holder><bdi>", verdict, verdict);
    write_escaped(out, holder ? holder->text : "\xe2\x80\x93");
    fprintf(out, "</bdi><td>%s", outcomes);
    if (advice) {
        fputs("<tr class=advice><td><td colspan=8><bdi>", out);
        write_escaped(out, advice);
        fputs("</bdi>", out);
    }
    fputc('\n', out);
    free(outcomes);
    free(advice);
}

static void write_groups(FILE *out, const struct tally *tally)
{
    const char *last = NULL;
    fputs("<h2>By file</h2><div class=scroll><table><thead><tr><th>Operation<th class=number>Count", out);
    for (int i = 0; i < REPORT_QUANTILES; i++)
        fprintf(out, "<th class=number>%s", report_quantile_names[i]);
    fputs("<th class=number>max<th>Verdict<th>Held by<th>Outcomes<tbody>\n", out);
    for (size_t i = 0; i < tally->count && i < GROUPS_SHOWN; i++) {
        const struct group *group = tally->groups[i];
        if (!last || strcmp(last, group->path)) {
            fputs("<tr class=path><th colspan=9><bdi>", out);
            write_escaped(out, *group->path ? group->path : "(no path)");
            fputs("</bdi>", out);
        }
        last = group->path;
        write_group(out, group, line_operations[group->operation]);
    }
    if (tally->rest.ended) {
        fprintf(out, "<tr class=path><th colspan=9>of more than %d groups, the others together", TALLY_GROUPS_MAX);
        write_group(out, &tally->rest, "all");
    }
    fputs("</table></div>", out);
    if (tally->count > GROUPS_SHOWN)
        fprintf(out, "<p class=faint>And %zu more groups, which --json shows, or --path.</p>", tally->count - GROUPS_SHOWN);
}

void report_as_html(const struct report *report, FILE *out)
{
    const struct tally *tally = &report->tally;
    fprintf(out,
            "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
            "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            "<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Text file busy: "
            "report</title><style>%s</style>\n",
            style);
    fprintf(out, "<h1>Text file busy</h1><p class=faint>%llu of %llu lines", (unsigned long long)tally->lines,
            (unsigned long long)report->lines);
    for (int i = 0; i < tally->hosts.count; i++) {
        fputs(i ? ", <bdi>" : "; hosts: <bdi>", out);
        write_escaped(out, tally->hosts.names[i].text);
        fputs("</bdi>", out);
    }
    fputs(tally->hosts.crowded ? " and more" : "", out);
    if (report->broken)
        fprintf(out, "; %llu broken lines were passed over", (unsigned long long)report->broken);
    fputs("</p>\n", out);
    if (tally->lines) {
        write_timeline(out, tally);
        write_groups(out, tally);
    }
    fputs("</html>\n", out);
}

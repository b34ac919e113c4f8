/*
 * `etxtbsy metrics`: the logs as Prometheus wants them (text exposition format 0.0.4), for node_exporter's textfile collector.
 *
 * The labels are bounded: words of the log's vocabulary, and so many targets. Who comes first keeps its own series, so that a
 * counter never falls as long as the log grows; when the log is rotated all of them start again, which rate() knows.
 */
#include <unistd.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "lines.h"
#include "logs.h"
#include "replaced.h"

#define TARGETS 50
#define TARGETS_LIMIT 10000
#define OTHER_TARGETS "(other)"

/* In milliseconds: what is common, the built-in bounds, and what can be configured. */
static const unsigned bounds_ms[] = { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000 };
#define BOUNDS (sizeof bounds_ms / sizeof *bounds_ms)

struct target {
    char *path;
    uint64_t conflicts[LINE_OPERATIONS][LINE_VERDICTS];
    unsigned old_processes;
    int64_t oldest_ms;
};

struct metrics {
    uint64_t verdicts[LINE_OPERATIONS][LINE_VERDICTS], outcomes[LINE_OPERATIONS][LINE_OUTCOMES];
    struct {
        uint64_t buckets[BOUNDS], count, sum_us;
    } waits[LINE_OPERATIONS];
    uint64_t bytes;
    int64_t last_ms;
    struct target *targets; /* the last one, behind `limit`, is of all others */
    size_t target_count, limit;
    struct lh_table *by_path;
    struct replaced *replaced;
};

static struct target *find_target(struct metrics *metrics, const char *path)
{
    void *found;
    if (lh_table_lookup_ex(metrics->by_path, path, &found))
        return found;
    if (metrics->target_count == metrics->limit)
        return &metrics->targets[metrics->limit];
    struct target *target = &metrics->targets[metrics->target_count++];
    if (!(target->path = strdup(path)))
        abort();
    lh_table_insert(metrics->by_path, target->path, target);
    return target;
}

static void use_line(void *context, const struct line *line)
{
    struct metrics *metrics = context;
    enum line_operation operation = line->operation;
    metrics->outcomes[operation][line->outcome]++;
    if (line->at_ms > metrics->last_ms)
        metrics->last_ms = line->at_ms;
    if (!line_is_end(line))
        return;
    metrics->verdicts[operation][line->verdict]++;
    metrics->waits[operation].count++;
    metrics->waits[operation].sum_us += line->waited_us;
    for (size_t i = 0; i < BOUNDS; i++)
        metrics->waits[operation].buckets[i] += line->waited_us <= (uint64_t)bounds_ms[i] * 1000;
    if (line_is_replacement(line)) {
        metrics->bytes += line->bytes;
        replaced_add(metrics->replaced, line);
    }
    if (line->verdict >= VERDICT_REFUSED)
        find_target(metrics, line->path)->conflicts[operation][line->verdict]++;
}

static void use_old_version(void *context, const struct replaced_user *user)
{
    struct target *target = find_target(context, user->path);
    if (!target->old_processes++ || user->since_ms < target->oldest_ms)
        target->oldest_ms = user->since_ms;
}

static void begin_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP etxtbsy_%s %s\n# TYPE etxtbsy_%s %s\n", name, help, name, type);
}

/* Readable, as in the log: what isn't printable stands as \xNN, and a backslash is doubled, as the format has it. */
static void write_label(FILE *out, const char *text)
{
    struct json_object *object = json_object_new_object(), *readable;
    cli_add_bytes(object, "text", text);
    json_object_object_get_ex(object, "text", &readable);
    for (const char *at = json_object_get_string(readable); *at; at++)
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            fprintf(out, "\\\\x%02x", (unsigned char)*at);
        else
            fputc(*at, out);
    json_object_put(object);
}

static void write_counts(FILE *out, const char *name, const char *label, const char *const *words, int size, const uint64_t *counts)
{
    for (int operation = 0; operation < LINE_OPERATIONS; operation++)
        for (int word = 0; word < size; word++)
            fprintf(out, "etxtbsy_%s{operation=\"%s\",%s=\"%s\"} %llu\n", name, line_operations[operation], label, words[word],
                    (unsigned long long)counts[operation * size + word]);
}

static void write_waits(FILE *out, const struct metrics *metrics)
{
    begin_family(out, "wait_seconds", "histogram", "How long programs were kept waiting by an intervention.");
    for (int operation = 0; operation < LINE_OPERATIONS; operation++) {
        const char *name = line_operations[operation];
        for (size_t i = 0; i < BOUNDS; i++)
            fprintf(out, "etxtbsy_wait_seconds_bucket{operation=\"%s\",le=\"%g\"} %llu\n", name, bounds_ms[i] / 1000.0,
                    (unsigned long long)metrics->waits[operation].buckets[i]);
        fprintf(out, "etxtbsy_wait_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %llu\n", name,
                (unsigned long long)metrics->waits[operation].count);
        fprintf(out, "etxtbsy_wait_seconds_sum{operation=\"%s\"} %.6f\n", name, (double)metrics->waits[operation].sum_us / 1e6);
        fprintf(out, "etxtbsy_wait_seconds_count{operation=\"%s\"} %llu\n", name,
                (unsigned long long)metrics->waits[operation].count);
    }
}

static void write_conflicts(FILE *out, const struct metrics *metrics)
{
    begin_family(out, "target_conflicts_total", "counter",
                 "Interventions that didn't help, by busy file. Files beyond the limit are counted as (other).");
    for (size_t i = 0; i <= metrics->limit; i++)
        for (int operation = 0; operation < LINE_OPERATIONS; operation++)
            for (int verdict = 0; verdict < LINE_VERDICTS; verdict++) {
                const struct target *target = &metrics->targets[i];
                if (!target->conflicts[operation][verdict])
                    continue;
                fputs("etxtbsy_target_conflicts_total{target=\"", out);
                write_label(out, target->path);
                fprintf(out, "\",operation=\"%s\",verdict=\"%s\"} %llu\n", line_operations[operation], line_verdicts[verdict],
                        (unsigned long long)target->conflicts[operation][verdict]);
            }
}

static void write_old_versions(FILE *out, const struct metrics *metrics)
{
    begin_family(out, "old_version_processes", "gauge", "Processes of this host that run a version of the file that was replaced.");
    for (size_t i = 0; i <= metrics->limit; i++)
        if (metrics->targets[i].old_processes) {
            fputs("etxtbsy_old_version_processes{target=\"", out);
            write_label(out, metrics->targets[i].path);
            fprintf(out, "\"} %u\n", metrics->targets[i].old_processes);
        }
    begin_family(out, "old_version_replaced_timestamp_seconds", "gauge", "When the oldest version that still runs was replaced.");
    for (size_t i = 0; i <= metrics->limit; i++)
        if (metrics->targets[i].old_processes) {
            fputs("etxtbsy_old_version_replaced_timestamp_seconds{target=\"", out);
            write_label(out, metrics->targets[i].path);
            fprintf(out, "\"} %.3f\n", (double)metrics->targets[i].oldest_ms / 1000);
        }
}

static void write_single(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    begin_family(out, name, type, help);
    fprintf(out, "etxtbsy_%s %llu\n", name, (unsigned long long)value);
}

static void write_metrics(FILE *out, const struct metrics *metrics, const struct lines *lines)
{
    begin_family(out, "interventions_total", "counter", "Conflicts (ETXTBSY) that were dealt with, by what to think of them.");
    write_counts(out, "interventions_total", "verdict", line_verdicts, LINE_VERDICTS, metrics->verdicts[0]);
    begin_family(out, "outcomes_total", "counter", "Lines of the log, by how it ended for the program.");
    write_counts(out, "outcomes_total", "outcome", line_outcomes, LINE_OUTCOMES, metrics->outcomes[0]);
    write_waits(out, metrics);
    write_single(out, "replaced_bytes_total", "counter", "Bytes of new files that took the name of a busy one.", metrics->bytes);
    write_conflicts(out, metrics);
    write_old_versions(out, metrics);
    if (metrics->last_ms) {
        begin_family(out, "last_intervention_timestamp_seconds", "gauge", "When the last line was logged.");
        fprintf(out, "etxtbsy_last_intervention_timestamp_seconds %.3f\n", (double)metrics->last_ms / 1000);
    }
    write_single(out, "log_lines_total", "counter", "Lines of the log that were read.", lines_count(lines));
    write_single(out, "log_broken_lines_total", "counter", "Lines of the log that couldn't be understood.", lines_broken(lines));
}

static int usage(void)
{
    printf("usage: etxtbsy metrics [--output FILE] [--targets N] [FILE...]\n"
           "\n"
           "Counts what the library's logs say, for Prometheus (text exposition format). FILE is a log, plain or\n"
           "gzip'd, or - for standard input. Without FILE: the files that the configuration's `log` names. Name the log\n"
           "that is being written, and not those that were rotated away: Prometheus takes a rotation for a restart,\n"
           "which is what it wants.\n"
           "\n"
           "    -o, --output FILE    a file for node_exporter's textfile collector, such as\n"
           "                         /var/lib/prometheus/node-exporter/etxtbsy.prom; written whole or not at all,\n"
           "                         with mode 0644\n"
           "    -t, --targets N      how many busy files have series of their own, %d unless said otherwise; the\n"
           "                         others are together as " OTHER_TARGETS "\n"
           "    -h, --help           this text\n"
           "\n"
           "etxtbsy_old_version_* is about the processes of this machine, now; run it as root to see all of them. Rules\n"
           "and alerts are in scripts/prometheus/.\n"
           "\n"
           "Exit status: 0 all lines were understood, 1 some were broken (stderr says which) and left out, 2 usage\n"
           "error, a file that can't be read, or output that can't be written.\n",
           TARGETS);
    return CLI_FINE;
}

static int write_to(const char *output, const struct metrics *metrics, const struct lines *lines)
{
    struct cli_file file;
    if (!cli_file_begin(&file, output))
        return CLI_TROUBLE;
    write_metrics(file.stream, metrics, lines);
    return cli_file_end(&file);
}

int metrics_main(int argc, char **argv)
{
    const char *output = "-", *targets = NULL;
    uint64_t limit = TARGETS;
    const struct option_row options[] = {
        { 'o', "output", .value = &output },
        { 't', "targets", .value = &targets },
        { 0 },
    };
    int status = CLI_FINE;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (targets && (!text_to_number(targets, strlen(targets), &limit) || limit > TARGETS_LIMIT))
        return cli_trouble("--targets is a number up to %d", TARGETS_LIMIT);

    struct logs logs;
    struct metrics metrics = { .limit = limit };
    if (!logs_find(&logs, argv + optind))
        return CLI_TROUBLE;
    if (!(metrics.targets = calloc(limit + 1, sizeof *metrics.targets)) || !(metrics.by_path = lh_kchar_table_new(64, NULL)))
        abort();
    metrics.targets[limit].path = OTHER_TARGETS;
    metrics.replaced = replaced_begin();

    struct lines *lines = lines_begin(use_line, &metrics);
    for (char **file = logs.files; *file; file++)
        if (!lines_read(lines, *file))
            status = CLI_TROUBLE;
    replaced_find(metrics.replaced, use_old_version, &metrics);
    /* Counters that lack a file would fall, and so look like a restart. */
    if (status == CLI_FINE)
        status = write_to(output, &metrics, lines);
    if (status == CLI_FINE && lines_broken(lines))
        status = CLI_PROBLEMS;

    lines_end(lines);
    logs_free(&logs);
    replaced_end(metrics.replaced);
    lh_table_free(metrics.by_path);
    for (size_t i = 0; i < metrics.target_count; i++)
        free(metrics.targets[i].path);
    free(metrics.targets);
    return status;
}

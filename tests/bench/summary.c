/*
 * Makes the tables of the samples:
 *
 *     summary SAMPLES METHODS MACHINE DIRECTORY
 *
 * Writes bench.txt, bench.md, bench.json and medians.dat (for the plots) there. SAMPLES has lines "ROW CONTESTANT VALUE" in the
 * order in which they were taken, METHODS lines "METHOD COLUMN words", MACHINE one line about where and when.
 *
 * A median has the quartiles of its samples beside it. A ratio or a difference has those of its parts: the run is cut into
 * ten, and each gives one. What is reached or missed by less than that is said to be so within the noise.
 */
#include <json-c/json.h>
#include <math.h>

#include "bench.h"

enum statistic { MEDIAN, P99, MOST };
enum relation { RATIO, MORE, ALONE };
#define NONE NAN
#define BEST "best"
#define PARTS 10

static const struct figure {
    const char *what, *beside, *row, *measured;
    enum statistic statistic;
    const char *base;
    enum relation relation;
    const char *unit;
    double reach;
} figures[] = {
#define FIGURE(...) { __VA_ARGS__ },
#include "figures.def"
};
#define FIGURES (sizeof figures / sizeof *figures)

static struct series {
    char row[64], contestant[64];
    double *values;
    size_t count;
} series[400];
static size_t series_count;

static struct method {
    char name[64], column[5][300];
} methods[16];
static size_t method_count;
static const char *const columns[] = { "time", "whole", "keeps", "links", "killed" };
static const char *const headings[] = { "time", "whole at every instant", "keeps", "links", "writer killed: what is left" };

static const struct series *find(const char *row, const char *contestant)
{
    for (size_t i = 0; i < series_count; i++)
        if (!strcmp(series[i].row, row) && !strcmp(series[i].contestant, contestant))
            return &series[i];
    return NULL;
}

static void read_samples(const char *path)
{
    char row[64], contestant[64];
    double value;
    FILE *in = fopen(path, "re");
    must(in);
    while (fscanf(in, "%63s %63s %lf", row, contestant, &value) == 3) {
        struct series *to = (struct series *)find(row, contestant);
        if (!to) {
            must(series_count < sizeof series / sizeof *series);
            to = &series[series_count++];
            strcpy(to->row, row);
            strcpy(to->contestant, contestant);
        }
        to->values = realloc(to->values, (to->count + 1) * sizeof *to->values);
        must(to->values);
        to->values[to->count++] = value;
    }
    must(feof(in) && fclose(in) == 0);
}

static void read_methods(const char *path)
{
    char name[64], column[64], words[300];
    FILE *in = fopen(path, "re");
    must(in);
    while (fscanf(in, "%63s %63s %299[^\n]", name, column, words) == 3) {
        for (char *at = name; *at; at++)
            *at = *at == '_' ? ' ' : *at;
        size_t i = 0;
        while (i < method_count && strcmp(methods[i].name, name))
            i++;
        must(i < sizeof methods / sizeof *methods);
        if (i == method_count)
            strcpy(methods[method_count++].name, name);
        for (size_t c = 0; c < 5; c++)
            if (!strcmp(columns[c], column))
                strcpy(methods[i].column[c], words);
    }
    fclose(in);
}

static int by_value(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

static double quantile(const double *values, size_t count, double share)
{
    double *sorted = malloc(count * sizeof *sorted);
    must(sorted && count);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    double at = share * (double)(count - 1), value = sorted[(size_t)at];
    if ((size_t)at + 1 < count)
        value += (at - floor(at)) * (sorted[(size_t)at + 1] - value);
    free(sorted);
    return value;
}

static double statistic_of(const struct figure *figure, const double *values, size_t count)
{
    return quantile(values, count, figure->statistic == MEDIAN ? 0.5 : figure->statistic == P99 ? 0.99 : 1);
}

static double relate(const struct figure *figure, double measured, double base)
{
    return figure->relation == RATIO ? measured / base : figure->relation == MORE ? measured - base : measured;
}

/* What one figure came to. `value` is NAN where it wasn't measured. */
struct result {
    double value, low, high;
    const char *verdict;
};

/* The part of a series that was taken in one of so many equal stretches of the run. */
static double part_of(const struct figure *figure, const struct series *of, size_t part, size_t parts)
{
    size_t from = of->count * part / parts, to = of->count * (part + 1) / parts;
    return statistic_of(figure, of->values + from, to - from);
}

static struct result result_of(const struct figure *figure)
{
    const struct series *measured = find(figure->row, figure->measured), *base = find(figure->row, figure->base);
    struct result result = { NAN, NAN, NAN, "not measured" };
    double each[PARTS];
    if (!measured || (figure->relation != ALONE && !base))
        return result;
    size_t fewest = base && base->count < measured->count ? base->count : measured->count;
    size_t parts = fewest < PARTS ? fewest : PARTS;
    result.value = relate(figure, statistic_of(figure, measured->values, measured->count),
                          base ? statistic_of(figure, base->values, base->count) : 0);
    for (size_t part = 0; part < parts; part++)
        each[part] = relate(figure, part_of(figure, measured, part, parts), base ? part_of(figure, base, part, parts) : 0);
    result.low = quantile(each, parts, 0.25);
    result.high = quantile(each, parts, 0.75);
    bool reached = result.value <= figure->reach, clear = reached ? result.high <= figure->reach : result.low > figure->reach;
    result.verdict = isnan(figure->reach) ? ""
                     : reached            ? clear ? "reached" : "reached, within the noise"
                     : clear              ? "missed"
                                          : "missed, within the noise";
    return result;
}

/* Three digits that mean something; whole numbers where there are more before the point. */
static const char *number(char text[32], double value)
{
    double size = fabs(value);
    int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || value == 0 ? 3 - (size >= 1) : 3;
    if (value == floor(value))
        digits = 0;
    snprintf(text, 32, "%.*f", digits, value);
    return text;
}

struct row_text {
    char value[64], spread[80], reach[64];
};

static struct row_text text_of(const struct figure *figure, const struct result *result)
{
    struct row_text text = { "", "", "" };
    char a[32], b[32];
    if (!isnan(result->value)) {
        if (figure->relation == RATIO) {
            snprintf(text.value, sizeof text.value, "%.3f x", result->value);
            snprintf(text.spread, sizeof text.spread, "%.3f-%.3f", result->low, result->high);
        } else {
            snprintf(text.value, sizeof text.value, "%s%s %s", figure->relation == MORE && result->value > 0 ? "+" : "",
                     number(a, result->value), figure->unit);
            snprintf(text.spread, sizeof text.spread, "%s to %s", number(a, result->low), number(b, result->high));
        }
    }
    if (!isnan(figure->reach)) {
        if (figure->relation == RATIO)
            snprintf(text.reach, sizeof text.reach, "%.2f x", figure->reach);
        else
            snprintf(text.reach, sizeof text.reach, "%s%s %s", figure->relation == MORE ? "+" : "", number(a, figure->reach),
                     figure->unit);
    }
    return text;
}

/* What stands in the column `beside`: for BEST, which of the others did best, and how well. */
static const char *beside_of(const struct figure *figure, char text[100])
{
    const struct series *best = NULL;
    double least = INFINITY;
    if (strcmp(figure->beside, BEST))
        return figure->beside;
    for (size_t i = 0; i < series_count; i++) {
        const struct series *other = &series[i];
        double value = statistic_of(figure, other->values, other->count);
        if (!strcmp(other->row, figure->row) && strcmp(other->contestant, figure->measured) && value < least) {
            best = other;
            least = value;
        }
    }
    if (!best)
        return "";
    char of[32];
    snprintf(text, 100, "the best by hand: %s, %s %s", best->contestant, number(of, least), figure->unit);
    return text;
}

static FILE *create(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "we");
    must(out);
    return out;
}

static void write_text(FILE *out, const char *machine)
{
    char beside[100];
    fprintf(out, "%s\n\n%-66s %-37s %16s %20s %18s\n", machine, "what", "beside", "measured", "p25-p75 of its parts", "reach");
    for (size_t i = 0; i < FIGURES; i++) {
        struct result result = result_of(&figures[i]);
        struct row_text text = text_of(&figures[i], &result);
        fprintf(out, "%-66s %-37s %16s %20s %18s  %s\n", figures[i].what, beside_of(&figures[i], beside), text.value, text.spread,
                text.reach, result.verdict);
    }
    fprintf(out, "\n%-28s %-16s %10s %12s %12s %12s %12s\n", "row", "contestant", "samples", "median", "p25", "p75", "p99");
    for (size_t i = 0; i < series_count; i++) {
        const struct series *of = &series[i];
        fprintf(out, "%-28s %-16s %10zu", of->row, of->contestant, of->count);
        for (int share = 0; share < 4; share++)
            fprintf(out, " %12.3f", quantile(of->values, of->count, (const double[]){ 0.5, 0.25, 0.75, 0.99 }[share]));
        fprintf(out, "\n");
    }
    for (size_t i = 0; i < method_count; i++) {
        fprintf(out, "\n%s\n", methods[i].name);
        for (size_t c = 0; c < 5; c++)
            if (methods[i].column[c][0])
                fprintf(out, "    %-30s %s\n", headings[c], methods[i].column[c]);
    }
}

static void write_markdown(FILE *out, const char *machine)
{
    char beside[100];
    fprintf(out, "%s\n\n| what | beside | measured | spread | reach | |\n|---|---|---|---|---|---|\n", machine);
    for (size_t i = 0; i < FIGURES; i++) {
        struct result result = result_of(&figures[i]);
        struct row_text text = text_of(&figures[i], &result);
        fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", figures[i].what, beside_of(&figures[i], beside), text.value, text.spread,
                text.reach, result.verdict);
    }
    if (!method_count)
        return;
    fprintf(out, "\n| ");
    for (size_t c = 0; c < 5; c++)
        fprintf(out, "| %s ", headings[c]);
    fprintf(out, "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < method_count; i++) {
        fprintf(out, "| %s", methods[i].name);
        for (size_t c = 0; c < 5; c++)
            fprintf(out, " | %s", methods[i].column[c]);
        fprintf(out, " |\n");
    }
}

/* JSON has no NAN. */
static void add_number(struct json_object *to, const char *name, double value)
{
    json_object_object_add(to, name, isnan(value) ? NULL : json_object_new_double(value));
}

static void add_string(struct json_object *to, const char *name, const char *value)
{
    json_object_object_add(to, name, json_object_new_string(value));
}

static void write_json(FILE *out, const char *machine)
{
    struct json_object *all = json_object_new_object(), *list = json_object_new_array();
    add_string(all, "machine", machine);
    for (size_t i = 0; i < FIGURES; i++) {
        struct json_object *one = json_object_new_object();
        struct result result = result_of(&figures[i]);
        add_string(one, "what", figures[i].what);
        char beside[100];
        add_string(one, "beside", beside_of(&figures[i], beside));
        add_string(one, "row", figures[i].row);
        add_string(one, "measured", figures[i].measured);
        add_string(one, "base", figures[i].base);
        add_string(one, "unit", figures[i].unit);
        add_number(one, "value", result.value);
        add_number(one, "p25", result.low);
        add_number(one, "p75", result.high);
        add_number(one, "reach", figures[i].reach);
        add_string(one, "verdict", result.verdict);
        json_object_array_add(list, one);
    }
    json_object_object_add(all, "figures", list);
    list = json_object_new_array();
    for (size_t i = 0; i < series_count; i++) {
        struct json_object *one = json_object_new_object();
        add_string(one, "row", series[i].row);
        add_string(one, "contestant", series[i].contestant);
        json_object_object_add(one, "samples", json_object_new_int64((int64_t)series[i].count));
        add_number(one, "median", quantile(series[i].values, series[i].count, 0.5));
        add_number(one, "p25", quantile(series[i].values, series[i].count, 0.25));
        add_number(one, "p75", quantile(series[i].values, series[i].count, 0.75));
        add_number(one, "p99", quantile(series[i].values, series[i].count, 0.99));
        json_object_array_add(list, one);
    }
    json_object_object_add(all, "series", list);
    list = json_object_new_array();
    for (size_t i = 0; i < method_count; i++) {
        struct json_object *one = json_object_new_object();
        add_string(one, "method", methods[i].name);
        for (size_t c = 0; c < 5; c++)
            if (methods[i].column[c][0])
                add_string(one, columns[c], methods[i].column[c]);
        json_object_array_add(list, one);
    }
    json_object_object_add(all, "methods", list);
    fprintf(out, "%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
    json_object_put(all);
}

static void write_medians(FILE *out)
{
    for (size_t i = 0; i < series_count; i++)
        fprintf(out, "%s %s %f %f %f\n", series[i].row, series[i].contestant, quantile(series[i].values, series[i].count, 0.5),
                quantile(series[i].values, series[i].count, 0.25), quantile(series[i].values, series[i].count, 0.75));
}

/* A line's cost is what is left of a refused open with one when the open without is taken away. */
static void derive_line(void)
{
    const struct series *with = find("line", "observe"), *without = find("line", "off");
    if (!with || !without)
        return;
    struct series *line = &series[series_count++];
    strcpy(line->row, "line");
    strcpy(line->contestant, "line");
    line->count = with->count < without->count ? with->count : without->count;
    line->values = calloc(line->count, sizeof *line->values);
    must(line->values);
    for (size_t i = 0; i < line->count; i++)
        line->values[i] = with->values[i] - without->values[i];
}

int main(int argc, char **argv)
{
    char machine[1000] = "";
    must(argc == 5);
    FILE *in = fopen(argv[3], "re");
    must(in && fgets(machine, sizeof machine, in) && fclose(in) == 0);
    machine[strcspn(machine, "\n")] = '\0';
    read_samples(argv[1]);
    read_methods(argv[2]);
    derive_line();

    const struct {
        const char *name;
        void (*write)(FILE *, const char *);
    } outputs[] = { { "bench.txt", write_text }, { "bench.md", write_markdown }, { "bench.json", write_json } };
    for (size_t i = 0; i < 3; i++) {
        FILE *out = create(argv[4], outputs[i].name);
        outputs[i].write(out, machine);
        must(fclose(out) == 0);
    }
    FILE *out = create(argv[4], "medians.dat");
    write_medians(out);
    must(fclose(out) == 0);
    return 0;
}

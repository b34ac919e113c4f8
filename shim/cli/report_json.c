/*
 * The report as one JSON object.
 */
#include <stdlib.h>

#include "advice.h"
#include "cli.h"
#include "moment.h"
#include "report.h"

static struct json_object *number(uint64_t value)
{
    return json_object_new_uint64(value);
}

static struct json_object *thousandths(uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu.%03u", (unsigned long long)(value / 1000), (unsigned)(value % 1000));
    return json_object_new_double_s((double)value / 1000, text);
}

static void add_moment(struct json_object *object, const char *name, int64_t ms)
{
    char text[MOMENT_SIZE];
    moment_write(text, ms, true);
    json_object_object_add(object, name, json_object_new_string(text));
}

static struct json_object *counts_object(const char *const *names, const uint64_t *counts, int size)
{
    struct json_object *object = json_object_new_object();
    for (int i = 0; i < size; i++)
        if (counts[i])
            json_object_object_add(object, names[i], number(counts[i]));
    return object;
}

static struct json_object *names_array(const struct tally_names *names)
{
    struct json_object *array = json_object_new_array();
    for (int i = 0; i < names->count; i++) {
        struct json_object *object = json_object_new_object();
        cli_add_bytes(object, "name", names->names[i].text);
        json_object_object_add(object, "count", number(names->names[i].count));
        json_object_array_add(array, object);
    }
    return array;
}

static struct json_object *group_object(const struct group *group)
{
    struct json_object *object = json_object_new_object(), *waits = json_object_new_object();
    char *advice = advice_for(group);
    if (group->path) {
        cli_add_bytes(object, "path", group->path);
        json_object_object_add(object, "operation", json_object_new_string(line_operations[group->operation]));
    }
    json_object_object_add(object, "count", number(group->ended));
    json_object_object_add(object, "outcomes", counts_object(line_outcomes, group->outcomes, LINE_OUTCOMES));
    json_object_object_add(object, "verdicts", counts_object(line_verdicts, group->verdicts, LINE_VERDICTS));
    if (group->ended)
        json_object_object_add(object, "verdict", json_object_new_string(line_verdicts[group->worst]));
    for (int i = 0; i < REPORT_QUANTILES; i++) {
        json_object_object_add(waits, report_quantile_names[i], thousandths(quantiles_at(&group->waits_us, report_quantiles[i])));
    }
    json_object_object_add(waits, "max", thousandths(group->waits_us.max));
    json_object_object_add(waits, "sum", thousandths(group->waits_us.sum));
    json_object_object_add(object, "waited_ms", waits);
    json_object_object_add(object, "bytes", number(group->bytes));
    json_object_object_add(object, "holders", names_array(&group->holders));
    json_object_object_add(object, "reasons", names_array(&group->reasons));
    add_moment(object, "first", group->first_ms);
    add_moment(object, "last", group->last_ms);
    if (advice)
        cli_add_bytes(object, "advice", advice);
    free(advice);
    return object;
}

static struct json_object *timeline_array(const struct timeline *timeline)
{
    struct json_object *array = json_object_new_array();
    struct timeline fitted;
    int columns = timeline_fit(timeline, &fitted, 200);
    for (int i = 0; i < columns; i++) {
        struct json_object *object = json_object_new_object();
        add_moment(object, "from", (fitted.first + i) * fitted.width_ms);
        json_object_object_add(object, "seconds", thousandths((uint64_t)fitted.width_ms));
        json_object_object_add(object, "verdicts", counts_object(line_verdicts, fitted.columns[i].verdicts, LINE_VERDICTS));
        json_object_object_add(object, "waits", counts_object(timeline_waits, fitted.columns[i].waits, TIMELINE_WAITS));
        json_object_array_add(array, object);
    }
    if (columns)
        timeline_free(&fitted);
    return array;
}

void report_as_json(const struct report *report)
{
    const struct tally *tally = &report->tally;
    struct json_object *object = json_object_new_object(), *groups = json_object_new_array();
    json_object_object_add(object, "lines", number(report->lines));
    json_object_object_add(object, "broken", number(report->broken));
    json_object_object_add(object, "matched", number(tally->lines));
    if (tally->timeline.width_ms) {
        add_moment(object, "from", tally->timeline.earliest);
        add_moment(object, "to", tally->timeline.latest);
    }
    json_object_object_add(object, "hosts", names_array(&tally->hosts));
    for (size_t i = 0; i < tally->count; i++)
        json_object_array_add(groups, group_object(tally->groups[i]));
    json_object_object_add(object, "groups", groups);
    if (tally->rest.ended)
        json_object_object_add(object, "rest", group_object(&tally->rest));
    json_object_object_add(object, "timeline", timeline_array(&tally->timeline));
    cli_print_json(object);
}

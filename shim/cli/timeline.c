#include "timeline.h"

#include <stdlib.h>
#include <string.h>

#define NARROWEST_MS 100

const char *const timeline_waits[] = { "none", "< 1 ms", "< 10 ms", "< 100 ms", "< 1 s", "< 10 s", "longer" };

static int64_t divide_down(int64_t value, int64_t by)
{
    return value >= 0 ? value / by : -((-value + by - 1) / by);
}

static void add_column(struct timeline_column *to, const struct timeline_column *from)
{
    for (int i = 0; i < LINE_VERDICTS; i++)
        to->verdicts[i] += from->verdicts[i];
    for (int i = 0; i < TIMELINE_WAITS; i++)
        to->waits[i] += from->waits[i];
}

/* Sorts the columns of one timeline into those of another, whose columns are as wide or a multiple of it. */
static void pour(struct timeline *to, int count, const struct timeline *from)
{
    for (int i = 0; i < TIMELINE_COLUMNS; i++) {
        int64_t start = (from->first + i) * from->width_ms;
        int64_t column = divide_down(start, to->width_ms) - to->first;
        if (column >= 0 && column < count)
            add_column(&to->columns[column], &from->columns[i]);
    }
}

static struct timeline_column *make_columns(int count)
{
    struct timeline_column *columns = calloc((size_t)count, sizeof *columns);
    if (!columns)
        abort();
    return columns;
}

/* Makes room for everything from the earliest to the latest: wider columns, and starting where there is most room to grow. */
static void stretch(struct timeline *timeline, bool backwards)
{
    struct timeline stretched = *timeline;
    int64_t from, to;
    for (;; stretched.width_ms *= 2) {
        from = divide_down(timeline->earliest, stretched.width_ms);
        to = divide_down(timeline->latest, stretched.width_ms);
        if (to - from < TIMELINE_COLUMNS)
            break;
    }
    stretched.first = backwards ? to - TIMELINE_COLUMNS + 1 : from;
    stretched.columns = make_columns(TIMELINE_COLUMNS);
    pour(&stretched, TIMELINE_COLUMNS, timeline);
    free(timeline->columns);
    timeline->width_ms = stretched.width_ms;
    timeline->first = stretched.first;
    timeline->columns = stretched.columns;
}

static int wait_of(uint64_t us)
{
    int wait = 0;
    for (uint64_t bound = 1; wait < TIMELINE_WAITS - 1 && us >= bound; wait++)
        bound = bound == 1 ? 1000 : bound * 10;
    return wait;
}

void timeline_add(struct timeline *timeline, const struct line *line)
{
    int64_t at = line->at_ms;
    if (!timeline->width_ms) {
        timeline->width_ms = NARROWEST_MS;
        timeline->earliest = timeline->latest = at;
        timeline->first = divide_down(at, NARROWEST_MS);
        timeline->columns = make_columns(TIMELINE_COLUMNS);
    }
    bool backwards = at < timeline->earliest;
    if (backwards)
        timeline->earliest = at;
    if (at > timeline->latest)
        timeline->latest = at;
    int64_t column = divide_down(at, timeline->width_ms) - timeline->first;
    if (column < 0 || column >= TIMELINE_COLUMNS) {
        stretch(timeline, backwards);
        column = divide_down(at, timeline->width_ms) - timeline->first;
    }
    timeline->columns[column].verdicts[line->verdict]++;
    timeline->columns[column].waits[wait_of(line->waited_us)]++;
}

int timeline_fit(const struct timeline *timeline, struct timeline *fitted, int count)
{
    *fitted = *timeline;
    if (!timeline->width_ms)
        return 0;
    int64_t columns;
    for (int64_t times = 1;; times++) {
        fitted->width_ms = timeline->width_ms * times;
        fitted->first = divide_down(timeline->earliest, fitted->width_ms);
        columns = divide_down(timeline->latest, fitted->width_ms) - fitted->first + 1;
        if (columns <= count)
            break;
    }
    fitted->columns = make_columns((int)columns);
    pour(fitted, (int)columns, timeline);
    return (int)columns;
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->columns);
    timeline->columns = NULL;
}

#include "report.h"

#include <stdio.h>
#include <stdlib.h>

const unsigned report_quantiles[] = { 500, 900, 990 };
const char *const report_quantile_names[] = { "p50", "p90", "p99" };

void report_wait(char text[REPORT_WAIT_SIZE], uint64_t us)
{
    static const struct {
        uint64_t us;
        const char *name;
    } units[] = { { 1000000, "s" }, { 1000, "ms" }, { 1, "us" } };
    size_t unit = 0;
    if (us >= 3600 * UINT64_C(1000000)) {
        snprintf(text, REPORT_WAIT_SIZE, "%lluh%02llumin", (unsigned long long)(us / 3600000000),
                 (unsigned long long)(us / 60000000 % 60));
        return;
    }
    if (us >= 60 * UINT64_C(1000000)) {
        snprintf(text, REPORT_WAIT_SIZE, "%llumin%02llus", (unsigned long long)(us / 60000000),
                 (unsigned long long)(us / 1000000 % 60));
        return;
    }
    while (us && us < units[unit].us)
        unit++;
    double value = (double)us / (double)units[unit].us;
    if (!us)
        snprintf(text, REPORT_WAIT_SIZE, "0");
    else
        snprintf(text, REPORT_WAIT_SIZE, "%.*f%s",
                 unit == 2 || value >= 99.95 ? 0
                 : value >= 9.995            ? 1
                                             : 2,
                 value, units[unit].name);
}

char *report_outcomes(const struct group *group)
{
    char *text = NULL;
    size_t size;
    bool said[LINE_OUTCOMES] = { false };
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    for (int i = 0; i < LINE_OUTCOMES; i++) {
        int most = -1;
        for (int outcome = 0; outcome < LINE_OUTCOMES; outcome++)
            if (group->outcomes[outcome] && !said[outcome] && (most < 0 || group->outcomes[outcome] > group->outcomes[most]))
                most = outcome;
        if (most < 0)
            break;
        said[most] = true;
        fprintf(out, "%s%llu %s", i ? ", " : "", (unsigned long long)group->outcomes[most], line_outcomes[most]);
    }
    fclose(out);
    return text;
}

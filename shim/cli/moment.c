#include "moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define MS INT64_C(1000)

int64_t moment_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * MS + now.tv_nsec / 1000000;
}

/* Days since 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly so many digits; moves on. */
static bool digits(const char **at, int count, int64_t *value)
{
    for (*value = 0; count > 0; count--, (*at)++) {
        if (!is_digit(**at))
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool literal(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

struct date {
    int64_t year, month, day, hour, minute, second, ms;
};

static bool read_day(const char **at, struct date *date)
{
    return digits(at, 4, &date->year) && literal(at, '-') && digits(at, 2, &date->month) && literal(at, '-') &&
           digits(at, 2, &date->day) && date->month >= 1 && date->month <= 12 && date->day >= 1 && date->day <= 31;
}

/* HH:MM, and seconds and a fraction where they are there. */
static bool read_clock(const char **at, struct date *date)
{
    if (!digits(at, 2, &date->hour) || !literal(at, ':') || !digits(at, 2, &date->minute))
        return false;
    if (literal(at, ':') && !digits(at, 2, &date->second))
        return false;
    if (literal(at, '.')) {
        if (!is_digit(**at))
            return false;
        for (int64_t scale = 100; is_digit(**at); (*at)++, scale /= 10)
            date->ms += (**at - '0') * scale;
    }
    return date->hour < 24 && date->minute < 60 && date->second <= 60;
}

static int64_t moment_of(const struct date *date)
{
    int64_t s = days_of(date->year, date->month, date->day) * DAY_S + date->hour * 3600 + date->minute * 60 + date->second;
    return s * MS + date->ms;
}

bool moment_read_stamp(const char *text, size_t length, int64_t *ms)
{
    struct date date = { 0 };
    const char *at = text;
    if (length != strlen("2026-11-22T15:48:32.463Z") || !read_day(&at, &date) || !literal(&at, 'T') || !read_clock(&at, &date) ||
        strcmp(at, "Z"))
        return false;
    *ms = moment_of(&date);
    return true;
}

static bool read_local(const struct date *date, int64_t *ms)
{
    struct tm broken_down = {
        .tm_year = (int)date->year - 1900,
        .tm_mon = (int)date->month - 1,
        .tm_mday = (int)date->day,
        .tm_hour = (int)date->hour,
        .tm_min = (int)date->minute,
        .tm_sec = (int)date->second,
        .tm_isdst = -1,
    };
    *ms = mktime(&broken_down) * MS + date->ms;
    return true;
}

static bool read_absolute(const char *at, int64_t *ms)
{
    struct date date = { 0 };
    int64_t hours, minutes;
    if (!read_day(&at, &date))
        return false;
    if (*at && !(literal(&at, 'T') || literal(&at, ' ')))
        return false;
    if (at[-1] == 'T' || at[-1] == ' ') {
        if (!read_clock(&at, &date))
            return false;
        if (!strcmp(at, "Z")) {
            *ms = moment_of(&date);
            return true;
        }
        if (*at == '+' || *at == '-') {
            int64_t sign = *at++ == '+' ? 1 : -1;
            if (!digits(&at, 2, &hours) || (literal(&at, ':'), !digits(&at, 2, &minutes)) || *at)
                return false;
            *ms = moment_of(&date) - sign * (hours * 60 + minutes) * 60 * MS;
            return true;
        }
    }
    return !*at && read_local(&date, ms);
}

/* "2h", "1d 12h", "90 minutes"; moves to what follows. */
static bool read_span(const char **at, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        { "ms", 1 },
        { "s", MS },
        { "sec", MS },
        { "second", MS },
        { "m", 60 * MS },
        { "min", 60 * MS },
        { "minute", 60 * MS },
        { "h", 3600 * MS },
        { "hour", 3600 * MS },
        { "d", DAY_S * MS },
        { "day", DAY_S * MS },
        { "w", 7 * DAY_S * MS },
        { "week", 7 * DAY_S * MS },
    };
    bool any = false;
    for (*ms = 0; is_digit(**at); any = true) {
        int64_t number = 0, unit = 0;
        for (; is_digit(**at); (*at)++)
            if ((number = number * 10 + (**at - '0')) > 1000000)
                return false;
        *at += strspn(*at, " ");
        size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
        size_t singular = length > 3 && (*at)[length - 1] == 's' ? length - 1 : length;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strlen(units[i].name) == singular && !memcmp(units[i].name, *at, singular))
                unit = units[i].ms;
        if (!unit)
            return false;
        *ms += number * unit;
        *at += length;
        *at += strspn(*at, " ");
    }
    return any;
}

static bool read_relative(const char *at, int64_t now, int64_t *ms)
{
    int64_t span;
    bool minus = literal(&at, '-');
    if (!read_span(&at, &span) || strcmp(at, minus ? "" : "ago"))
        return false;
    *ms = now - span;
    return true;
}

/* Local midnight, so many days back. */
static int64_t midnight(int64_t now, int days_back)
{
    time_t seconds = (time_t)(now / MS);
    struct tm day;
    localtime_r(&seconds, &day);
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    day.tm_mday -= days_back;
    day.tm_isdst = -1;
    return mktime(&day) * MS;
}

bool moment_read(const char *text, int64_t now, int64_t *ms)
{
    if (!strcmp(text, "now"))
        *ms = now;
    else if (!strcmp(text, "today"))
        *ms = midnight(now, 0);
    else if (!strcmp(text, "yesterday"))
        *ms = midnight(now, 1);
    else if (text[0] == '@') {
        const char *at = text + 1;
        int64_t seconds = 0;
        if (!is_digit(*at))
            return false;
        for (; is_digit(*at); at++)
            if ((seconds = seconds * 10 + (*at - '0')) > 253402300799) /* the year 9999 ends */
                return false;
        *ms = seconds * MS;
        return !*at;
    } else {
        return read_absolute(text, ms) || read_relative(text, now, ms);
    }
    return true;
}

void moment_write(char text[MOMENT_SIZE], int64_t ms, bool with_ms)
{
    int64_t of_second = ((ms % MS) + MS) % MS;
    time_t seconds = (time_t)((ms - of_second) / MS);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t length = strftime(text, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    if (with_ms)
        length += (size_t)snprintf(text + length, MOMENT_SIZE - length, ".%03d", (int)of_second);
    snprintf(text + length, MOMENT_SIZE - length, "Z");
}

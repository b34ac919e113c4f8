#include "stamp.h"

#include "../sys/clock.h"
#include "../sys/text.h"

/* Year, month and day of a day number that counts from 1970-01-01, in the Gregorian calendar without end. */
static void civil_date(uint64_t days, struct stamp *stamp)
{
    /* Years that begin in March put the leap day last, so that months have fixed starts (Hinnant, "chrono-compatible
     * low-level date algorithms"). */
    uint64_t shifted = days + 719468, era = shifted / 146097, in_era = shifted % 146097;
    uint64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * years + years / 4 - years / 100);
    uint64_t from_march = (5 * in_year + 2) / 153;
    stamp->day = (unsigned)(in_year - (153 * from_march + 2) / 5 + 1);
    stamp->month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
    stamp->year = (unsigned)(years + era * 400 + (stamp->month <= 2));
}

struct stamp stamp_of(uint64_t ns)
{
    uint64_t seconds = ns / CLOCK_SECOND;
    struct stamp stamp = {
        .hour = (unsigned)(seconds / 3600 % 24),
        .minute = (unsigned)(seconds / 60 % 60),
        .second = (unsigned)(seconds % 60),
        .millisecond = (unsigned)(ns / CLOCK_MS % 1000),
    };
    civil_date(seconds / 86400, &stamp);
    return stamp;
}

const char *stamp_text(char buffer[STAMP_SIZE], uint64_t ns)
{
    struct stamp stamp = stamp_of(ns);
    struct text text = text_over(buffer, STAMP_SIZE);
    const struct {
        unsigned number;
        int digits;
        const char *behind;
    } parts[] = {
        { stamp.year, 4, "-" },   { stamp.month, 2, "-" },  { stamp.day, 2, "T" },         { stamp.hour, 2, ":" },
        { stamp.minute, 2, ":" }, { stamp.second, 2, "." }, { stamp.millisecond, 3, "Z" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text_padded(&text, parts[i].number, parts[i].digits);
        text_add(&text, parts[i].behind);
    }
    return buffer;
}

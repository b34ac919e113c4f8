/*
 * Reads a line of the log back, member by member, for sinks that want fields: the one who has to write it may be another program
 * than the one that made it. Understands what json.h writes; from any other bytes it takes less, and never reads beyond their end.
 * Safe anywhere.
 */
#ifndef EVENT_MEMBERS_H
#define EVENT_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

/* One "name":value of the object, as it stands in the line. */
struct member {
    const char *name, *value;
    size_t name_length, value_length;
};

/* Call it with *at at the start of a terminated line; false when there is no further member. */
bool member_next(const char **at, struct member *);

bool member_is(const struct member *, const char *name);

/* Writes the value to `buffer`, a string without its quotes and escapes, anything else as it is. At most value_length bytes. */
size_t member_value(const struct member *, char *buffer);

/* How much a person should care about a line, as syslog(3) counts: by its verdict. */
int member_priority(const char *line);

#endif

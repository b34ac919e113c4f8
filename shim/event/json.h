/*
 * A writer of one JSON object into a buffer. Always valid JSON and valid UTF-8, whatever bytes a string has and
 * however little room there is: a string that doesn't fit is cut, a field that doesn't fit is left out.
 * Safe anywhere; allocates nothing.
 *
 * Objects and arrays nest. In an array the elements have no name: NULL. A copy of the struct is a place to come back to: putting
 * it back takes away what was written since.
 */
#ifndef EVENT_JSON_H
#define EVENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *at;
    size_t size, length; /* one byte of `size` is kept for the closing brace, one for the newline, one for each open bracket */
    size_t open;
    size_t string_max, path_max; /* of a string's bytes in the buffer; may be lowered */
    bool full;                   /* something was cut, or left out, because there was no room */
};

struct json json_begin(char *buffer, size_t size);

/* False when there is no room for it; then it must not be closed. */
bool json_open_object(struct json *, const char *name);
bool json_open_array(struct json *, const char *name);
void json_close_object(struct json *);
void json_close_array(struct json *);

/* NULL values are left out; a string is cut at 4 KiB. */
void json_string(struct json *, const char *name, const char *value);
void json_number(struct json *, const char *name, uint64_t value);
void json_boolean(struct json *, const char *name, bool value);

/* A number with three decimals: `value` counts thousandths. */
void json_thousandths(struct json *, const char *name, uint64_t value);

/*
 * A path: a readable string in which bytes that aren't UTF-8 stand as \xNN, cut at 6 KiB, and then, only when that isn't the
 * path to the byte, the exact bytes as base64 in a field of the same name with "_b64" behind it. Elements of arrays have none.
 */
void json_path(struct json *, const char *name, const char *path);

/* Ends the object with a newline; returns the whole length. */
size_t json_end(struct json *);

#endif

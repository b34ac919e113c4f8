#include "journal_entry.h"

#include <stdlib.h>
#include <string.h>

#include "../sys/text.h"
#include "line.h"

#define PREFIX "ETXTBSY_"

/* A field's bytes: a string, or, where they aren't printable, an array of numbers (systemd, "Journal JSON Format"). */
static struct json_object *string_of(struct json_object *value)
{
    size_t length = json_object_get_type(value) == json_type_array ? json_object_array_length(value) : 0;
    if (json_object_get_type(value) == json_type_string)
        return json_object_get(value);
    char *bytes = malloc(length + 1);
    if (!bytes)
        abort();
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)json_object_get_int(json_object_array_get_idx(value, i));
    struct json_object *string = json_object_new_string_len(bytes, (int)length);
    free(bytes);
    return string;
}

/* The journal has strings only: a value that was a number, or an array, is written as it stood in the line. */
static struct json_object *value_of(const char *name, struct json_object *value)
{
    static const char *const strings[] = { "path", "target", "message", "host", "comm", "exe", "unit", "stage", "rule" };
    struct json_object *string = string_of(value), *parsed = NULL;
    const char *text = json_object_get_string(string);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!strcmp(strings[i], name))
            return string;
    if ((text[0] >= '0' && text[0] <= '9') || text[0] == '[') {
        struct json_tokener *tokener = line_tokener();
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        /* With its NUL, so that a number is known to be whole. */
        parsed = json_tokener_parse_ex(tokener, text, json_object_get_string_len(string) + 1);
        json_tokener_free(tokener);
    }
    if (!parsed)
        return string;
    json_object_put(string);
    return parsed;
}

struct json_object *journal_entry_take(struct json_object *entry)
{
    if (!json_object_object_get_ex(entry, PREFIX "TS", NULL))
        return entry;
    struct json_object *line = json_object_new_object();
    json_object_object_foreach(entry, field_name, value)
    {
        char name[64];
        size_t length = 0;
        const char *at = text_behind(field_name, PREFIX);
        if (!at || strlen(at) >= sizeof name)
            continue;
        for (; at[length]; length++)
            name[length] = (char)(at[length] >= 'A' && at[length] <= 'Z' ? at[length] - 'A' + 'a' : at[length]);
        name[length] = '\0';
        json_object_object_add(line, name, value_of(name, value));
    }
    json_object_put(entry);
    return line;
}

/*
 * As much of JSON Schema as event.schema.json uses. An unknown keyword is an error: it would be a demand that nobody checks.
 */
#include "schema.h"

#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef SOURCE_DIR
#define SOURCE_DIR "." /* where make runs the tests */
#endif

static char message[512];

#define FAIL(...) (snprintf(message, sizeof message, __VA_ARGS__), message)

static const char *check_value(struct json_object *schema, const char *name, struct json_object *value);

static const char *check_type(struct json_object *type, const char *name, struct json_object *value)
{
    static const struct {
        const char *word;
        json_type first, second;
    } types[] = {
        { "object", json_type_object, json_type_object }, { "array", json_type_array, json_type_array },
        { "string", json_type_string, json_type_string }, { "boolean", json_type_boolean, json_type_boolean },
        { "integer", json_type_int, json_type_int },      { "number", json_type_int, json_type_double },
        { "null", json_type_null, json_type_null },
    };
    const char *word = json_object_get_string(type);
    json_type is = json_object_get_type(value);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].word, word))
            return is == types[i].first || is == types[i].second
                       ? NULL
                       : FAIL("%s: expected %s, found %s", name, word, json_type_to_name(is));
    return FAIL("the schema has an unknown type \"%s\"", word);
}

static const char *check_enum(struct json_object *words, const char *name, struct json_object *value)
{
    for (size_t i = 0; i < json_object_array_length(words); i++)
        if (json_object_equal(json_object_array_get_idx(words, i), value))
            return NULL;
    return FAIL("%s: %s is none of %s", name, json_object_to_json_string(value), json_object_get_string(words));
}

static const char *check_minimum(struct json_object *minimum, const char *name, struct json_object *value)
{
    if (json_object_get_double(value) >= json_object_get_double(minimum))
        return NULL;
    return FAIL("%s: %s is less than %s", name, json_object_to_json_string(value), json_object_get_string(minimum));
}

static const char *check_pattern(struct json_object *pattern, const char *name, struct json_object *value)
{
    regex_t regex;
    if (!json_object_is_type(value, json_type_string))
        return NULL;
    if (regcomp(&regex, json_object_get_string(pattern), REG_EXTENDED | REG_NOSUB))
        return FAIL("the schema has a bad pattern for %s", name);
    int result = regexec(&regex, json_object_get_string(value), 0, NULL, 0);
    regfree(&regex);
    return result == 0 ? NULL
                       : FAIL("%s: %s doesn't match %s", name, json_object_to_json_string(value), json_object_get_string(pattern));
}

static const char *check_required(struct json_object *names, const char *name, struct json_object *value)
{
    for (size_t i = 0; i < json_object_array_length(names); i++) {
        const char *wanted = json_object_get_string(json_object_array_get_idx(names, i));
        if (!json_object_object_get_ex(value, wanted, NULL))
            return FAIL("%s: %s is missing", name, wanted);
    }
    return NULL;
}

static const char *check_properties(struct json_object *properties, const char *name, struct json_object *value)
{
    (void)name;
    json_object_object_foreach(properties, key, schema)
    {
        struct json_object *field;
        const char *wrong = json_object_object_get_ex(value, key, &field) ? check_value(schema, key, field) : NULL;
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *check_no_others(struct json_object *schema, const char *name, struct json_object *value)
{
    struct json_object *properties = json_object_object_get(schema, "properties");
    json_object_object_foreach(value, key, field)
    {
        (void)field;
        if (!json_object_object_get_ex(properties, key, NULL))
            return FAIL("%s: %s isn't in the schema", name, key);
    }
    return NULL;
}

static const char *check_items(struct json_object *schema, const char *name, struct json_object *value)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < json_object_array_length(value) && !wrong; i++)
        wrong = check_value(schema, name, json_object_array_get_idx(value, i));
    return wrong;
}

static bool is_annotation(const char *keyword)
{
    return !strcmp(keyword, "$schema") || !strcmp(keyword, "title") || !strcmp(keyword, "description") ||
           !strncmp(keyword, "x-", 2);
}

static const char *check_value(struct json_object *schema, const char *name, struct json_object *value)
{
    static const struct {
        const char *keyword;
        const char *(*check)(struct json_object *, const char *, struct json_object *);
    } checks[] = {
        { "enum", check_enum },         { "minimum", check_minimum },       { "pattern", check_pattern },
        { "required", check_required }, { "properties", check_properties }, { "items", check_items },
    };
    struct json_object *type;
    const char *wrong = NULL;
    if (json_object_object_get_ex(schema, "type", &type) && (wrong = check_type(type, name, value)))
        return wrong; /* first: the others count on it */

    json_object_object_foreach(schema, keyword, demand)
    {
        size_t i = 0;
        if (is_annotation(keyword) || !strcmp(keyword, "type"))
            continue;
        if (!strcmp(keyword, "additionalProperties")) {
            wrong = json_object_get_boolean(demand) ? NULL : check_no_others(schema, name, value);
        } else {
            while (i < sizeof checks / sizeof *checks && strcmp(checks[i].keyword, keyword))
                i++;
            wrong = i < sizeof checks / sizeof *checks ? checks[i].check(demand, name, value)
                                                       : FAIL("the schema has an unknown keyword \"%s\"", keyword);
        }
        if (wrong)
            return wrong;
    }
    return NULL;
}

struct json_object *schema_get(void)
{
    static struct json_object *schema;
    if (!schema)
        schema = json_object_from_file(SOURCE_DIR "/shim/event/event.schema.json");
    return schema;
}

const char *schema_check(struct json_object *line)
{
    struct json_object *schema = schema_get();
    return schema ? check_value(schema, "line", line) : FAIL("event.schema.json: %s", json_util_get_last_err());
}

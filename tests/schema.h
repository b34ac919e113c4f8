/*
 * Examines parsed log lines against shim/event/event.schema.json.
 */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <json-c/json.h>

/*
 * Returns NULL when `line` fits the schema, else what is wrong, in a static buffer that the next call overwrites. The schema
 * is read once; that it can't be read, or uses a keyword that isn't known here, is said as an error of every line.
 */
const char *schema_check(struct json_object *line);

/* The schema itself, or NULL; belongs to schema.c. */
struct json_object *schema_get(void);

#endif

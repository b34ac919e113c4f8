/*
 * Shows the policy in force for one question: each key, its value, and where it comes from.
 */
#include <json.h>
#include <limits.h>
#include <string.h>

#include "../policy/keys.h"
#include "cli.h"

#define VALUE_SIZE (2 * POLICY_LOG_SIZE + 64)
#define ORIGIN_SIZE (PATH_MAX + 64)

/* The kinds of place that a value can come from, in the words of the JSON. */
static const char *source_of(const struct policy *policy, enum policy_key key)
{
    const struct policy_origin *origin = &policy->origin[key];
    if (origin->variable)
        return "variable";
    if (!origin->file)
        return "built-in";
    return origin->by_rule ? "rule" : policy_keys[key].global ? "top" : "section";
}

static void print_text(const char *text)
{
    cli_print_escaped(stdout, text, strlen(text));
}

static void print_origin(const struct policy *policy, enum policy_key key, enum policy_operation operation)
{
    char buffer[ORIGIN_SIZE];
    struct text text = TEXT(buffer);
    policy_add_origin(&text, &policy->origin[key]);
    print_text(buffer);
    if (!policy->origin[key].file)
        return;
    if (policy->origin[key].by_rule)
        printf(" (rule)");
    else if (policy_keys[key].global)
        printf(" (top of the file)");
    else
        printf(" ([%s])", policy_operation_name(operation));
}

/* "write of /usr/bin/tool by /usr/bin/cp: redirect, from the rule at /etc/etxtbsy.conf:12" */
static void print_headline(const struct policy *policy, const struct policy_question *question)
{
    const struct policy_origin *origin = &policy->origin[KEY_ACTION];
    char buffer[ORIGIN_SIZE];
    struct text text = TEXT(buffer);

    printf("%s of ", policy_operation_name(question->operation));
    print_text(question->path);
    if (*question->exe) {
        printf(" by ");
        print_text(question->exe);
    }
    printf(": %s, ", policy_action_name((enum policy_action)policy->value[KEY_ACTION]));
    policy_add_origin(&text, origin);
    if (origin->variable)
        printf("from the variable ");
    else if (origin->file && origin->by_rule)
        printf("from the rule at ");
    else if (origin->file)
        printf("from [%s] at ", policy_operation_name(question->operation));
    print_text(buffer);
    puts(origin->variable || origin->by_rule ? "" : "; no rule for it matches");
}

void explain_as_table(const struct policy *policy, const struct policy_question *question)
{
    const int key_width = 16, value_width = 12;
    print_headline(policy, question);
    printf("\n%-*s %-*s %s\n", key_width, "KEY", value_width, "VALUE", "FROM");
    for (int key = 0; key < POLICY_KEYS; key++) {
        char buffer[VALUE_SIZE];
        struct text text = TEXT(buffer);
        policy_add_value(&text, policy, key);
        printf("%-*s ", key_width, policy_key_name(key));
        int columns = cli_print_escaped(stdout, buffer, text.length);
        printf("%*s ", columns < value_width ? value_width - columns : 0, "");
        print_origin(policy, key, question->operation);
        putchar('\n');
    }
}

static struct json_object *value_object(const struct policy *policy, enum policy_key key)
{
    const struct policy_origin *origin = &policy->origin[key];
    struct json_object *object = json_object_new_object();
    char value[VALUE_SIZE], from[ORIGIN_SIZE];
    struct text text = TEXT(value), from_text = TEXT(from);
    policy_add_value(&text, policy, key);
    policy_add_origin(&from_text, origin);
    cli_add_bytes(object, "value", value);
    cli_add_bytes(object, "from", from);
    json_object_object_add(object, "source", json_object_new_string(source_of(policy, key)));
    if (origin->file && !origin->variable) {
        cli_add_bytes(object, "file", origin->file);
        json_object_object_add(object, "line", json_object_new_int64(origin->line));
    }
    return object;
}

void explain_as_json(const struct policy *policy, const struct policy_question *question)
{
    struct json_object *object = json_object_new_object(), *keys = json_object_new_object();
    cli_add_bytes(object, "path", question->path);
    json_object_object_add(object, "op", json_object_new_string(policy_operation_name(question->operation)));
    if (*question->exe)
        cli_add_bytes(object, "program", question->exe);
    for (int key = 0; key < POLICY_KEYS; key++)
        json_object_object_add(keys, policy_key_name(key), value_object(policy, key));
    json_object_object_add(object, "policy", keys);
    cli_print_json(object);
}

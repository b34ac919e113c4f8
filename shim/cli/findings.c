#include "findings.h"

#include <json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static struct finding {
    enum finding_state state;
    const char *name, *remedy;
    char *text;
} * findings;
static size_t finding_count;

void finding_add(enum finding_state state, const char *name, const char *remedy, const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    findings = realloc(findings, (finding_count + 1) * sizeof *findings);
    if (!findings || vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    findings[finding_count++] = (struct finding){ state, name, remedy ? strdup(remedy) : NULL, text };
}

static const char *const state_names[] = { "fine", "note", "problem" };

static bool any_problem(void)
{
    for (size_t i = 0; i < finding_count; i++)
        if (findings[i].state == FINDING_PROBLEM)
            return true;
    return false;
}

int findings_status(void)
{
    return finding_count ? any_problem() ? CLI_PROBLEMS : CLI_FINE : CLI_TROUBLE;
}

static void print_lines(const char *text)
{
    for (;;) { /* a remedy may be several lines; nothing else that is printed has its own newlines */
        size_t length = strcspn(text, "\n");
        cli_print_escaped(stdout, text, length);
        if (!text[length])
            break;
        fputs("\n              ", stdout);
        text += length + 1;
    }
}

void findings_as_table(void)
{
    static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
    bool coloured = cli_colours();
    for (size_t i = 0; i < finding_count; i++) {
        const struct finding *finding = &findings[i];
        printf("%s%-7s%s  %-13s ", coloured ? colours[finding->state] : "", state_names[finding->state], coloured ? "\033[0m" : "",
               finding->name);
        cli_print_escaped(stdout, finding->text, strlen(finding->text));
        if (finding->remedy) {
            fputs("\n           -> ", stdout);
            print_lines(finding->remedy);
        }
        putchar('\n');
    }
}

void findings_as_json(const char *subject)
{
    struct json_object *object = json_object_new_object(), *array = json_object_new_array();
    cli_add_bytes(object, "subject", subject);
    json_object_object_add(object, "reached", json_object_new_boolean(!any_problem()));
    for (size_t i = 0; i < finding_count; i++) {
        struct json_object *entry = json_object_new_object();
        json_object_object_add(entry, "state", json_object_new_string(state_names[findings[i].state]));
        json_object_object_add(entry, "name", json_object_new_string(findings[i].name));
        cli_add_bytes(entry, "text", findings[i].text);
        if (findings[i].remedy)
            cli_add_bytes(entry, "remedy", findings[i].remedy);
        json_object_array_add(array, entry);
    }
    json_object_object_add(object, "findings", array);
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

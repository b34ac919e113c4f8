/*
 * The writer of log lines: strings up to zero bytes, in the order of `take` below, behind two bytes for the room that there is.
 * A line is JSON whatever the strings are, and where there is room a path comes back to the byte.
 */
#include <json.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../shim/event/event.h"

static void must(bool condition)
{
    if (!condition)
        abort();
}

static const char *take(const uint8_t **data, size_t *size, char buffer[PATH_MAX])
{
    size_t length = 0;
    while (length < *size && length < PATH_MAX - 1 && (*data)[length])
        length++;
    memcpy(buffer, *data, length);
    buffer[length] = '\0';
    *data += length + (length < *size);
    *size -= length + (length < *size);
    return buffer;
}

static void decode(const char *text, char bytes[2 * PATH_MAX])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = 0;
    unsigned bits = 0, have = 0;
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        must(digit && length < 2 * PATH_MAX - 1);
        bits = bits << 6 | (unsigned)(digit - digits);
        have += 6;
        if (have >= 8)
            bytes[length++] = (char)(bits >> (have -= 8));
    }
    bytes[length] = '\0';
}

static void comes_back(struct json_object *line, const char *name, const char *path)
{
    char exact_name[64], bytes[2 * PATH_MAX];
    struct json_object *shown, *exact;
    strcat(strcpy(exact_name, name), "_b64");
    must(json_object_object_get_ex(line, name, &shown));
    if (json_object_object_get_ex(line, exact_name, &exact))
        decode(json_object_get_string(exact), bytes);
    else
        strcpy(bytes, json_object_get_string(shown));
    must(!strcmp(bytes, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[EVENT_LINE_SIZE + 1], path[PATH_MAX], target[PATH_MAX], stage[PATH_MAX], rule[PATH_MAX], message[PATH_MAX],
        reason[PATH_MAX];
    static const struct host host = { .pid = 17, .parent = 16, .thread = 17, .name = "machine" };
    if (size < 2)
        return 0;
    size_t room = (size_t)data[0] << 8 | data[1];
    bool ample = room < 3;
    data += 2;
    size -= 2;
    struct event event = { .event = "redirect",
                           .op = "open",
                           .outcome = "replaced",
                           .verdict = "replaced",
                           .action = "redirect",
                           .host = &host,
                           .comm = "cp",
                           .exe = "/usr/bin/cp",
                           .error = (int)(room % 140),
                           .held_fd = (int)(room % 5) - 1,
                           .waited_ns = room * UINT64_C(0x123456789abcdef) };
    event.path = take(&data, &size, path);
    event.target = take(&data, &size, target);
    event.stage = take(&data, &size, stage);
    event.rule = take(&data, &size, rule);
    event.message = take(&data, &size, message);
    event.reason = take(&data, &size, reason);

    size_t length = event_format(&event, line, ample ? EVENT_LINE_SIZE : room);
    must(length <= (ample ? EVENT_LINE_SIZE : room) && line[length - 1] == '\n');
    line[length] = '\0';
    must(strchr(line, '\n') == line + length - 1);

    struct json_tokener *tokener = json_tokener_new();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object = json_tokener_parse_ex(tokener, line, (int)length - 1);
    if (!object) /* json-c waits for more behind an object only when it is none */
        object = json_tokener_parse_ex(tokener, "", 1);
    must(object && json_object_is_type(object, json_type_object));
    if (ample) {
        comes_back(object, "path", path);
        comes_back(object, "target", target);
        comes_back(object, "stage", stage);
        comes_back(object, "rule", rule);
    }
    json_object_put(object);
    json_tokener_free(tokener);
    return 0;
}

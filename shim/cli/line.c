#include "line.h"

#include <math.h>
#include <string.h>

#include "../event/event.h"
#include "../sys/text.h"
#include "journal_entry.h"
#include "moment.h"

#define DEPTH_MAX 8
#define WAIT_MAX_MS 1e12 /* thirty years */

const char *const line_operations[] = { "exec", "write", "truncate", "rename", "other" };
const char *const line_outcomes[] = { "succeeded", "replaced", "created", "in-place", "unchanged", "published-early",
                                      "discarded", "observed", "refused", "gave-up",  "aborted",   "failed",
                                      "ignored",   "waiting",  "pending", "unknown" };
const char *const line_verdicts[] = {
    "observed", "transient", "replaced", "unknown", "refused", "self-held", "persistent", "failed"
};

/* A line in the making. */
struct reading {
    struct json_object *object;
    struct line_room *room;
    const char *fault;
};

struct json_tokener *line_tokener(void)
{
    return json_tokener_new_ex(DEPTH_MAX);
}

static struct json_object *field(struct reading *reading, const char *name, enum json_type type, const char *fault)
{
    struct json_object *value;
    if (!json_object_object_get_ex(reading->object, name, &value))
        return NULL;
    if (json_object_get_type(value) == type)
        return value;
    if (!reading->fault)
        reading->fault = fault;
    return NULL;
}

static const char *keep(struct reading *reading, const char *bytes, size_t length)
{
    char *copy = reading->room->at;
    if ((size_t)(reading->room->end - copy) <= length) {
        reading->fault = "more strings than the line has bytes";
        return "";
    }
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    reading->room->at = copy + length + 1;
    return copy;
}

static const char *string(struct reading *reading, const char *name)
{
    struct json_object *value = field(reading, name, json_type_string, "a field that should be a string isn't one");
    const char *bytes = value ? json_object_get_string(value) : "";
    size_t length = value ? (size_t)json_object_get_string_len(value) : 0;
    if (length && memchr(bytes, '\0', length)) {
        reading->fault = "a string with a NUL in it";
        return "";
    }
    return length ? keep(reading, bytes, length) : "";
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* The exact bytes of a field that isn't UTF-8; NULL: there are none. */
static const char *exact(struct reading *reading, const char *name)
{
    struct json_object *value = field(reading, name, json_type_string, "a field that should be a string isn't one");
    if (!value)
        return NULL;
    const char *encoded = json_object_get_string(value);
    size_t length = (size_t)json_object_get_string_len(value);
    while (length && encoded[length - 1] == '=')
        length--;
    if ((size_t)(reading->room->end - reading->room->at) <= length) {
        reading->fault = "more strings than the line has bytes";
        return NULL;
    }
    char *decoded = reading->room->at;
    unsigned bits = 0, held = 0;
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(encoded[i]);
        if (digit < 0) {
            reading->fault = "a field that should be base64 isn't";
            return NULL;
        }
        held = held << 6 | (unsigned)digit;
        if ((bits += 6) >= 8) {
            decoded[written] = (char)(held >> (bits -= 8));
            if (!decoded[written++]) {
                reading->fault = "a string with a NUL in it";
                return NULL;
            }
        }
    }
    decoded[written] = '\0';
    reading->room->at = decoded + written + 1;
    return decoded;
}

static const char *path(struct reading *reading, const char *name, const char *exact_name)
{
    const char *bytes = exact(reading, exact_name);
    return bytes ? bytes : string(reading, name);
}

/* A whole number that isn't negative; `missing` where there is none. */
static uint64_t number(struct reading *reading, const char *name, uint64_t missing)
{
    struct json_object *value = field(reading, name, json_type_int, "a field that should be a whole number isn't one");
    if (!value)
        return missing;
    if (json_object_get_int64(value) < 0)
        reading->fault = "a negative number";
    return json_object_get_uint64(value);
}

static int word_of(const char *const *words, int count, const char *word, int unknown)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(words[i], word))
            return i;
    return unknown;
}

/* The policy's operation. `op` is a libc call, and where a stage is let go of it is any that lets go of descriptors. */
static enum line_operation operation_of(const char *event, const char *op, const char *action)
{
    static const char *const names[] = { "rename", "link", "unlink", "rmdir", "remove", "symlink" };
    if (!strcmp(event, "config") || !strcmp(event, "refuse"))
        return LINE_OTHER;
    if (text_behind(op, "truncate"))
        return LINE_TRUNCATE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_behind(op, names[i]))
            return LINE_RENAME;
    if (!strcmp(event, "redirect") || !strcmp(event, "pending") || !strcmp(action, "redirect") || !strcmp(action, "atomic"))
        return LINE_WRITE;
    if (strstr(op, "exec") || (strstr(op, "spawn") && !strstr(op, "addopen")) || !strcmp(op, "system") || !strcmp(op, "popen") ||
        !strcmp(op, "syscall"))
        return LINE_EXEC;
    return LINE_WRITE;
}

static void read_holders(struct reading *reading, struct line *line)
{
    struct json_object *array = field(reading, "holders", json_type_array, "`holders` isn't an array");
    size_t count = array ? json_object_array_length(array) : 0;
    struct json_object *outer = reading->object;
    for (size_t i = 0; i < count && i < LINE_HOLDERS; i++) {
        reading->object = json_object_array_get_idx(array, i);
        if (json_object_get_type(reading->object) != json_type_object) {
            reading->fault = "a holder that isn't an object";
            break;
        }
        line->holders[line->holder_count++] = (struct line_holder){
            .pid = (int64_t)number(reading, "pid", (uint64_t)-1),
            .fd = (int64_t)number(reading, "fd", (uint64_t)-1),
            .comm = path(reading, "comm", "comm_b64"),
            .exe = path(reading, "exe", "exe_b64"),
            .how = string(reading, "how"),
            .started = string(reading, "started"),
        };
    }
    reading->object = outer;
}

static void read_wait(struct reading *reading, struct line *line)
{
    struct json_object *value;
    if (!json_object_object_get_ex(reading->object, "waited_ms", &value)) {
        reading->fault = "`waited_ms` is missing";
        return;
    }
    enum json_type type = json_object_get_type(value);
    double ms = type == json_type_double || type == json_type_int ? json_object_get_double(value) : NAN;
    if (!(ms >= 0 && ms <= WAIT_MAX_MS))
        reading->fault = "`waited_ms` isn't a possible time";
    else
        line->waited_us = (uint64_t)(ms * 1000 + 0.5);
}

static void read_fields(struct reading *reading, struct line *line)
{
    static const char *const required[] = { "ts", "v", "event", "op", "outcome", "verdict", "path", "target" };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!json_object_object_get_ex(reading->object, required[i], NULL)) {
            reading->fault = "it isn't a line of this log: ts, v, event, op, outcome, verdict, path or target is missing";
            return;
        }
    if (number(reading, "v", 0) != EVENT_VERSION && !reading->fault)
        reading->fault = "a version of the log that isn't known here (`v`)";

    const char *stamp = string(reading, "ts");
    if (!moment_read_stamp(stamp, strlen(stamp), &line->at_ms) && !reading->fault)
        reading->fault = "`ts` isn't a time such as 2026-11-22T15:48:32.463Z";
    line->operation = operation_of(string(reading, "event"), string(reading, "op"), string(reading, "action"));
    line->outcome = (enum line_outcome)word_of(line_outcomes, LINE_OUTCOMES, string(reading, "outcome"), OUTCOME_UNKNOWN);
    line->verdict = (enum line_verdict)word_of(line_verdicts, LINE_VERDICTS, string(reading, "verdict"), VERDICT_UNKNOWN);
    read_wait(reading, line);
    line->bytes = number(reading, "bytes", 0);
    line->old_inode = number(reading, "old_inode", 0);
    line->pid = (int64_t)number(reading, "pid", (uint64_t)-1);
    line->held_fd = (int64_t)number(reading, "held_fd", (uint64_t)-1);
    line->host = path(reading, "host", "host_b64");
    line->comm = path(reading, "comm", "comm_b64");
    line->exe = path(reading, "exe", "exe_b64");
    line->unit = path(reading, "unit", "unit_b64");
    line->boot_id = string(reading, "boot_id");
    line->reason = string(reading, "reason");
    line->error = string(reading, "error");
    line->stage = path(reading, "stage", "stage_b64");
    const char *target = path(reading, "target", "target_b64"), *given = path(reading, "path", "path_b64");
    line->path = *target ? target : *given ? given : line->exe;
    read_holders(reading, line);
}

static bool is_ascii(const char *text, size_t length)
{
    uint64_t word, high = 0;
    for (; length >= sizeof word; text += sizeof word, length -= sizeof word) {
        memcpy(&word, text, sizeof word);
        high |= word;
    }
    for (; length; text++, length--)
        high |= (uint64_t)(unsigned char)*text << 56 | (uint64_t)(unsigned char)*text;
    return !(high & UINT64_C(0x8080808080808080));
}

const char *line_parse(struct line *line, struct json_tokener *tokener, const char *text, size_t length, struct line_room *room)
{
    *line = (struct line){ .pid = -1, .held_fd = -1 };
    if (memchr(text, '\0', length))
        return "a NUL byte";
    /* Looking at UTF-8 byte by byte costs json-c as much again as all the rest, and nearly no line has any. */
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | (is_ascii(text, length) ? 0 : JSON_TOKENER_VALIDATE_UTF8));
    json_tokener_reset(tokener);
    struct reading reading = { .room = room };
    reading.object = json_tokener_parse_ex(tokener, text, (int)length);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error == json_tokener_continue)
        reading.fault = "it ends in the middle";
    else if (error != json_tokener_success)
        reading.fault = json_tokener_error_desc(error);
    else if (json_tokener_get_parse_end(tokener) != length)
        reading.fault = "something stands behind the object";
    else if (json_object_get_type(reading.object) != json_type_object)
        reading.fault = "it isn't a JSON object";
    else {
        reading.object = journal_entry_take(reading.object);
        read_fields(&reading, line);
    }
    json_object_put(reading.object);
    return reading.fault;
}

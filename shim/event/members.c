#include "members.h"

#include <string.h>
#include <syslog.h>

/* Behind a string that starts at `at`, or NULL. */
static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && !*++at)
            return NULL;
    return *at ? at + 1 : NULL;
}

/* Behind a value: up to the comma or bracket that ends it. */
static const char *skip_value(const char *at)
{
    size_t open = 0;
    while (*at && (open || !strchr(",}]", *at))) {
        if (*at == '"') {
            if (!(at = skip_string(at)))
                return NULL;
            continue;
        }
        open += *at == '{' || *at == '[';
        open -= *at == '}' || *at == ']';
        at++;
    }
    return *at ? at : NULL;
}

bool member_next(const char **at, struct member *member)
{
    const char *from = *at;
    if (*from != '{' && *from != ',')
        return false;
    const char *name = from + 1, *behind = *name == '"' ? skip_string(name) : NULL;
    const char *end = behind && *behind == ':' ? skip_value(behind + 1) : NULL;
    if (!end)
        return false;
    *member = (struct member){ name + 1, behind + 1, (size_t)(behind - name) - 2, (size_t)(end - behind) - 1 };
    *at = end;
    return true;
}

bool member_is(const struct member *member, const char *name)
{
    return member->name_length == strlen(name) && !memcmp(member->name, name, member->name_length);
}

static unsigned hex_value(const char *digits)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        const char *all = "0123456789abcdef", *digit = digits[i] ? strchr(all, digits[i]) : NULL;
        if (!digit)
            return ~0u;
        value = value << 4 | (unsigned)(digit - all);
    }
    return value;
}

size_t member_value(const struct member *member, char *buffer)
{
    const char *at = member->value, *end = at + member->value_length;
    size_t length = 0;
    if (at == end || *at != '"') {
        memcpy(buffer, at, member->value_length);
        return member->value_length;
    }
    for (at++, end--; at < end; at++) {
        unsigned code = *at == '\\' && at[1] == 'u' && end - at >= 6 ? hex_value(at + 2) : ~0u;
        if (code < 0x80) {
            buffer[length++] = (char)code;
            at += 5;
        } else {
            at += *at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\');
            buffer[length++] = *at;
        }
    }
    return length;
}

int member_priority(const char *line)
{
    static const struct {
        char verdict[16];
        int priority;
    } priorities[] = {
        { "\"transient\"", LOG_INFO },  { "\"replaced\"", LOG_NOTICE }, { "\"persistent\"", LOG_WARNING },
        { "\"refused\"", LOG_WARNING }, { "\"self-held\"", LOG_ERR },   { "\"failed\"", LOG_ERR },
    };
    struct member member;
    while (member_next(&line, &member))
        for (size_t i = 0; member_is(&member, "verdict") && i < sizeof priorities / sizeof *priorities; i++)
            if (member.value_length == strlen(priorities[i].verdict) &&
                !memcmp(member.value, priorities[i].verdict, member.value_length))
                return priorities[i].priority;
    return LOG_NOTICE;
}

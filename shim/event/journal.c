#include <string.h>

#include "../sys/scratch.h"
#include "../sys/text.h"
#include "datagram.h"
#include "members.h"

/* Every member grows by the prefix of its name, and by a length and two newlines where it takes the binary form. */
#define GROWTH 32
#define MEMBERS_MAX 64
#define FIELD_NAME_MAX 64 /* the journal takes no longer ones */

struct fields {
    char *at;
    size_t size, length;
};

static void add(struct fields *fields, const void *bytes, size_t length)
{
    if (length > fields->size - fields->length)
        return;
    memcpy(fields->at + fields->length, bytes, length);
    fields->length += length;
}

/* "NAME=value", or, where a value has newlines in it, "NAME", its length as a little-endian number, and the bytes. */
static void add_field(struct fields *fields, const char *name, const char *value, size_t length)
{
    add(fields, name, strlen(name));
    if (!memchr(value, '\n', length)) {
        add(fields, "=", 1);
    } else {
        unsigned char size[8];
        for (int i = 0; i < 8; i++)
            size[i] = (unsigned char)((uint64_t)length >> 8 * i);
        add(fields, "\n", 1);
        add(fields, size, sizeof size);
    }
    add(fields, value, length);
    add(fields, "\n", 1);
}

/* ETXTBSY_WAITED_MS for waited_ms; false for what can't be a field's name. */
static bool field_name(const struct member *member, char name[FIELD_NAME_MAX])
{
    struct text text = text_over(name, FIELD_NAME_MAX);
    text_add(&text, "ETXTBSY_");
    for (size_t i = 0; i < member->name_length; i++) {
        char c = member->name[i];
        bool lower = c >= 'a' && c <= 'z';
        if (!lower && c != '_' && !(c >= '0' && c <= '9'))
            return false;
        c = lower ? (char)(c - 'a' + 'A') : c;
        text_bytes(&text, &c, 1);
    }
    return !text.full;
}

void journal_send(const char *line, size_t length)
{
    size_t size = 2 * length + GROWTH * MEMBERS_MAX;
    char *buffer = scratch_map(size), *value, name[FIELD_NAME_MAX], priority;
    if (!buffer)
        return;
    /* The first part is for the fields, the rest for one value, which is never longer than the line. */
    struct fields fields = { .at = buffer, .size = size - length };
    struct member member;
    value = buffer + fields.size;
    priority = (char)('0' + member_priority(line));
    add_field(&fields, "PRIORITY", &priority, 1);
    add_field(&fields, "SYSLOG_IDENTIFIER", "etxtbsy", strlen("etxtbsy"));
    for (const char *at = line; member_next(&at, &member);)
        if (member_is(&member, "message"))
            add_field(&fields, "MESSAGE", value, member_value(&member, value));
        else if (field_name(&member, name))
            add_field(&fields, name, value, member_value(&member, value));
    datagram_send(JOURNAL_SOCKET, buffer, fields.length, true);
    scratch_unmap(buffer, size);
}

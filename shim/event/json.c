#include "json.h"

#include <string.h>

#include "../sys/text.h"

/* So that one long string can't crowd out another: five paths, their exact bytes and a message fit into 64 KiB. */
#define STRING_MAX 4096
#define PATH_STRING_MAX 6144

struct json json_begin(char *buffer, size_t size)
{
    buffer[0] = '{';
    return (struct json){ .at = buffer, .size = size, .length = 1, .string_max = STRING_MAX, .path_max = PATH_STRING_MAX };
}

static size_t room(const struct json *json)
{
    size_t used = json->length + json->open + 2;
    return used < json->size ? json->size - used : 0;
}

static bool add(struct json *json, const char *bytes, size_t length)
{
    if (length > room(json))
        return false;
    memcpy(json->at + json->length, bytes, length);
    json->length += length;
    return true;
}

/* Starts a field, or an element, whose value takes at least `least` bytes; false when there is no room for it. */
static bool begin_field(struct json *json, const char *name, const char *suffix, size_t least)
{
    size_t length = name ? strlen(name) : 0, more = strlen(suffix);
    char before = json->at[json->length - 1];
    if (length + more + 4 + least > room(json)) {
        json->full = true;
        return false;
    }
    if (before != '{' && before != '[')
        add(json, ",", 1);
    if (!name)
        return true;
    add(json, "\"", 1);
    add(json, name, length);
    add(json, suffix, more);
    add(json, "\":", 2);
    return true;
}

/* The length of the UTF-8 sequence at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or 0 if it is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                  : 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* How many characters, of at most `most`, need no thought: most strings are nothing else. */
static size_t plain_length(const unsigned char *s, size_t most)
{
    size_t length = 0;
    while (length < most && s[length] >= 0x20 && s[length] < 0x7f && s[length] != '"' && s[length] != '\\')
        length++;
    return length;
}

/*
 * Writes the string's characters between quotes, in no more than `limit` bytes; returns whether they are the string to
 * the byte: all of it, and all UTF-8.
 */
static bool add_quoted(struct json *json, const char *value, size_t limit)
{
    static const char hex[] = "0123456789abcdef";
    const size_t start = json->length;
    bool exact = true;
    add(json, "\"", 1);
    for (const unsigned char *s = (const unsigned char *)value; *s;) {
        char escaped[6];
        size_t left = room(json), used = json->length + 1 - start; /* the closing quote must fit, too */
        if (left && used < limit) {
            size_t plain = plain_length(s, left - 1 < limit - used ? left - 1 : limit - used);
            add(json, (const char *)s, plain);
            if (!*(s += plain))
                break;
        }
        size_t length = utf8_length(s), taken = length ? length : 1, written;
        if (!length) { /* \xNN for a person to read; the backslash is doubled, as JSON wants it */
            exact = false;
            memcpy(escaped, (char[]){ '\\', '\\', 'x', hex[*s >> 4], hex[*s & 15] }, written = 5);
        } else if (*s == '"' || *s == '\\') {
            memcpy(escaped, (char[]){ '\\', (char)*s }, written = 2);
        } else if (*s < 0x20 || *s == 0x7f) {
            memcpy(escaped, (char[]){ '\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15] }, written = 6);
        } else {
            memcpy(escaped, s, written = length);
        }
        bool fits = written + 1 <= room(json);
        if (!fits || json->length + written + 1 - start > limit) {
            json->full |= !fits;
            exact = false;
            break;
        }
        add(json, escaped, written);
        s += taken;
    }
    add(json, "\"", 1);
    return exact;
}

void json_string(struct json *json, const char *name, const char *value)
{
    if (value && begin_field(json, name, "", 2))
        add_quoted(json, value, json->string_max);
}

static void add_base64(struct json *json, const char *value)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = (const unsigned char *)value;
    size_t left = strlen(value);
    add(json, "\"", 1);
    while (left && room(json) > 4) {
        size_t take = left < 3 ? left : 3;
        uint32_t bits = (uint32_t)s[0] << 16 | (take > 1 ? (uint32_t)s[1] << 8 : 0) | (take > 2 ? s[2] : 0);
        char group[4] = { digits[bits >> 18], digits[bits >> 12 & 63], take > 1 ? digits[bits >> 6 & 63] : '=',
                          take > 2 ? digits[bits & 63] : '=' };
        add(json, group, 4);
        s += take;
        left -= take;
    }
    add(json, "\"", 1);
}

void json_path(struct json *json, const char *name, const char *path)
{
    if (!path || !begin_field(json, name, "", 2))
        return;
    bool exact = add_quoted(json, path, json->path_max);
    /* Half a base64 string would be a wrong path: all of it or none. */
    size_t encoded = strlen(path) / 3 * 4 + 8;
    if (!exact && name && encoded <= json->path_max && begin_field(json, name, "_b64", encoded))
        add_base64(json, path);
}

void json_number(struct json *json, const char *name, uint64_t value)
{
    char digits[24];
    struct text text = TEXT(digits);
    text_number(&text, value);
    if (begin_field(json, name, "", text.length))
        add(json, digits, text.length);
}

void json_thousandths(struct json *json, const char *name, uint64_t value)
{
    char digits[32];
    struct text text = TEXT(digits);
    text_number(&text, value / 1000);
    text_add(&text, ".");
    text_padded(&text, value % 1000, 3);
    if (begin_field(json, name, "", text.length))
        add(json, digits, text.length);
}

void json_boolean(struct json *json, const char *name, bool value)
{
    const char *word = value ? "true" : "false";
    if (begin_field(json, name, "", strlen(word)))
        add(json, word, strlen(word));
}

static bool open_bracket(struct json *json, const char *name, const char *bracket)
{
    if (!begin_field(json, name, "", 2))
        return false;
    add(json, bracket, 1);
    json->open++;
    return true;
}

bool json_open_object(struct json *json, const char *name)
{
    return open_bracket(json, name, "{");
}

bool json_open_array(struct json *json, const char *name)
{
    return open_bracket(json, name, "[");
}

static void close_bracket(struct json *json, char bracket)
{
    json->at[json->length++] = bracket;
    json->open--;
}

void json_close_object(struct json *json)
{
    close_bracket(json, '}');
}

void json_close_array(struct json *json)
{
    close_bracket(json, ']');
}

size_t json_end(struct json *json)
{
    json->at[json->length++] = '}';
    json->at[json->length++] = '\n';
    return json->length;
}

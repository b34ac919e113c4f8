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

/* Byte by byte: names are short. */
static char *put(char *at, const char *string)
{
    while (*string)
        *at++ = *string++;
    return at;
}

/* Starts a field, or an element, whose value takes at least `least` bytes; false when there is no room for it. */
static bool begin_field(struct json *json, const char *name, const char *suffix, size_t least)
{
    size_t length = name ? strlen(name) + strlen(suffix) : 0;
    char *at = json->at + json->length;
    if (length + 4 + least > room(json)) {
        json->full = true;
        return false;
    }
    if (at[-1] != '{' && at[-1] != '[')
        *at++ = ',';
    if (name) {
        *at++ = '"';
        at = put(put(put(at, name), suffix), "\":");
    }
    json->length = (size_t)(at - json->at);
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

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The same of eight at once: the top bit of a byte says that it is below 0x20, or what it was compared with, or no ASCII. */
static bool are_plain(uint64_t eight)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t quote = eight ^ each * '"', backslash = eight ^ each * '\\', delete = eight ^ each * 0x7f;
    return !((eight | (eight - each * 0x20) | (quote - each) | (backslash - each) | (delete - each)) & each * 0x80);
}

/* Copies characters that need no thought, as far as there are any: most strings are nothing else. Returns how many. */
static size_t copy_plain(char *to, const unsigned char *from, size_t most)
{
    size_t length = 0;
    for (uint64_t eight; length + sizeof eight <= most; length += sizeof eight) {
        memcpy(&eight, from + length, sizeof eight);
        if (!are_plain(eight))
            break;
        memcpy(to + length, &eight, sizeof eight);
    }
    for (; length < most && is_plain(from[length]); length++)
        to[length] = (char)from[length];
    return length;
}

/* One character as JSON has it, in at most 6 bytes; returns how many. One that isn't UTF-8: \xNN for a person to read. */
static size_t escape(char to[6], const unsigned char *s, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    const char high = hex[*s >> 4], low = hex[*s & 15];
    if (!length) { /* the backslash is doubled, as JSON wants it */
        memcpy(to, (char[]){ '\\', '\\', 'x', high, low }, 5);
        return 5;
    }
    if (*s == '"' || *s == '\\') {
        memcpy(to, (char[]){ '\\', (char)*s }, 2);
        return 2;
    }
    if (*s < 0x20 || *s == 0x7f) {
        memcpy(to, (char[]){ '\\', 'u', '0', '0', high, low }, 6);
        return 6;
    }
    memcpy(to, s, length);
    return length;
}

/*
 * Writes the string's characters between quotes, in no more than `limit` bytes; returns whether they are the string to
 * the byte: all of it, and all UTF-8.
 */
static bool add_quoted(struct json *json, const char *value, size_t limit)
{
    const unsigned char *s = (const unsigned char *)value, *const behind = s + strlen(value);
    char *at = json->at + json->length, *const last = at + room(json) - 1; /* where the closing quote may stand at last */
    char *const end = limit < room(json) ? at + (limit > 1 ? limit - 1 : 1) : last;
    bool exact = true;
    *at++ = '"';
    while (s < behind) {
        size_t plain = copy_plain(at, s, (size_t)(end - at < behind - s ? end - at : behind - s));
        at += plain;
        if ((s += plain) == behind)
            break;
        char escaped[6];
        size_t length = utf8_length(s), written = escape(escaped, s, length);
        exact &= length > 0;
        if (at + written > end) {
            json->full |= at + written > last;
            exact = false;
            break;
        }
        memcpy(at, escaped, written);
        at += written;
        s += length ? length : 1;
    }
    *at++ = '"';
    json->length = (size_t)(at - json->at);
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
    if (add_quoted(json, path, json->path_max) || !name)
        return;
    /* Half a base64 string would be a wrong path: all of it or none. */
    size_t encoded = strlen(path) / 3 * 4 + 8;
    if (encoded <= json->path_max && begin_field(json, name, "_b64", encoded))
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

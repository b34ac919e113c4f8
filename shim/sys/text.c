#include "text.h"

#include <string.h>

#include "call.h"

struct text text_over(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct text){ .at = buffer, .size = size };
}

void text_bytes(struct text *text, const char *bytes, size_t length)
{
    if (length >= text->size - text->length) {
        text->full = true;
        return;
    }
    memcpy(text->at + text->length, bytes, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

static void add_in_base(struct text *text, uint64_t number, unsigned base, int digits)
{
    char buffer[32];
    int at = sizeof buffer;
    do {
        buffer[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while ((number || (int)sizeof buffer - at < digits) && at > 0);
    text_bytes(text, buffer + at, sizeof buffer - (size_t)at);
}

void text_number(struct text *text, uint64_t number)
{
    add_in_base(text, number, 10, 1);
}

void text_signed(struct text *text, int64_t number)
{
    if (number < 0)
        text_add(text, "-");
    add_in_base(text, number < 0 ? -(uint64_t)number : (uint64_t)number, 10, 1);
}

void text_padded(struct text *text, uint64_t number, int digits)
{
    add_in_base(text, number, 10, digits);
}

void text_hex(struct text *text, uint64_t number, int digits)
{
    add_in_base(text, number, 16, digits);
}

bool text_to_number(const char *string, size_t length, uint64_t *number)
{
    uint64_t value = 0;
    if (!length)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(string[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

AT_START const char *text_base(const char *path)
{
    const char *base = path;
    for (; *path; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

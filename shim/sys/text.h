/*
 * Bounded text: a buffer that is filled from the left, is always terminated, and remembers when something didn't fit.
 * Safe anywhere; allocates nothing.
 */
#ifndef SYS_TEXT_H
#define SYS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *at;
    size_t size, length;
    bool full;
};

/* A text over a whole array, empty. */
#define TEXT(array) text_over((array), sizeof(array))

struct text text_over(char *buffer, size_t size);

/* What doesn't fit whole is left out, and `full` says so. */
void text_bytes(struct text *, const char *bytes, size_t length);
void text_add(struct text *, const char *string);
void text_number(struct text *, uint64_t number);
void text_signed(struct text *, int64_t number);
void text_padded(struct text *, uint64_t number, int digits);
void text_hex(struct text *, uint64_t number, int digits);

/* Reads a decimal number that takes up all `length` bytes; false for anything else, also for more than 64 bits. */
bool text_to_number(const char *string, size_t length, uint64_t *number);

/*
 * What `string` has behind `start`, or NULL if it doesn't begin so. It calls nothing: the constructor asks it in every process that
 * starts.
 */
static inline const char *text_behind(const char *string, const char *start)
{
    for (; *start; string++, start++)
        if (*string != *start)
            return NULL;
    return string;
}

/* Likewise; whether they are the same. */
static inline bool text_is(const char *string, const char *other)
{
    const char *rest = text_behind(string, other);
    return rest && !*rest;
}

/* The last component of a path: behind the last slash. */
const char *text_base(const char *path);

#endif

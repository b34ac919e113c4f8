/*
 * String functions of this library's own, under libc's names. Each name that a library takes from libc costs every process that
 * starts 13 instructions (x86-64, glibc 2.36), and more bytes than these do; where speed counts, memcmp, memmove and strlen are
 * libc's.
 *
 * The compiler calls memcpy wherever it likes. libc's has a symbol version of its own (2.14), and each version that a library asks
 * for is looked for in every process that starts (350 instructions); memmove's is one that is needed anyway.
 */
#include <string.h>

void *memcpy(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

size_t strnlen(const char *string, size_t size)
{
    size_t length = 0;
    while (length < size && string[length])
        length++;
    return length;
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (; size && *a && *a == *b; size--)
        a++, b++;
    return size ? (unsigned char)*a - (unsigned char)*b : 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, (size_t)-1);
}

void *memchr(const void *memory, int character, size_t size)
{
    for (const unsigned char *at = memory; size; at++, size--)
        if (*at == (unsigned char)character)
            return (void *)at;
    return NULL;
}

char *strchr(const char *string, int character)
{
    return memchr(string, character, strlen(string) + 1);
}

char *strrchr(const char *string, int character)
{
    const char *last = NULL;
    for (const char *at = string; (at = strchr(at, character)); at++) {
        last = at;
        if (!*at)
            break;
    }
    return (char *)last;
}

size_t strcspn(const char *string, const char *reject)
{
    size_t length = 0;
    while (string[length] && !strchr(reject, string[length]))
        length++;
    return length;
}

size_t strspn(const char *string, const char *accept)
{
    size_t length = 0;
    while (string[length] && strchr(accept, string[length]))
        length++;
    return length;
}

char *strstr(const char *string, const char *wanted)
{
    size_t length = strlen(wanted);
    for (; strncmp(string, wanted, length); string++)
        if (!*string)
            return NULL;
    return (char *)string;
}

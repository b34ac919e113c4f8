#include "name.h"

#include <string.h>

#include "../sys/text.h"

#define MARK ".etxtbsy-"
#define RANDOM_DIGITS 12
#define PID_DIGITS_MAX 10

void stage_name_make(char name[NAME_MAX + 1], const char *base, pid_t creator, uint64_t random)
{
    const size_t most = NAME_MAX - 1 - strlen(MARK) - PID_DIGITS_MAX - 1 - RANDOM_DIGITS;
    size_t length = strlen(base);
    struct text text = text_over(name, NAME_MAX + 1);
    text_add(&text, ".");
    text_bytes(&text, base, length < most ? length : most);
    text_add(&text, MARK);
    text_number(&text, (uint64_t)creator);
    text_add(&text, length > most ? "+" : "-");
    text_hex(&text, random & (UINT64_C(0xffffffffffff)), RANDOM_DIGITS);
}

bool stage_name_parse(const char *name, struct stage_name *parsed)
{
    size_t length = strlen(name);
    if (name[0] != '.' || length > NAME_MAX || length < RANDOM_DIGITS + 1)
        return false;

    const char *separator = name + length - RANDOM_DIGITS - 1;
    if ((*separator != '-' && *separator != '+') || strspn(separator + 1, "0123456789abcdef") != RANDOM_DIGITS)
        return false;

    const char *digits = separator;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    uint64_t pid;
    if (digits == separator || digits[0] == '0' || !text_to_number(digits, (size_t)(separator - digits), &pid) || pid > INT32_MAX)
        return false;

    const size_t mark = strlen(MARK);
    if ((size_t)(digits - name) < mark + 2 || memcmp(digits - mark, MARK, mark))
        return false;
    *parsed = (struct stage_name){
        .base_length = (size_t)(digits - name) - mark - 1, .whole = *separator == '-', .creator = (pid_t)pid,
    };
    return true;
}

#include "name.h"

#include <string.h>

#include "../sys/text.h"

#define MARK ".etxtbsy-"
#define KEPT "kept-"
#define WAS "was-"
#define DIGITS 12
#define PID_DIGITS_MAX 10
#define BASE_MAX (NAME_MAX - 1 - strlen(MARK) - strlen(KEPT) - 1 - PID_DIGITS_MAX - 1 - DIGITS)

static const char kind_letters[][2] = { [STAGE_OF_BUSY] = "", [STAGE_OF_IDLE] = "i", [STAGE_OF_NEW] = "n" };

void stage_name_make(char name[NAME_MAX + 1], const char *base, enum stage_kind kind, pid_t creator, uint64_t number)
{
    size_t length = strlen(base);
    struct text text = text_over(name, NAME_MAX + 1);
    text_add(&text, ".");
    text_bytes(&text, base, length < BASE_MAX ? length : BASE_MAX);
    text_add(&text, MARK);
    text_add(&text, kind_letters[kind]);
    text_number(&text, (uint64_t)creator);
    text_add(&text, length > BASE_MAX ? "+" : "-");
    text_hex(&text, number & (UINT64_C(0xffffffffffff)), DIGITS);
}

void stage_name_keep(char kept[NAME_MAX + 1], const char *name)
{
    struct text text = text_over(kept, NAME_MAX + 1);
    const char *mark = name, *next;
    while ((next = strstr(mark + 1, MARK)))
        mark = next;
    text_bytes(&text, name, (size_t)(mark - name) + strlen(MARK));
    text_add(&text, KEPT);
    text_add(&text, mark + strlen(MARK));
}

/* Reads a name of which `mark` stands before the pid. */
static bool parse(const char *name, const char *mark, struct stage_name *parsed)
{
    size_t length = strlen(name);
    if (name[0] != '.' || length > NAME_MAX || length < DIGITS + 1)
        return false;

    const char *separator = name + length - DIGITS - 1;
    if ((*separator != '-' && *separator != '+') || strspn(separator + 1, "0123456789abcdef") != DIGITS)
        return false;

    const char *digits = separator;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    uint64_t pid;
    if (digits == separator || digits[0] == '0' || !text_to_number(digits, (size_t)(separator - digits), &pid) || pid > INT32_MAX)
        return false;

    unsigned origin = 0;
    for (const char *digit = name + length - STAGE_ORIGIN_BITS / 4; *digit; digit++)
        origin = origin << 4 | (unsigned)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);

    enum stage_kind kind = digits[-1] == 'i' ? STAGE_OF_IDLE : digits[-1] == 'n' ? STAGE_OF_NEW : STAGE_OF_BUSY;
    digits -= kind != STAGE_OF_BUSY;
    const size_t mark_length = strlen(mark);
    if ((size_t)(digits - name) < mark_length + 2 || memcmp(digits - mark_length, mark, mark_length))
        return false;
    *parsed = (struct stage_name){
        .kind = kind,
        .base_length = (size_t)(digits - name) - mark_length - 1,
        .whole = *separator == '-',
        .creator = (pid_t)pid,
        .origin = origin,
    };
    return parsed->whole ? parsed->base_length <= BASE_MAX : parsed->base_length == BASE_MAX;
}

bool stage_name_parse(const char *name, struct stage_name *parsed)
{
    return parse(name, MARK, parsed);
}

bool stage_name_is_kept(const char *name)
{
    struct stage_name parsed;
    return parse(name, MARK KEPT, &parsed);
}

bool generation_name_make(char name[NAME_MAX + 1], const char *base, uint64_t number)
{
    struct text text = text_over(name, NAME_MAX + 1);
    text_add(&text, ".");
    text_add(&text, base);
    text_add(&text, MARK WAS);
    text_number(&text, number);
    return !text.full && number && number <= GENERATION_MAX;
}

uint64_t generation_name_parse(const char *name, const char *base)
{
    const char *digits = name + strlen(name);
    const size_t mark = strlen(MARK WAS);
    uint64_t number;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    if (name[0] != '.' || digits[0] == '0' || !text_to_number(digits, strlen(digits), &number) || number > GENERATION_MAX)
        return 0;
    size_t before = (size_t)(digits - name);
    if (before < mark + 2 || memcmp(digits - mark, MARK WAS, mark))
        return 0;
    if (base && (strlen(base) != before - mark - 1 || memcmp(name + 1, base, before - mark - 1)))
        return 0;
    return number;
}

bool stage_name_is_of(const char *name, const struct stage_name *parsed, const char *base)
{
    size_t length = strlen(base);
    return (parsed->whole ? length == parsed->base_length : length > parsed->base_length) &&
           !memcmp(name + 1, base, parsed->base_length);
}

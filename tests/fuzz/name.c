/*
 * The parser of stage names. What it accepts is exactly what stage_name_make makes, and what that makes it takes apart into the
 * same parts. A kept stage is nobody's.
 */
#include <stdlib.h>
#include <string.h>

#include "../../shim/stage/name.h"

#define RANDOM_DIGITS 12

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void keep(const char *name)
{
    char kept[NAME_MAX + 1];
    struct stage_name parsed;
    stage_name_keep(kept, name);
    must(strlen(kept) <= NAME_MAX && kept[0] == '.' && !stage_name_parse(kept, &parsed));
}

static void parse_any(const char *name)
{
    struct stage_name parsed;
    if (!stage_name_parse(name, &parsed))
        return;
    /* Made again from its parts. What was cut off a base is any byte. */
    char base[NAME_MAX + 2] = "", again[NAME_MAX + 1];
    must(parsed.base_length && parsed.base_length + 1 < strlen(name) && parsed.creator > 0);
    memcpy(base, name + 1, parsed.base_length);
    strcpy(base + parsed.base_length, parsed.whole ? "" : "x");
    stage_name_make(again, base, parsed.kind, parsed.creator, strtoull(name + strlen(name) - RANDOM_DIGITS, NULL, 16));
    must(!strcmp(name, again));
    keep(name);
}

static void make(const char *base, enum stage_kind kind, pid_t creator, uint64_t random)
{
    char name[NAME_MAX + 1];
    struct stage_name parsed;
    stage_name_make(name, base, kind, creator, random);
    must(stage_name_parse(name, &parsed));
    must(parsed.kind == kind && parsed.creator == creator && parsed.whole == (parsed.base_length == strlen(base)));
    must(!memcmp(name + 1, base, parsed.base_length));
    keep(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[2 * NAME_MAX + 1];
    size_t length = size < sizeof name - 1 ? size : sizeof name - 1;
    memcpy(name, data, length);
    name[length] = '\0';
    parse_any(name);

    uint32_t number = 0;
    for (size_t i = 0; i < strlen(name); i++) {
        number = number * 31 + (unsigned char)name[i];
        if (name[i] == '/')
            name[i] = '_';
    }
    name[NAME_MAX] = '\0';
    if (name[0])
        make(name, (enum stage_kind)(number % 3), (pid_t)(number % INT32_MAX + (number % INT32_MAX == 0)),
             number * UINT64_C(0x9e3779b97f4a7c15));
    return 0;
}

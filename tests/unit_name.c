#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../shim/stage/name.h"

static char *repeated(char *buffer, char c, size_t length)
{
    memset(buffer, c, length);
    buffer[length] = '\0';
    return buffer;
}

Test(name, comes_back_as_it_was_made)
{
    static const char *const bases[] = {
        "app", "a", ".hidden", "a-b+c", "app.etxtbsy-12-0123456789ab", "x.conf", "\xff\n", "1", "-",
    };
    static const pid_t creators[] = { 1, 42, 4194304, INT32_MAX };
    static const uint64_t randoms[] = { 0, 1, UINT64_MAX, 0x123456789abcdef0 };
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (size_t c = 0; c < sizeof creators / sizeof *creators; c++)
            for (size_t r = 0; r < 3 * sizeof randoms / sizeof *randoms; r++) {
                char name[NAME_MAX + 1];
                struct stage_name parsed;
                enum stage_kind kind = (enum stage_kind)(r % 3);
                stage_name_make(name, bases[b], kind, creators[c], randoms[r / 3]);
                cr_assert(stage_name_parse(name, &parsed), "%s", name);
                cr_expect_eq(parsed.kind, kind, "%s", name);
                cr_expect_eq(parsed.base_length, strlen(bases[b]), "%s", name);
                cr_expect_arr_eq(name + 1, bases[b], strlen(bases[b]), "%s", name);
                cr_expect(parsed.whole, "%s", name);
                cr_expect_eq(parsed.creator, creators[c], "%s", name);
            }
}

Test(name, of_what_is_kept_is_not_a_stage)
{
    static const char *const bases[] = { "app", "a.etxtbsy-1-0123456789ab", ".etxtbsy-" };
    char longest[NAME_MAX + 1], name[NAME_MAX + 1], kept[NAME_MAX + 1], expected[2 * NAME_MAX];
    struct stage_name parsed;
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++) {
        stage_name_make(name, bases[b], STAGE_OF_BUSY, 42, 7);
        stage_name_keep(kept, name);
        snprintf(expected, sizeof expected, ".%s.etxtbsy-kept-42-000000000007", bases[b]);
        cr_expect_str_eq(kept, expected);
        cr_expect_not(stage_name_parse(kept, &parsed), "%s", kept);
    }
    stage_name_make(name, repeated(longest, 'b', NAME_MAX), STAGE_OF_BUSY, INT32_MAX, 7);
    stage_name_keep(kept, name);
    cr_expect_eq(strlen(kept), strlen(name) + strlen("kept-"), "cut: %s", kept);
    cr_expect_not(stage_name_parse(kept, &parsed));
}

Test(name, looks_as_documented)
{
    char name[NAME_MAX + 1];
    stage_name_make(name, "app", STAGE_OF_BUSY, 42, UINT64_C(0xffff123456789abc));
    cr_expect_str_eq(name, ".app.etxtbsy-42-123456789abc");
    stage_name_make(name, "app", STAGE_OF_IDLE, 42, 7);
    cr_expect_str_eq(name, ".app.etxtbsy-i42-000000000007");
    stage_name_make(name, "app", STAGE_OF_NEW, 42, 7);
    cr_expect_str_eq(name, ".app.etxtbsy-n42-000000000007");
}

Test(name, has_the_base_cut_where_it_would_be_too_long)
{
    for (size_t length = 200; length <= NAME_MAX; length++) {
        char base[NAME_MAX + 1], name[2 * NAME_MAX];
        struct stage_name parsed;
        repeated(base, 'b', length);
        stage_name_make(name, base, STAGE_OF_NEW, INT32_MAX, 7);
        cr_assert_leq(strlen(name), NAME_MAX, "base of %zu", length);
        cr_assert(stage_name_parse(name, &parsed), "base of %zu: %s", length, name);
        if (parsed.whole)
            cr_expect_eq(parsed.base_length, length);
        else
            cr_expect_lt(parsed.base_length, length);
        cr_expect_eq(strchr(name, '+') != NULL, !parsed.whole);
        cr_expect_eq(parsed.creator, INT32_MAX);
        if (length <= 216) /* as much as there is room for beside the kind, the longest pid and "kept-" */
            cr_expect(parsed.whole, "base of %zu was cut for nothing", length);
    }
}

Test(name, is_not_any_other)
{
    static const char *const near[] = {
        "",
        ".",
        "..",
        "app",
        ".app",
        "app.etxtbsy-42-0123456789ab",
        ".etxtbsy-42-0123456789ab",
        "..etxtbsy-42-0123456789ab",
        ".app.etxtbsy-42-0123456789a",
        ".app.etxtbsy-42-0123456789abc",
        ".app.etxtbsy-42-0123456789aB",
        ".app.etxtbsy-42-0123456789ag",
        ".app.etxtbsy-42-0123456789ab ",
        ".app.etxtbsy-42-0123456789ab.conf",
        ".app.etxtbsy-42_0123456789ab",
        ".app.etxtbsy-42=0123456789ab",
        ".app.etxtbsy--0123456789ab",
        ".app.etxtbsy-0-0123456789ab",
        ".app.etxtbsy-042-0123456789ab",
        ".app.etxtbsy--42-0123456789ab",
        ".app.etxtbsy-x42-0123456789ab",
        ".app.etxtbsy-in42-0123456789ab",
        ".app.etxtbsy-i-0123456789ab",
        ".app.etxtbsy-4x-0123456789ab",
        ".app.etxtbsy-2147483648-0123456789ab",
        ".app.etxtbsy-99999999999999999999-0123456789ab",
        ".app.etxtbsx-42-0123456789ab",
        ".app-etxtbsy-42-0123456789ab",
        ".appetxtbsy-42-0123456789ab",
        "-0123456789ab",
        ".0123456789ab",
        ".42-0123456789ab",
    };
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct stage_name parsed;
        cr_expect_not(stage_name_parse(near[i], &parsed), "took %s for a stage", near[i]);
    }
}

/* A sweep removes what has a stage's name: it must not be wider than what we make. */
Test(name, with_a_plus_is_as_long_as_a_cut_makes_it)
{
    struct stage_name parsed;
    cr_expect_not(stage_name_parse(".app.etxtbsy-42+0123456789ab", &parsed), "a base of three bytes is never cut");
}

Test(name, is_not_longer_than_a_name_can_be)
{
    char name[NAME_MAX + 64], base[NAME_MAX + 1];
    struct stage_name parsed;
    int length = snprintf(name, sizeof name, ".%s.etxtbsy-42-0123456789ab", repeated(base, 'b', NAME_MAX));
    cr_assert_gt(length, NAME_MAX);
    cr_expect_not(stage_name_parse(name, &parsed));
}

Test(name, of_a_generation_comes_back_as_it_was_made)
{
    static const char *const bases[] = {
        "app", "a", ".hidden", "1", "-", "app.etxtbsy-12-0123456789ab", "app.etxtbsy-was-3", ".etxtbsy-was-", "\xff\n",
    };
    static const uint64_t numbers[] = { 1, 2, 9, 10, 123456789, 999999999 };
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            char name[NAME_MAX + 1];
            struct stage_name parsed;
            cr_assert(generation_name_make(name, bases[b], numbers[n]));
            cr_expect_eq(generation_name_parse(name, bases[b]), numbers[n], "%s", name);
            cr_expect_eq(generation_name_parse(name, NULL), numbers[n], "%s", name);
            cr_expect_eq(generation_name_parse(name, "ap"), 0, "%s", name);
            cr_expect_eq(generation_name_parse(name, "apps"), 0, "%s", name);
            cr_expect_not(stage_name_parse(name, &parsed), "a sweep would remove %s", name);
            cr_expect_not(stage_name_is_kept(name), "%s", name);
        }
    char name[NAME_MAX + 1];
    generation_name_make(name, "app", 12);
    cr_expect_str_eq(name, ".app.etxtbsy-was-12");
    cr_expect_not(generation_name_make(name, "app", 0));
    cr_expect_not(generation_name_make(name, "app", GENERATION_MAX + 1));
}

Test(name, of_a_generation_is_not_any_other)
{
    static const char *const near[] = {
        "",
        ".",
        "7",
        ".7",
        "app",
        "app.etxtbsy-was-1",
        ".etxtbsy-was-1",
        ".app.etxtbsy-was-",
        ".app.etxtbsy-was-0",
        ".app.etxtbsy-was-01",
        ".app.etxtbsy-was--1",
        ".app.etxtbsy-was-1a",
        ".app.etxtbsy-was-1000000000",
        ".app.etxtbsy-was-99999999999999999999999",
        ".app.etxtbsy-was-1.conf",
        ".app.etxtbsy-1",
        ".app.etxtbsy-42-0123456789ab",
        ".app.etxtbsy-42-012345678901",
        ".app.etxtbsy-kept-42-012345678901",
    };
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        cr_expect_eq(generation_name_parse(near[i], NULL), 0, "took %s for a generation", near[i]);
        cr_expect_eq(generation_name_parse(near[i], "app"), 0, "took %s for a generation", near[i]);
    }
}

Test(name, of_what_is_kept_is_known)
{
    char name[NAME_MAX + 1], kept[NAME_MAX + 1];
    stage_name_make(name, "app", STAGE_OF_BUSY, 42, 7);
    cr_expect_not(stage_name_is_kept(name));
    stage_name_keep(kept, name);
    cr_expect(stage_name_is_kept(kept));
    cr_expect_not(stage_name_is_kept(".app.etxtbsy-kept-42-01234567890"));
    cr_expect_not(stage_name_is_kept("app.etxtbsy-kept-42-0123456789ab"));
}

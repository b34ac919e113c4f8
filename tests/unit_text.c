#include <criterion/criterion.h>
#include <string.h>

#include "../shim/sys/text.h"

Test(text, leaves_out_what_does_not_fit_whole)
{
    static const struct {
        size_t size;
        const char *first, *second, *expected;
        bool full;
    } rows[] = {
        { 8, "abc", "defg", "abcdefg", false },
        { 8, "abc", "defgh", "abc", true },
        { 1, "", "", "", false },
        { 1, "a", "", "", true },
        { 4, "abcd", "e", "e", true }, /* a short piece still goes in: the reader of `full` decides what that means */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buffer[16];
        memset(buffer, 'X', sizeof buffer);
        struct text text = text_over(buffer, rows[i].size);
        text_add(&text, rows[i].first);
        text_add(&text, rows[i].second);
        cr_expect_str_eq(buffer, rows[i].expected, "row %zu", i);
        cr_expect_eq(text.full, rows[i].full, "row %zu", i);
        cr_expect_eq(text.length, strlen(buffer), "row %zu", i);
        cr_expect_eq(buffer[rows[i].size], 'X', "row %zu wrote behind its end", i);
    }
}

Test(text, writes_numbers)
{
    char buffer[128];
    struct text text = TEXT(buffer);
    text_number(&text, 0);
    text_add(&text, " ");
    text_number(&text, UINT64_MAX);
    text_add(&text, " ");
    text_signed(&text, INT64_MIN);
    text_add(&text, " ");
    text_signed(&text, -1);
    text_add(&text, " ");
    text_padded(&text, 7, 3);
    text_add(&text, " ");
    text_padded(&text, 12345, 3);
    text_add(&text, " ");
    text_hex(&text, 0xbeef, 12);
    text_add(&text, " ");
    text_hex(&text, UINT64_MAX, 1);
    cr_expect_str_eq(buffer, "0 18446744073709551615 -9223372036854775808 -1 007 12345 00000000beef ffffffffffffffff");
    cr_expect_not(text.full);
}

Test(text, reads_numbers)
{
    static const struct {
        const char *string;
        bool valid;
        uint64_t number;
    } rows[] = {
        { "0", true, 0 },
        { "007", true, 7 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false },
        { "18446744073709551620", false },
        { "99999999999999999999", false },
        { "", false },
        { "-1", false },
        { "+1", false },
        { " 1", false },
        { "1 ", false },
        { "0x10", false },
        { "1.5", false },
        { "\xb2", false }, /* a byte above 127 must not wrap into a digit */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t number = 42;
        bool valid = text_to_number(rows[i].string, strlen(rows[i].string), &number);
        cr_expect_eq(valid, rows[i].valid, "\"%s\"", rows[i].string);
        cr_expect_eq(number, rows[i].valid ? rows[i].number : 42, "\"%s\" gave %lu", rows[i].string, (unsigned long)number);
    }
}

Test(text, reads_only_as_many_bytes_as_it_is_given)
{
    uint64_t number = 0;
    cr_expect(text_to_number("123x", 3, &number));
    cr_expect_eq(number, 123);
}

Test(text, finds_the_last_component)
{
    cr_expect_str_eq(text_base("/usr/bin/cp"), "cp");
    cr_expect_str_eq(text_base("cp"), "cp");
    cr_expect_str_eq(text_base("/"), "");
    cr_expect_str_eq(text_base("/usr/"), "");
    cr_expect_str_eq(text_base(""), "");
}

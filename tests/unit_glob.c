#include <criterion/criterion.h>

#include "../shim/policy/glob.h"

struct row {
    const char *pattern, *path;
    bool expected;
};

static const struct row rows[] = {
    { "/usr/bin/cp", "/usr/bin/cp", true },
    { "/usr/bin/cp", "/usr/bin/cpp", false },
    { "/usr/bin/*", "/usr/bin/cp", true },
    { "/usr/bin/*", "/usr/bin/a/cp", false },
    { "/usr/**", "/usr/bin/a/cp", true },
    { "/usr/local/bin/**", "/usr/local/bin/x", true },
    { "/usr/local/bin/**", "/usr/local/sbin/x", false },
    { "**/lib*.so*", "/usr/lib/x86_64/libfoo.so.1", true },
    { "**/lib*.so*", "/usr/lib/x86_64/foo.so.1", false },
    { "/a/**/z", "/a/b/c/z", true },
    { "/a/*/z", "/a/b/c/z", false },
    { "/a/**/*.so", "/a/b/c/d.so", true },
    { "?p", "cp", true },
    { "?p", "/p", false },
    { "[a-c]p", "bp", true },
    { "[!a-c]p", "bp", false },
    { "[a-c]p", "dp", false },
    { "[]x", "[]x", true },
    { "\\*", "*", true },
    { "\\*", "x", false },
    { "*", "", true },
    { "", "", true },
    { "", "x", false },
    { "x", "", false },
    { "*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    { "**a**a**a**a**b", "aaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaa", false },
};

Test(glob, matches_as_documented)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(glob_match(rows[i].pattern, rows[i].path), rows[i].expected, "%s on %s: expected %d", rows[i].pattern,
                     rows[i].path, rows[i].expected);
}

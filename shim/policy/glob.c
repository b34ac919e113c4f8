#include "glob.h"

#include <stddef.h>

/* Matches one byte against the element at *pattern, and moves *pattern behind it. */
static bool match_one(const char **pattern, char byte)
{
    const char *p = *pattern;
    if (*p == '?') {
        *pattern = p + 1;
        return byte != '/';
    }
    if (*p == '[') {
        bool inverted = p[1] == '!' || p[1] == '^', found = false;
        const char *at = p + 1 + inverted;
        do {
            if (!*at)
                goto literal; /* no closing bracket: the bracket stands for itself */
            char low = *at, high = low;
            if (at[1] == '-' && at[2] && at[2] != ']') {
                high = at[2];
                at += 2;
            }
            found |= byte >= low && byte <= high;
            at++;
        } while (*at != ']');
        *pattern = at + 1;
        return found != inverted && byte != '/';
    }
    if (*p == '\\' && p[1])
        p++;
literal:
    *pattern = p + 1;
    return *p == byte;
}

/*
 * Goes through the path once, and back only to the last star of each kind: a failure behind a `*` can be mended by letting
 * that star take one byte more, and when it meets a slash, by letting the last `**` do so. No recursion, no exponential time.
 */
bool glob_match(const char *pattern, const char *path)
{
    const char *star = NULL, *star_path = NULL;
    const char *stars = NULL, *stars_path = NULL;

    while (*path || *pattern) {
        if (pattern[0] == '*' && pattern[1] == '*') {
            pattern += 2;
            stars = pattern;
            stars_path = path;
            star = NULL;
            continue;
        }
        if (*pattern == '*') {
            star = ++pattern;
            star_path = path;
            continue;
        }
        if (*path && *pattern && match_one(&pattern, *path)) {
            path++;
            continue;
        }
        if (star && *star_path && *star_path != '/') {
            pattern = star;
            path = ++star_path;
            continue;
        }
        if (stars && *stars_path) {
            star = NULL;
            pattern = stars;
            path = ++stars_path;
            continue;
        }
        return false;
    }
    return true;
}

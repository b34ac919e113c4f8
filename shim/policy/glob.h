/*
 * Path patterns: `*` and `?` stay within one component, `**` crosses them, `[a-z]` and `[!a-z]` are one byte of a set,
 * a backslash takes the next byte as it is. Compared byte by byte, whatever the locale. Safe anywhere.
 */
#ifndef POLICY_GLOB_H
#define POLICY_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *path);

#endif

/*
 * The least that can be done by hand for `cp` over a program that runs: the file is written without a name, and has the target's
 * when it is closed. No owner, no mode, no links, no other process, no errors: what a redirect costs whoever forgets all that.
 */
#include <stdio.h>
#include <unistd.h>

#include "by_hand.h"

#define NAME "swapped.new"

static int make_stage(const char *path)
{
    (void)path;
    return libcs_openat(AT_FDCWD, ".", O_TMPFILE | O_WRONLY, 0755);
}

static int commit(int fd)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, AT_FDCWD, NAME, AT_SYMLINK_FOLLOW) || rename(NAME, target))
        return -1;
    return libcs_close(fd);
}

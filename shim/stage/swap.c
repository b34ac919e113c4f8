#include "swap.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/scratch.h"

#define BUFFER_SIZE 16384

/* Undoes, in place, what the kernel does to blanks and backslashes: "\040" for a blank. */
static void unescape(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++)
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    *to = '\0';
}

static bool is_file(char *path, const struct statx *file)
{
    struct statx swap;
    unescape(path);
    return sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &swap) == 0 && sys_same_file(&swap, file);
}

/* Lines of proc_swaps(5): a path, and what doesn't matter here. The headline's is relative, and is skipped as such. */
static bool search(int fd, char *buffer, const struct statx *file)
{
    size_t filled = 0;
    ssize_t got;
    while ((got = sys_read(fd, buffer + filled, BUFFER_SIZE - 1 - filled)) > 0) {
        char *line = buffer, *newline;
        filled += (size_t)got;
        buffer[filled] = '\0';
        for (; (newline = strchr(line, '\n')); line = newline + 1) {
            line[strcspn(line, " \t\n")] = '\0';
            if (line[0] == '/' && is_file(line, file))
                return true;
        }
        filled -= (size_t)(line - buffer);
        memmove(buffer, line, filled);
    }
    return false;
}

bool swap_is_active(const struct statx *file)
{
    int saved = errno;
    int fd = sys_openat(AT_FDCWD, "/proc/swaps", O_RDONLY | O_CLOEXEC, 0);
    char *buffer = fd < 0 ? NULL : scratch_map(BUFFER_SIZE);
    bool active = buffer && search(fd, buffer, file);
    scratch_unmap(buffer, BUFFER_SIZE);
    sys_close_quietly(fd);
    errno = saved;
    return active;
}

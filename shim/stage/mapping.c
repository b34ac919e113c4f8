#include "mapping.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/scratch.h"

#define BUFFER_SIZE 16384

static uint64_t hex_number(const char **at)
{
    uint64_t value = 0;
    for (;; (*at)++) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

/* A line of proc_pid_maps(5): "start-end perms offset major:minor inode path". btrfs has another device here than in stat. */
static bool line_is(const char *line, uint64_t device, uint64_t inode, const char *name)
{
    const char *at = strchr(line, ' ');
    if (!at || at[2] != 'w' || at[4] != 's')
        return false;
    at += 6;
    hex_number(&at);
    at++;
    uint64_t major = hex_number(&at);
    at++;
    uint64_t minor = hex_number(&at);
    uint64_t number = 0;
    for (at++; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    const char *base = strrchr(at, '/');
    return number == inode && ((major << 32 | minor) == device || (base && !strcmp(base + 1, name)));
}

static bool search(int fd, char *buffer, uint64_t device, uint64_t inode, const char *name)
{
    size_t filled = 0;
    ssize_t got;
    while ((got = sys_read(fd, buffer + filled, BUFFER_SIZE - 1 - filled)) > 0) {
        char *line = buffer, *newline;
        filled += (size_t)got;
        buffer[filled] = '\0';
        while ((newline = strchr(line, '\n'))) {
            *newline = '\0';
            if (line_is(line, device, inode, name))
                return true;
            line = newline + 1;
        }
        filled -= (size_t)(line - buffer);
        memmove(buffer, line, filled);
    }
    return false;
}

bool mapping_is_writable(uint64_t device, uint64_t inode, const char *name)
{
    int saved = errno;
    bool found = false;
    int fd = sys_openat(AT_FDCWD, "/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
    char *buffer = fd < 0 ? NULL : scratch_map(BUFFER_SIZE);
    if (buffer)
        found = search(fd, buffer, device, inode, name);
    scratch_unmap(buffer, BUFFER_SIZE);
    sys_close_quietly(fd);
    errno = saved;
    return found;
}

#include "lines.h"

#include <string.h>

#include "call.h"

int lines_open(struct lines *lines, int dirfd, const char *path)
{
    lines->end = '\n';
    lines->at = lines->filled = 0;
    lines->fd = sys_openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    return lines->fd < 0 ? -1 : 0;
}

/* Moves what is left of a line to the start of the buffer and reads on behind it. */
static bool fill(struct lines *lines)
{
    size_t left = lines->filled - lines->at;
    memmove(lines->buffer, lines->buffer + lines->at, left);
    lines->at = 0;
    lines->filled = left;
    ssize_t got = lines->fd < 0 ? 0 : sys_read(lines->fd, lines->buffer + left, sizeof lines->buffer - 1 - left);
    if (got > 0)
        lines->filled += (size_t)got;
    return got > 0;
}

char *lines_next(struct lines *lines)
{
    char *behind;
    while (!(behind = memchr(lines->buffer + lines->at, lines->end, lines->filled - lines->at)))
        if ((lines->at == 0 && lines->filled == sizeof lines->buffer - 1) || !fill(lines))
            break;
    if (!behind && lines->at == lines->filled)
        return NULL;
    char *line = lines->buffer + lines->at, *end = behind ? behind : lines->buffer + lines->filled;
    *end = '\0';
    lines->at = (size_t)(end - lines->buffer) + (behind != NULL);
    return line;
}

void lines_close(struct lines *lines)
{
    sys_close_quietly(lines->fd);
    lines->fd = -1;
}

long lines_read_file(int dirfd, const char *path, char *buffer, size_t size)
{
    size_t length = 0;
    ssize_t got = -1;
    int fd = sys_openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd >= 0)
        while (length < size - 1 && (got = sys_read(fd, buffer + length, size - 1 - length)) > 0)
            length += (size_t)got;
    buffer[length] = '\0';
    sys_close_quietly(fd);
    return got < 0 ? -1 : (long)length;
}

static uint64_t number(const char **at, unsigned base)
{
    uint64_t value = 0;
    for (;; (*at)++) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value * base + (uint64_t)(c - '0');
        else if (base == 16 && c >= 'a' && c <= 'f')
            value = value * base + (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

/* "start-end perms offset major:minor inode path" */
bool maps_parse(struct maps_line *maps, const char *line)
{
    const char *at = strchr(line, ' ');
    if (!at || strlen(at) < 6)
        return false;
    *maps = (struct maps_line){ .writable = at[2] == 'w', .executable = at[3] == 'x', .shared = at[4] == 's' };
    at += 6;
    number(&at, 16);
    if (*at++ != ' ')
        return false;
    uint64_t major = number(&at, 16);
    if (*at++ != ':')
        return false;
    maps->device = major << 32 | number(&at, 16);
    if (*at++ != ' ')
        return false;
    maps->inode = number(&at, 10);
    maps->path = at + strspn(at, " ");
    return true;
}

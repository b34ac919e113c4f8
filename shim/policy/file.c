#include "file.h"

#include <string.h>

#include "../sys/call.h"

bool span_is(struct span span, const char *word)
{
    return strlen(word) == span.length && !memcmp(span.at, word, span.length);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    return (struct span){ at, (size_t)(end - at) };
}

/* A comment starts at a # that stands first or behind a blank: "log = /var/log/a#b" is a path. */
static const char *comment_start(const char *at, const char *end)
{
    for (const char *p = at; p < end; p++)
        if (*p == '#' && (p == at || is_blank(p[-1])))
            return p;
    return end;
}

struct file_reader file_reader(const char *text, size_t length)
{
    return (struct file_reader){ .at = text, .end = text + length };
}

enum file_line file_next(struct file_reader *reader, struct file_item *item)
{
    while (reader->at < reader->end) {
        const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
        const char *end = newline ? newline : reader->end;
        struct span line = trimmed(reader->at, comment_start(reader->at, end));
        reader->at = newline ? newline + 1 : reader->end;
        reader->line++;
        if (!line.length)
            continue;

        *item = (struct file_item){ .line = reader->line, .whole = line };
        if (line.at[0] == '[') {
            if (line.at[line.length - 1] != ']')
                return LINE_BROKEN;
            item->name = trimmed(line.at + 1, line.at + line.length - 1);
            return LINE_SECTION;
        }
        const char *equals = memchr(line.at, '=', line.length);
        if (!equals || equals == line.at)
            return LINE_BROKEN;
        item->name = trimmed(line.at, equals);
        item->value = trimmed(equals + 1, line.at + line.length);
        return LINE_PAIR;
    }
    return LINE_END;
}

int file_open(const char *path)
{
    return sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
}

long file_read(int fd, char *text, size_t size)
{
    struct statx file;
    if (sys_fstat(fd, &file) < 0)
        return -1;
    if (!S_ISREG(file.stx_mode)) {
        errno = EINVAL;
        return -1;
    }
    size_t filled = 0;
    ssize_t got;
    while (filled < size && (got = sys_read(fd, text + filled, size - filled)) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0)
            filled += (size_t)got;
    }
    if (filled == size) {
        errno = EFBIG;
        return -1;
    }
    return (long)filled;
}

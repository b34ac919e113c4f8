/*
 * The configuration file's shape: `key = value` lines under `[section]` headings, with # comments. Takes a text apart into
 * lines and knows nothing of keys. For use within policy/; safe anywhere.
 */
#ifndef POLICY_FILE_H
#define POLICY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define FILE_SIZE_MAX 65536 /* of a configuration file */

struct span {
    const char *at;
    size_t length;
};

/* A position between two lines. May be copied, to look ahead. */
struct file_reader {
    const char *at, *end;
    unsigned line;
};

enum file_line { LINE_END, LINE_SECTION, LINE_PAIR, LINE_BROKEN };

struct file_item {
    unsigned line;
    struct span whole;
    struct span name;  /* of the section, or of the key */
    struct span value; /* of a pair */
};

struct file_reader file_reader(const char *text, size_t length);

/* Goes to the next line that is neither empty nor a comment. */
enum file_line file_next(struct file_reader *, struct file_item *);

/* Opens a file to read it; a FIFO doesn't make the program wait. Returns a descriptor, or -1 with errno. */
int file_open(const char *path);

/*
 * Reads a regular file into `text`. Returns its length, or -1 with errno: EFBIG when it fills `size` bytes or more, EINVAL when it
 * isn't a regular file.
 */
long file_read(int fd, char *text, size_t size);

bool span_is(struct span, const char *word);

#endif

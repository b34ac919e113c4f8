/*
 * Reads logs line by line: plain or gzip'd files (told apart by their content), or standard input, of any size in a fixed
 * amount of memory. The JSON is read by several threads, as many as there are processors up to four; what is done with the lines
 * happens in the caller's thread, in the order of the files.
 *
 * A line that is broken is said on stderr with file and line, counted, and passed over.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "line.h"

#define LINE_SIZE_MAX (256 * 1024) /* the library's lines are at most 64 KiB */

/* `line` and its strings are valid during the call only. */
typedef void lines_use(void *context, const struct line *line);

struct lines *lines_begin(lines_use *, void *context);

/* False: it couldn't be read to its end, which has been said. "-" is standard input. */
bool lines_read(struct lines *, const char *file);
bool lines_read_descriptor(struct lines *, int fd, const char *name);

/* So far. */
uint64_t lines_count(const struct lines *);
uint64_t lines_broken(const struct lines *);

void lines_end(struct lines *);

#endif

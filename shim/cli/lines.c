#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "cli.h"

#define BLOCK_SIZE (2 * LINE_SIZE_MAX)
#define BLOCK_LINES 1024
#define BLOCKS 8
#define WORKERS_MAX 4
#define COMPLAINTS_MAX 20 /* for each file: somebody may have given us a film */

/* Text that is read, then parsed by a worker, then used and emptied by the caller's thread. */
struct block {
    enum { BLOCK_EMPTY, BLOCK_READ, BLOCK_PARSING, BLOCK_PARSED } state;
    size_t count;
    struct {
        const char *text;
        size_t length;
        uint64_t number;
        const char *fault;
    } raw[BLOCK_LINES];
    struct line lines[BLOCK_LINES];
    char text[BLOCK_SIZE], strings[BLOCK_SIZE];
};

struct lines {
    lines_use *use;
    void *context;
    const char *file;
    uint64_t count, broken, broken_in_file;

    /* A ring: blocks are read at `head` and used at `tail`, both by the caller's thread alone. */
    struct block *blocks;
    size_t head, tail;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t workers[WORKERS_MAX];
    int worker_count;
    bool ends;
    struct json_tokener *tokener; /* of the caller's thread, where there are no workers */
};

static void parse_block(struct block *block, struct json_tokener *tokener)
{
    struct line_room room = { block->strings, block->strings + sizeof block->strings };
    for (size_t i = 0; i < block->count; i++)
        if (!block->raw[i].fault)
            block->raw[i].fault = line_parse(&block->lines[i], tokener, block->raw[i].text, block->raw[i].length, &room);
}

static struct block *find_read(struct lines *lines)
{
    for (size_t i = lines->tail; i != lines->head; i++)
        if (lines->blocks[i % BLOCKS].state == BLOCK_READ)
            return &lines->blocks[i % BLOCKS];
    return NULL;
}

static void *work(void *argument)
{
    struct lines *lines = argument;
    struct json_tokener *tokener = line_tokener();
    pthread_mutex_lock(&lines->lock);
    while (tokener && !lines->ends) {
        struct block *block = find_read(lines);
        if (!block) {
            pthread_cond_wait(&lines->changed, &lines->lock);
            continue;
        }
        block->state = BLOCK_PARSING;
        pthread_mutex_unlock(&lines->lock);
        parse_block(block, tokener);
        pthread_mutex_lock(&lines->lock);
        block->state = BLOCK_PARSED;
        pthread_cond_broadcast(&lines->changed);
    }
    pthread_mutex_unlock(&lines->lock);
    json_tokener_free(tokener);
    return NULL;
}

struct lines *lines_begin(lines_use *use, void *context)
{
    cpu_set_t processors;
    struct lines *lines = calloc(1, sizeof *lines);
    if (!lines || !(lines->blocks = calloc(BLOCKS, sizeof *lines->blocks)) || !(lines->tokener = line_tokener()))
        abort();
    lines->use = use;
    lines->context = context;
    pthread_mutex_init(&lines->lock, NULL);
    pthread_cond_init(&lines->changed, NULL);
    int wanted = sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 1;
    /* With one processor the caller's thread does it all. */
    for (int i = 0; wanted > 1 && i < wanted && i < WORKERS_MAX; i++)
        if (pthread_create(&lines->workers[lines->worker_count], NULL, work, lines) == 0)
            lines->worker_count++;
    return lines;
}

static void say_broken(struct lines *lines, uint64_t number, const char *fault)
{
    lines->broken++;
    if (++lines->broken_in_file > COMPLAINTS_MAX)
        return;
    cli_print_escaped(stderr, lines->file, strlen(lines->file));
    fprintf(stderr, ":%llu: %s\n", (unsigned long long)number, fault);
}

/* Waits for the oldest block to be parsed, uses it, and empties it. */
static void use_block(struct lines *lines)
{
    struct block *block = &lines->blocks[lines->tail % BLOCKS];
    if (!lines->worker_count)
        parse_block(block, lines->tokener);
    pthread_mutex_lock(&lines->lock);
    while (lines->worker_count && block->state != BLOCK_PARSED)
        pthread_cond_wait(&lines->changed, &lines->lock);
    pthread_mutex_unlock(&lines->lock);

    lines->count += block->count;
    for (size_t i = 0; i < block->count; i++)
        if (block->raw[i].fault)
            say_broken(lines, block->raw[i].number, block->raw[i].fault);
        else
            lines->use(lines->context, &block->lines[i]);

    pthread_mutex_lock(&lines->lock);
    block->state = BLOCK_EMPTY;
    block->count = 0;
    lines->tail++;
    pthread_mutex_unlock(&lines->lock);
}

/* The block at the head of the ring; there may be none that is empty before the oldest one has been used. */
static struct block *empty_block(struct lines *lines)
{
    if (lines->head - lines->tail == BLOCKS)
        use_block(lines);
    return &lines->blocks[lines->head % BLOCKS];
}

static void submit(struct lines *lines, struct block *block)
{
    pthread_mutex_lock(&lines->lock);
    block->state = BLOCK_READ;
    lines->head++;
    pthread_cond_broadcast(&lines->changed);
    pthread_mutex_unlock(&lines->lock);
}

/* How a file is cut into lines. What has been read and not yet cut is at the start of the block at the head. */
struct cutter {
    uint64_t number;
    size_t held;
    bool skips; /* in the middle of a line that is too long */
};

static void add_line(struct block *block, struct cutter *cutter, size_t start, size_t length, const char *fault)
{
    cutter->number++;
    if (!length && !fault)
        return; /* an empty line says nothing and harms nobody */
    block->raw[block->count].text = block->text + start;
    block->raw[block->count].length = length;
    block->raw[block->count].number = cutter->number;
    block->raw[block->count++].fault = fault;
}

/*
 * Cuts what is in the block into lines, and hands the block on. What is left over (the start of a line, or more lines than a
 * block takes) goes to the start of the next block. Returns whether that may be a whole line.
 */
static bool cut(struct lines *lines, struct cutter *cutter, bool at_end)
{
    struct block *block = empty_block(lines);
    size_t start = 0, used = cutter->held;
    while (start < used && block->count < BLOCK_LINES) {
        const char *newline = memchr(block->text + start, '\n', used - start);
        size_t end = newline ? (size_t)(newline - block->text) : used;
        if (!newline && !at_end && end - start <= LINE_SIZE_MAX)
            break;
        if (!cutter->skips)
            add_line(block, cutter, start, end - start, end - start > LINE_SIZE_MAX ? "the line is longer than 256 KiB" : NULL);
        cutter->skips = !newline && !at_end;
        start = newline ? end + 1 : end;
    }
    bool full = block->count == BLOCK_LINES;
    cutter->held = used - start;
    if (!block->count) {
        memmove(block->text, block->text + start, cutter->held);
        return false;
    }
    submit(lines, block);
    memcpy(empty_block(lines)->text, block->text + start, cutter->held);
    return full;
}

static bool read_all(struct lines *lines, gzFile stream)
{
    struct cutter cutter = { 0 };
    int got, failure = 0;
    lines->broken_in_file = 0;
    do {
        struct block *block = empty_block(lines);
        got = gzread(stream, block->text + cutter.held, (unsigned)(BLOCK_SIZE - cutter.held));
        failure = errno;
        cutter.held += got > 0 ? (size_t)got : 0;
        while (cut(lines, &cutter, got <= 0))
            ;
    } while (got > 0);
    while (lines->tail != lines->head)
        use_block(lines);
    if (lines->broken_in_file > COMPLAINTS_MAX) {
        cli_print_escaped(stderr, lines->file, strlen(lines->file));
        fprintf(stderr, ": and %llu more broken lines\n", (unsigned long long)(lines->broken_in_file - COMPLAINTS_MAX));
    }

    int error;
    const char *message = gzerror(stream, &error);
    if (error == Z_OK || error == Z_STREAM_END)
        return true;
    cli_trouble_at(lines->file, error == Z_ERRNO       ? strerror(failure)
                                : error == Z_BUF_ERROR ? "the gzip'd data end in the middle"
                                                       : message);
    return false;
}

bool lines_read_descriptor(struct lines *lines, int fd, const char *name)
{
    gzFile stream = gzdopen(fd, "r");
    if (!stream) {
        close(fd);
        cli_trouble("no memory to read with");
        return false;
    }
    gzbuffer(stream, 128 * 1024);
    lines->file = name;
    bool whole = read_all(lines, stream);
    gzclose(stream);
    return whole;
}

bool lines_read(struct lines *lines, const char *file)
{
    bool is_input = !strcmp(file, "-");
    int fd = is_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        cli_trouble_at(file, strerror(errno));
        return false;
    }
    return lines_read_descriptor(lines, fd, is_input ? "standard input" : file);
}

uint64_t lines_count(const struct lines *lines)
{
    return lines->count;
}

uint64_t lines_broken(const struct lines *lines)
{
    return lines->broken;
}

void lines_end(struct lines *lines)
{
    pthread_mutex_lock(&lines->lock);
    lines->ends = true;
    pthread_cond_broadcast(&lines->changed);
    pthread_mutex_unlock(&lines->lock);
    for (int i = 0; i < lines->worker_count; i++)
        pthread_join(lines->workers[i], NULL);
    json_tokener_free(lines->tokener);
    pthread_mutex_destroy(&lines->lock);
    pthread_cond_destroy(&lines->changed);
    free(lines->blocks);
    free(lines);
}

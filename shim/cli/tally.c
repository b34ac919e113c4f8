#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NAMES 6
#define NAME_MAX_SIZE 512
#define LONG_WAIT_US 1000000 /* the library's mark for the line `waiting` */

static void *must_have(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void replace_text(char **text, const char *with)
{
    if (*text && !strcmp(*text, with))
        return;
    free(*text);
    *text = must_have(strndup(with, NAME_MAX_SIZE));
}

static void add_name(struct tally_names *names, const char *text)
{
    int rarest = 0;
    if (!names->names)
        names->names = must_have(calloc((size_t)names->size, sizeof *names->names));
    for (int i = 0; i < names->count; i++) {
        if (names->names[i].text && !strncmp(names->names[i].text, text, NAME_MAX_SIZE)) {
            names->names[i].count++;
            return;
        }
        if (names->names[i].count < names->names[rarest].count)
            rarest = i;
    }
    if (names->count < names->size)
        rarest = names->count++;
    else
        names->crowded = true;
    replace_text(&names->names[rarest].text, text);
    names->names[rarest].count++;
}

static void free_names(struct tally_names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->names[i].text);
    free(names->names);
}

const struct tally_name *tally_first(const struct tally_names *names)
{
    const struct tally_name *first = NULL;
    for (int i = 0; i < names->count; i++)
        if (!first || names->names[i].count > first->count)
            first = &names->names[i];
    return first;
}

void tally_begin(struct tally *tally)
{
    *tally = (struct tally){ .hosts.size = TALLY_HOSTS, .rest.holders.size = NAMES, .rest.reasons.size = NAMES };
    tally->rest.operation = LINE_OTHER;
}

/* Paths come from outside, and with them could come thousands of one hash: the seed isn't to be known there. */
static uint64_t hash_of(const char *path, enum line_operation operation)
{
    static uint64_t seed;
    if (!seed && getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = UINT64_C(14695981039346656037);
    uint64_t hash = seed + (uint64_t)operation;
    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static struct group *find_group(struct tally *tally, const struct line *line)
{
    struct group **place = &tally->table[hash_of(line->path, line->operation) % TALLY_TABLE_SIZE];
    for (; *place; place = &(*place)->next)
        if ((*place)->operation == line->operation && !strcmp((*place)->path, line->path))
            return *place;
    if (tally->count == TALLY_GROUPS_MAX)
        return &tally->rest;
    struct group *group = *place = must_have(calloc(1, sizeof *group));
    group->path = must_have(strdup(line->path));
    group->operation = line->operation;
    group->holders.size = group->reasons.size = NAMES;
    tally->groups[tally->count++] = group;
    return group;
}

static void name_program(char text[NAME_MAX_SIZE], const char *comm, const char *exe)
{
    snprintf(text, NAME_MAX_SIZE, *exe ? "%s (%s)" : "%s", comm, exe);
}

/* Who is in the way: those that the line names, and of a program that is in its own way, itself. */
static void add_holders(struct group *group, const struct line *line)
{
    char text[NAME_MAX_SIZE];
    for (int i = 0; i < line->holder_count; i++) {
        name_program(text, line->holders[i].comm, line->holders[i].exe);
        add_name(&group->holders, text);
    }
    if (!line->holder_count && line->verdict == VERDICT_SELF_HELD) {
        name_program(text, line->comm, line->exe);
        add_name(&group->holders, text);
    }
}

/* The line that a wait writes when it has lasted a second may be its last. */
static void add_long_wait(struct group *group, const struct line *line)
{
    char text[NAME_MAX_SIZE];
    if (line_is_end(line)) {
        group->long_ends++;
        return;
    }
    group->long_waits++;
    if (line->holder_count) {
        name_program(text, line->holders[0].comm, line->holders[0].exe);
        replace_text(&group->waited_for, text);
    }
}

uint64_t tally_unended(const struct group *group)
{
    return group->long_waits > group->long_ends ? group->long_waits - group->long_ends : 0;
}

void tally_add(struct tally *tally, const struct line *line)
{
    struct group *group = find_group(tally, line);
    tally->lines++;
    if (*line->host)
        add_name(&tally->hosts, line->host);

    if (!group->first_ms || line->at_ms < group->first_ms)
        group->first_ms = line->at_ms;
    if (line->at_ms > group->last_ms)
        group->last_ms = line->at_ms;
    group->outcomes[line->outcome]++;
    if (line->waited_us >= LONG_WAIT_US)
        add_long_wait(group, line);
    if (!line_is_end(line))
        return;

    timeline_add(&tally->timeline, line);
    group->ended++;
    group->verdicts[line->verdict]++;
    quantiles_add(&group->waits_us, line->waited_us);
    if (line_is_replacement(line))
        group->bytes += line->bytes;
    add_holders(group, line);
    if (*line->reason)
        add_name(&group->reasons, line->reason);
    if (line->verdict >= group->worst) {
        group->worst = line->verdict;
        group->held_fd = line->held_fd;
        replace_text(&group->comm, line->comm);
        replace_text(&group->error, line->error);
        replace_text(&group->reason, line->reason);
        replace_text(&group->stage, line->stage);
    }
}

/* A wait without an end asks for a person, too. */
static enum line_verdict weight_of(const struct group *group)
{
    return group->worst < VERDICT_REFUSED && tally_unended(group) ? VERDICT_REFUSED : group->worst;
}

/* For the sort: a path weighs what its worst group weighs. */
struct weighed {
    struct group *group;
    enum line_verdict worst;
    uint64_t times;
};

static int by_path(const void *a, const void *b)
{
    const struct group *one = ((const struct weighed *)a)->group, *other = ((const struct weighed *)b)->group;
    int order = strcmp(one->path, other->path);
    return order ? order : (int)one->operation - (int)other->operation;
}

static int by_weight(const void *a, const void *b)
{
    const struct weighed *one = a, *other = b;
    if (one->worst != other->worst)
        return one->worst < other->worst ? 1 : -1;
    if (one->times != other->times)
        return one->times < other->times ? 1 : -1;
    return by_path(a, b);
}

void tally_sort(struct tally *tally)
{
    struct weighed *weighed = must_have(calloc(tally->count + 1, sizeof *weighed));
    for (size_t i = 0; i < tally->count; i++)
        weighed[i].group = tally->groups[i];
    qsort(weighed, tally->count, sizeof *weighed, by_path);
    for (size_t i = 0, end; i < tally->count; i = end) {
        enum line_verdict worst = VERDICT_OBSERVED;
        uint64_t times = 0;
        for (end = i; end < tally->count && !strcmp(weighed[end].group->path, weighed[i].group->path); end++)
            if (weight_of(weighed[end].group) > worst)
                worst = weight_of(weighed[end].group);
        for (size_t j = i; j < end; j++)
            times += weighed[j].group->verdicts[worst];
        for (size_t j = i; j < end; j++) {
            weighed[j].worst = worst;
            weighed[j].times = times;
        }
    }
    qsort(weighed, tally->count, sizeof *weighed, by_weight);
    for (size_t i = 0; i < tally->count; i++)
        tally->groups[i] = weighed[i].group;
    free(weighed);
}

static void free_group(struct group *group)
{
    free(group->path);
    quantiles_free(&group->waits_us);
    free_names(&group->holders);
    free_names(&group->reasons);
    free(group->waited_for);
    free(group->comm);
    free(group->error);
    free(group->reason);
    free(group->stage);
}

void tally_end(struct tally *tally)
{
    for (size_t i = 0; i < tally->count; i++) {
        free_group(tally->groups[i]);
        free(tally->groups[i]);
    }
    free_group(&tally->rest);
    free_names(&tally->hosts);
    timeline_free(&tally->timeline);
}

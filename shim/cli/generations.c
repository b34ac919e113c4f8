/*
 * `etxtbsy generations`: which versions of a file are kept beside it, since when, and who still runs each.
 */
#include "generations.h"

#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../stage/stage.h"
#include "cli.h"
#include "options.h"
#include "users.h"

/* A file that is gone, in a directory that is there: what was kept of it can still be listed, and put back. */
static int find_missing(struct generations *generations, const char *path)
{
    struct stat link;
    if (lstat(path, &link) == 0)
        return cli_trouble_at(path, "is a symbolic link that leads nowhere");
    const char *base = text_base(path);
    char *directory = strndup(path, (size_t)(base - path)), resolved[PATH_MAX];
    if (!directory)
        abort();
    bool found = *base && strcmp(base, ".") && strcmp(base, "..") && realpath(*directory ? directory : ".", resolved);
    int error = *base ? errno : ENOENT;
    free(directory);
    if (!found)
        return cli_trouble_at(path, strerror(error));
    struct text text = TEXT(generations->path);
    text_add(&text, resolved[1] ? resolved : "");
    text_add(&text, "/");
    text_add(&text, base);
    generations->missing = true;
    return text.full ? cli_trouble_at(path, strerror(ENAMETOOLONG)) : CLI_FINE;
}

static int find_file(struct generations *generations, const char *path)
{
    struct stage_target target;
    if (stage_resolve(&target, AT_FDCWD, path, 0, 0) < 0)
        return errno == ENOENT ? find_missing(generations, path) : cli_trouble_at(path, strerror(errno));
    if (!S_ISREG(target.file.stx_mode))
        return cli_trouble_at(path, "is no regular file");
    memcpy(generations->path, target.path, strlen(target.path) + 1);
    generations->file = target.file;
    return CLI_FINE;
}

static int newest_first(const void *a, const void *b)
{
    const struct generation *one = a, *other = b;
    return one->number < other->number ? 1 : one->number > other->number ? -1 : 0;
}

static int read_list(struct generations *generations)
{
    struct directory directory;
    struct generation generation;
    if (directory_open(&directory, generations->dirfd, ".") < 0)
        return CLI_TROUBLE;
    while (generation_next(&directory, generations->base, &generation)) {
        if (!generations->missing && sys_same_file(&generation.file, &generations->file))
            continue; /* whoever was to replace it was killed before */
        generations->list = reallocarray(generations->list, generations->count + 1, sizeof generation);
        if (!generations->list)
            abort();
        generations->list[generations->count++] = generation;
    }
    directory_close(&directory);
    if (generations->count)
        qsort(generations->list, generations->count, sizeof generation, newest_first);
    return CLI_FINE;
}

int generations_find(struct generations *generations, const char *path)
{
    *generations = (struct generations){ .dirfd = -1 };
    int status = find_file(generations, path);
    if (status != CLI_FINE)
        return status;
    char directory[PATH_MAX];
    struct text text = TEXT(directory);
    generations->base = text_base(generations->path);
    text_bytes(&text, generations->path, (size_t)(generations->base - generations->path));
    generations->dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (generations->dirfd < 0 || read_list(generations) != CLI_FINE)
        return cli_trouble_at(directory, strerror(errno));
    if (generations->missing && !generations->count)
        return cli_trouble_at(path, strerror(ENOENT));
    return CLI_FINE;
}

void generations_free(struct generations *generations)
{
    if (generations->dirfd >= 0)
        close(generations->dirfd);
    free(generations->list);
}

char *generations_path(const struct generations *generations, const char *name)
{
    char *path;
    if (asprintf(&path, "%.*s%s", (int)(generations->base - generations->path), generations->path, name) < 0)
        abort();
    return path;
}

/* When it was replaced: the kernel notes the change of the names, and a chmod since. */
static void format_time(const struct statx *file, char stamp[32])
{
    time_t seconds = (time_t)file->stx_ctime.tv_sec;
    struct tm tm;
    strftime(stamp, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

static void print_table(const struct generations *generations, const struct used_file *used, bool all_seen)
{
    cli_print_escaped(stdout, generations->path, strlen(generations->path));
    printf(": %s%zu generation%s\n", generations->missing ? "it isn't there; " : "", generations->count,
           generations->count == 1 ? "" : "s");
    if (!generations->count)
        return;
    printf("\n%3s  %-20s  %12s  %-4s  %s\n", "N", "REPLACED", "SIZE", "MODE", "STILL RUN BY");
    for (size_t i = 0; i < generations->count; i++) {
        const struct statx *file = &generations->list[i].file;
        char stamp[32];
        format_time(file, stamp);
        printf("%3zu  %-20s  %12llu  %04o  ", i + 1, stamp, (unsigned long long)file->stx_size, file->stx_mode & 07777U);
        users_print(&used[i]);
        puts(used[i].count ? "" : "-");
    }
    if (!all_seen)
        puts(geteuid() ? "\nThe processes of other users are visible to root alone."
                       : "\nThere are processes that not even root may look at here.");
}

static struct json_object *generation_object(const struct generations *generations, size_t index, const struct used_file *used)
{
    const struct generation *generation = &generations->list[index];
    struct json_object *object = json_object_new_object();
    char stamp[32], mode[8], *path = generations_path(generations, generation->name);
    snprintf(mode, sizeof mode, "%04o", generation->file.stx_mode & 07777U);
    format_time(&generation->file, stamp);
    json_object_object_add(object, "n", json_object_new_int64((int64_t)index + 1));
    cli_add_bytes(object, "path", path);
    json_object_object_add(object, "replaced", json_object_new_string(stamp));
    json_object_object_add(object, "size", json_object_new_int64((int64_t)generation->file.stx_size));
    json_object_object_add(object, "mode", json_object_new_string(mode));
    json_object_object_add(object, "uid", json_object_new_int64(generation->file.stx_uid));
    json_object_object_add(object, "gid", json_object_new_int64(generation->file.stx_gid));
    json_object_object_add(object, "inode", json_object_new_int64((int64_t)generation->file.stx_ino));
    users_add_json(object, used);
    free(path);
    return object;
}

static void print_json(const struct generations *generations, const struct used_file *used, bool all_seen)
{
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    cli_add_bytes(object, "path", generations->path);
    json_object_object_add(object, "missing", json_object_new_boolean(generations->missing));
    for (size_t i = 0; i < generations->count; i++)
        json_object_array_add(list, generation_object(generations, i, &used[i]));
    json_object_object_add(object, "generations", list);
    json_object_object_add(object, "all_processes_seen", json_object_new_boolean(all_seen));
    cli_print_json(object);
}

static int usage(void)
{
    fputs("usage: etxtbsy generations [--json] PATH\n"
          "\n"
          "Lists the files that PATH was before, which `keep = N` in the configuration keeps beside it as hidden hard links\n"
          "(.NAME.etxtbsy-was-NUMBER). 1 is the newest. Symbolic links are followed, as the library does. PATH itself may be\n"
          "missing.\n"
          "\n"
          "REPLACED is the time at which the file's names or its mode or owner changed last: when it was replaced, unless\n"
          "somebody has changed it since. STILL RUN BY are the processes that run that version or have it mapped; those of\n"
          "other users are visible to root alone.\n"
          "\n"
          "    -j, --json    one JSON object instead of a table\n"
          "    -h, --help    this text\n"
          "\n"
          "Exit status: 0 also when there are none, 2 usage error or a path that can't be looked at.\n",
          stdout);
    return CLI_FINE;
}

int generations_main(int argc, char **argv)
{
    bool as_json = false;
    const struct option_row options[] = {
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (argc - optind != 1)
        return cli_trouble("generations takes one PATH, not %d", argc - optind);

    struct generations generations;
    status = generations_find(&generations, argv[optind]);
    if (status == CLI_FINE) {
        struct used_file *used = calloc(generations.count + 1, sizeof *used);
        if (!used)
            abort();
        for (size_t i = 0; i < generations.count; i++)
            used[i] = (struct used_file){ .file = &generations.list[i].file, .path = generations.path };
        bool all_seen = users_find(used, generations.count, USED_RUN);
        (as_json ? print_json : print_table)(&generations, used, all_seen);
        for (size_t i = 0; i < generations.count; i++)
            users_free(&used[i]);
        free(used);
    }
    generations_free(&generations);
    return status;
}

#include "census.h"

#include <json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../event/host.h"
#include "../event/stamp.h"
#include "../stage/name.h"
#include "../sys/text.h"
#include "cli.h"

#define WITHOUT_HASTE UINT64_C(3600000000000)

static void note(void *context, const struct holder *holder)
{
    struct census *census = context;
    char directory[HOST_DIRECTORY_SIZE];
    struct host host;
    struct lines lines;
    struct stat program;
    if (census->count == census->room) {
        census->room = census->room ? 2 * census->room : 16;
        census->holders = realloc(census->holders, census->room * sizeof *census->holders);
        if (!census->holders)
            abort();
    }
    struct census_holder *entry = &census->holders[census->count++];
    *entry = (struct census_holder){ .holder = *holder };
    host_directory(directory, holder->pid);
    host_find_unit_and_container(&host, &lines, directory);
    snprintf(entry->unit, sizeof entry->unit, "%s", host.unit);
    snprintf(entry->container, sizeof entry->container, "%s", host.container_id);

    char exe[HOST_DIRECTORY_SIZE + 8];
    snprintf(exe, sizeof exe, "%s/exe", directory);
    if (holder->how == HOLDS_EXEC && stat(exe, &program) == 0)
        entry->is_old = program.st_ino != census->file.st_ino || program.st_dev != census->file.st_dev;
}

/* Whether a name in the target's directory was the target's once: a generation's, or a stage's. */
static bool is_name_of(const char *name, const char *target)
{
    struct stage_name stage;
    return generation_name_parse(name, target) ||
           (stage_name_parse(name, &stage) && !strncmp(name + 1, target, stage.base_length) &&
            (!stage.whole || !target[stage.base_length]));
}

/*
 * A replaced file's name is gone: "/srv/app (deleted)". Where the two have changed places (RENAME_EXCHANGE) it was the stage's,
 * "/srv/.app.etxtbsy-17-0123456789ab (deleted)". A generation that somebody has started has its own, deleted or not.
 */
static bool is_old(void *context, const char *exe)
{
    static const char deleted[] = " (deleted)";
    const struct census *census = context;
    size_t length = strlen(exe), suffix = strlen(deleted), directory = (size_t)(text_base(census->target) - census->target);
    bool gone = length > suffix && !strcmp(exe + length - suffix, deleted);
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%.*s", (int)(gone ? length - suffix : length), exe);
    if (gone && !strcmp(name, census->target))
        return true;
    return (size_t)(text_base(name) - name) == directory && !memcmp(name, census->target, directory) &&
           is_name_of(text_base(name), text_base(census->target));
}

static int by_process(const void *a, const void *b)
{
    const struct census_holder *one = a, *other = b;
    if (one->holder.pid != other->holder.pid)
        return one->holder.pid < other->holder.pid ? -1 : 1;
    return (int)one->holder.how - (int)other->holder.how;
}

bool census_take(struct census *census, const char *path)
{
    *census = (struct census){ 0 };
    if (!realpath(path, census->target) || stat(census->target, &census->file) < 0)
        return false;
    struct holders_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        abort();
    holders_begin(scan, HOLDS_EXEC | HOLDS_WRITE | HOLDS_MAP);
    holders_add_file(scan, (uint64_t)major(census->file.st_dev) << 32 | minor(census->file.st_dev), census->file.st_ino);
    scan->is_old = is_old;
    scan->thorough = true;
    scan->found = note;
    scan->context = census;
    holders_look(scan, WITHOUT_HASTE);
    census->hidden = scan->hidden;
    free(scan);
    if (census->count)
        qsort(census->holders, census->count, sizeof *census->holders, by_process);
    return true;
}

void census_free(struct census *census)
{
    free(census->holders);
    *census = (struct census){ 0 };
}

struct json_object *census_object(const struct census_holder *entry)
{
    const struct holder *holder = &entry->holder;
    struct json_object *object = json_object_new_object();
    char stamp[STAMP_SIZE];
    json_object_object_add(object, "pid", json_object_new_int64(holder->pid));
    cli_add_bytes(object, "comm", holder->comm);
    cli_add_bytes(object, "exe", holder->exe);
    json_object_object_add(object, "uid", json_object_new_int64(holder->uid));
    json_object_object_add(object, "started", json_object_new_string(stamp_text(stamp, holder->started_ns)));
    json_object_object_add(object, "how", json_object_new_string(holder_how_name(holder->how)));
    if (holder->how == HOLDS_WRITE)
        json_object_object_add(object, "fd", json_object_new_int64(holder->fd));
    json_object_object_add(object, "version", json_object_new_string(entry->is_old ? "old" : "current"));
    if (entry->unit[0])
        cli_add_bytes(object, "unit", entry->unit);
    if (entry->container[0])
        cli_add_bytes(object, "container_id", entry->container);
    return object;
}

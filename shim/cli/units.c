#include "units.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "drop_in.h"

void unit_list_add(struct unit_list *list, const char *name)
{
    char **names = reallocarray(list->names, list->count + 1, sizeof *names);
    if (!names || !(names[list->count] = strdup(name)))
        abort();
    list->names = names;
    list->count++;
}

static int compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void sort_and_unite(struct unit_list *list)
{
    size_t kept = 0;
    if (list->count)
        qsort(list->names, list->count, sizeof *list->names, compare);
    for (size_t i = 0; i < list->count; i++)
        if (kept && !strcmp(list->names[kept - 1], list->names[i]))
            free(list->names[i]);
        else
            list->names[kept++] = list->names[i];
    list->count = kept;
}

static int add_from(struct unit_list *list, const char *path)
{
    static const char end[] = ".service.d";
    DIR *directory = opendir(path);
    struct dirent *entry;
    if (!directory)
        return errno == ENOENT ? CLI_FINE : cli_trouble_at(path, strerror(errno));
    while ((entry = readdir(directory))) {
        size_t length = strlen(entry->d_name);
        if (length < sizeof end || length >= UNIT_NAME_SIZE + 2 || strcmp(entry->d_name + length - strlen(end), end))
            continue;
        char name[UNIT_NAME_SIZE];
        memcpy(name, entry->d_name, length - 2);
        name[length - 2] = '\0';
        if (drop_in_read(path, name, NULL) != DROP_IN_NONE)
            unit_list_add(list, name);
    }
    closedir(directory);
    return CLI_FINE;
}

int units_with_drop_in(struct unit_list *list, const struct unit_manager *manager)
{
    int status = CLI_FINE;
    for (int runtime = 0; runtime < 2; runtime++) {
        if (runtime && manager->user && !getenv("XDG_RUNTIME_DIR"))
            continue;
        char *path = unit_directory(manager, runtime);
        int one = path ? add_from(list, path) : CLI_TROUBLE;
        status = one > status ? one : status;
        free(path);
    }
    sort_and_unite(list);
    return status;
}

void unit_list_free(struct unit_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

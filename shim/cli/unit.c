#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

#define SERVICE ".service"
#define CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:-_.\\@"

static const char *const other_kinds[] = { ".socket", ".device", ".mount", ".automount", ".swap",
                                           ".target", ".path",   ".timer", ".slice",     ".scope" };

/* Of systemd.unit(5), the places where the file of a unit may be. */
static const char *const system_places[] = {
    "/etc/systemd/system",         "/run/systemd/system",           "/run/systemd/transient",
    "/run/systemd/generator",      "/run/systemd/generator.early",  "/lib/systemd/system",
    "/run/systemd/generator.late", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
};
static const char *const user_places[] = {
    "/etc/systemd/user",           "/run/systemd/user",       "/usr/local/share/systemd/user",
    "/usr/local/lib/systemd/user", "/usr/share/systemd/user", "/usr/lib/systemd/user",
};
static const char *const home_places[] = { "/.config/systemd/user", "/.local/share/systemd/user" };
static const char *const runtime_places[] = { "/systemd/user", "/systemd/transient", "/systemd/generator",
                                              "/systemd/generator.early", "/systemd/generator.late" };

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && !strcmp(name + length - end_length, end);
}

bool unit_name(const char *word, char name[UNIT_NAME_SIZE])
{
    for (size_t i = 0; i < LENGTH(other_kinds); i++)
        if (ends_with(word, other_kinds[i])) {
            cli_trouble_at(word, "only a service starts programs of its own; name the .service");
            return false;
        }
    size_t length = strlen(word);
    bool valid = length && word[0] != '@' && strspn(word, CHARACTERS) == length && strcmp(word, SERVICE);
    if (!valid) {
        cli_trouble_at(word, "this isn't the name of a unit; `systemd-escape --mangle` says what systemd makes of it");
        return false;
    }
    int written = snprintf(name, UNIT_NAME_SIZE, "%s%s", word, ends_with(word, SERVICE) ? "" : SERVICE);
    if (written >= UNIT_NAME_SIZE) {
        cli_trouble_at(word, "the name of a unit has at most 255 characters");
        return false;
    }
    return true;
}

static bool is_there(const char *root, const char *place, const char *name)
{
    char path[PATH_MAX];
    struct stat file;
    int length = snprintf(path, sizeof path, "%s%s/%s", root, place, name);
    return length < PATH_MAX && lstat(path, &file) == 0; /* an alias may lead to where the image's root will be */
}

static bool is_in(const char *root, const char *const places[], size_t count, const char *name)
{
    for (size_t i = 0; root && i < count; i++)
        if (is_there(root, places[i], name))
            return true;
    return false;
}

static bool has_file(const struct unit_manager *manager, const char *name)
{
    if (!manager->user)
        return is_in(manager->root, system_places, LENGTH(system_places), name);
    const char *configuration = getenv("XDG_CONFIG_HOME");
    return is_in("", user_places, LENGTH(user_places), name) || is_in(getenv("HOME"), home_places, LENGTH(home_places), name) ||
           is_in(getenv("XDG_RUNTIME_DIR"), runtime_places, LENGTH(runtime_places), name) ||
           is_in(configuration, runtime_places, 1, name);
}

bool unit_exists(const struct unit_manager *manager, const char *name)
{
    char template[UNIT_NAME_SIZE];
    const char *at = strchr(name, '@');
    if (has_file(manager, name))
        return true;
    if (!at)
        return false;
    snprintf(template, sizeof template, "%.*s@" SERVICE, (int)(at - name), name);
    return has_file(manager, template);
}

/* What `getenv` found, or the directory below it; NULL: neither. */
static char *below(const char *base, const char *directory)
{
    char *path = NULL;
    if (!base || base[0] != '/')
        return NULL;
    if (asprintf(&path, "%s%s", base, directory) < 0)
        abort();
    return path;
}

char *unit_directory(const struct unit_manager *manager, bool runtime)
{
    char *directory = NULL;
    if (!manager->user) {
        if (asprintf(&directory, "%s%s", manager->root, runtime ? "/run/systemd/system" : "/etc/systemd/system") < 0)
            abort();
        return directory;
    }
    if (runtime)
        directory = below(getenv("XDG_RUNTIME_DIR"), "/systemd/user");
    else if (!(directory = below(getenv("XDG_CONFIG_HOME"), "/systemd/user")))
        directory = below(getenv("HOME"), "/.config/systemd/user");
    if (!directory)
        cli_trouble("%s isn't set, so there is no place for a user's units", runtime ? "XDG_RUNTIME_DIR" : "HOME");
    return directory;
}

#include "log_place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Asks what the library will meet: it follows no symbolic link at the end of the path. False: no line would get there. */
static bool examine(const char *path, char what[3 * PATH_MAX], char remedy[2 * PATH_MAX], bool *for_everyone)
{
    char directory[PATH_MAX];
    struct stat file;
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    const char *parent = *directory ? directory : "/";
    int error = stat(parent, &file) < 0 ? errno : S_ISDIR(file.st_mode) ? 0 : ENOTDIR;
    *for_everyone = true;
    if (error == ENOENT) {
        snprintf(what, 3 * PATH_MAX, "there is no directory %s", parent);
        snprintf(remedy, 2 * PATH_MAX, "mkdir -p %s", parent);
    } else if (error) {
        *for_everyone = error == ENOTDIR;
        snprintf(what, 3 * PATH_MAX, "%s: %s", parent, strerror(error));
        snprintf(remedy, 2 * PATH_MAX, "name a file in a directory that %s", error == EACCES ? "you may look into" : "is there");
    } else if (lstat(path, &file) == 0 && !S_ISREG(file.st_mode) && !S_ISCHR(file.st_mode) && !S_ISFIFO(file.st_mode)) {
        snprintf(what, 3 * PATH_MAX,
                 S_ISDIR(file.st_mode)   ? "it is a directory"
                 : S_ISLNK(file.st_mode) ? "it is a symbolic link, and none is followed"
                                         : "it is no file");
        snprintf(remedy, 2 * PATH_MAX, S_ISDIR(file.st_mode) ? "name a file in it, %s/etxtbsy.json" : "name the file itself", path);
    } else if (access(lstat(path, &file) == 0 ? path : parent, W_OK) < 0) {
        *for_everyone = false;
        snprintf(what, 3 * PATH_MAX, "%s", strerror(errno));
        snprintf(remedy, 2 * PATH_MAX, "name a file that you may write to");
    } else {
        return true;
    }
    return false;
}

void log_place_examine(const char *sinks, void (*say)(void *context, const struct log_trouble *), void *context)
{
    char *copy = strdup(sinks), *rest;
    for (char *sink = copy ? strtok_r(copy, ",", &rest) : NULL; sink; sink = strtok_r(NULL, ",", &rest)) {
        char what[3 * PATH_MAX], remedy[2 * PATH_MAX];
        struct log_trouble trouble = { .what = what, .remedy = remedy };
        trouble.path = sink += strspn(sink, " ");
        for (size_t length = strlen(sink); length && sink[length - 1] == ' '; length--)
            sink[length - 1] = '\0';
        if (*sink == '/' && strlen(sink) < PATH_MAX && !examine(sink, what, remedy, &trouble.for_everyone))
            say(context, &trouble);
    }
    free(copy);
}

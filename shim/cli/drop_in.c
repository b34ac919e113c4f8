#include "drop_in.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS_MAX 8192 /* no file of ours is as long */
#define MARKER "# Written by `etxtbsy enable` (%016jx). `etxtbsy disable` removes it; once it is edited, both leave it alone.\n"

/* FNV-1a: against an editor, not against an enemy, who could write the file anew. */
static uint64_t sum_of(const char *text)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (; *text; text++)
        sum = (sum ^ (unsigned char)*text) * 0x100000001b3;
    return sum;
}

static bool is_ours(const char *text)
{
    char marker[sizeof MARKER + 16];
    const char *rest = strchr(text, '\n');
    if (!rest)
        return false;
    rest++;
    int length = snprintf(marker, sizeof marker, MARKER, (uintmax_t)sum_of(rest));
    return length == rest - text && !strncmp(text, marker, (size_t)length);
}

char *drop_in_text(const char *library)
{
    char *rest = NULL, *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&rest, &size);
    if (!stream)
        abort();
    fputs("[Service]\nEnvironment=\"LD_PRELOAD=", stream);
    for (const char *at = library; *at; at++) {
        if ((unsigned char)*at < ' ') {
            fclose(stream);
            free(rest);
            return NULL;
        }
        if (strchr("\"\\%", *at)) /* systemd reads quotes, backslashes and its specifiers */
            fputc(*at == '%' ? '%' : '\\', stream);
        fputc(*at, stream);
    }
    fputs("\"\n", stream);
    fclose(stream);
    if (asprintf(&text, MARKER "%s", (uintmax_t)sum_of(rest), rest) < 0)
        abort();
    free(rest);
    return text;
}

/* A link in the place of either directory or file isn't followed: what it leads to isn't this unit's alone. */
static int open_directory(const char *directory, const char *unit)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s.d", directory, unit) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void close_quietly(int fd)
{
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

static enum drop_in_state read_file(int directory, char **text)
{
    struct stat file;
    char buffer[OURS_MAX + 1];
    if (fstatat(directory, DROP_IN_NAME, &file, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? DROP_IN_NONE : DROP_IN_UNKNOWN;
    if (!S_ISREG(file.st_mode) || file.st_size > OURS_MAX)
        return DROP_IN_FOREIGN;
    int fd = openat(directory, DROP_IN_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, buffer, OURS_MAX);
    close_quietly(fd);
    if (length < 0)
        return DROP_IN_UNKNOWN;
    buffer[length] = '\0';
    if (strlen(buffer) != (size_t)length || !is_ours(buffer))
        return DROP_IN_FOREIGN;
    if (text && !(*text = strdup(buffer)))
        abort();
    return DROP_IN_OURS;
}

enum drop_in_state drop_in_read(const char *directory, const char *unit, char **text)
{
    if (text)
        *text = NULL;
    int fd = open_directory(directory, unit);
    if (fd < 0)
        return errno == ENOENT ? DROP_IN_NONE : errno == ELOOP || errno == ENOTDIR ? DROP_IN_FOREIGN : DROP_IN_UNKNOWN;
    enum drop_in_state state = read_file(fd, text);
    close_quietly(fd);
    return state;
}

static int make_directories(const char *directory, const char *unit)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s.d", directory, unit) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *at = path + 1;; at++) {
        char character = *at;
        if (character && character != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -1;
        if (!(*at = character))
            return 0;
    }
}

int drop_in_write(const char *directory, const char *unit, const char *text)
{
    static const char temporary[] = "." DROP_IN_NAME ".new"; /* systemd reads only what ends in .conf */
    int fd, parent = make_directories(directory, unit) < 0 ? -1 : open_directory(directory, unit);
    size_t length = strlen(text);
    if (parent < 0)
        return -1;
    unlinkat(parent, temporary, 0);
    fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool fine = fd >= 0 && write(fd, text, length) == (ssize_t)length && fchmod(fd, 0644) == 0 && fsync(fd) == 0 &&
                renameat(parent, temporary, parent, DROP_IN_NAME) == 0 && fsync(parent) == 0;
    if (!fine && fd >= 0) {
        int error = errno;
        unlinkat(parent, temporary, 0);
        errno = error;
    }
    close_quietly(fd);
    close_quietly(parent);
    return fine ? 0 : -1;
}

int drop_in_remove(const char *directory, const char *unit)
{
    char path[PATH_MAX];
    int parent = open_directory(directory, unit);
    if (parent < 0)
        return -1;
    int result = unlinkat(parent, DROP_IN_NAME, 0);
    close_quietly(parent);
    if (result == 0 && snprintf(path, sizeof path, "%s/%s.d", directory, unit) < PATH_MAX)
        rmdir(path);
    return result;
}

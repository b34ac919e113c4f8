/*
 * `etxtbsy snapshot`: what there is to know about a file and its holders, as one JSON document, for the record after an
 * incident: who will ask tomorrow can't ask the processes any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../event/host.h"
#include "../event/stamp.h"
#include "../sys/clock.h"
#include "census.h"
#include "cli.h"
#include "options.h"

#define SNAPSHOT_VERSION 1

static int usage(void)
{
    fputs(
        "usage: etxtbsy snapshot PATH [-o FILE]\n"
        "\n"
        "Writes one JSON document: PATH's inode, times and SHA-256; and for each process that executes it, an earlier version of\n"
        "it, or may write to it: command line, status, mappings, descriptors, start time, unit, and the SHA-256 of what it runs.\n"
        "Only root sees all of that of other users' processes; what could not be read is null, and why is in `errors`.\n"
        "\n"
        "    -o, --output FILE    instead of standard output; mode 0600, for command lines may carry secrets\n"
        "    -h, --help           this text\n"
        "\n"
        "Exit status: 0 written, whether somebody holds PATH or not; 2 usage error, or PATH can't be looked at, or FILE be "
        "written.\n",
        stdout);
    return CLI_FINE;
}

/* Adds a field, or null and an error that names it. */
static void add_or_say(struct json_object *object, const char *name, struct json_object *value, int error)
{
    json_object_object_add(object, name, value);
    if (value)
        return;
    struct json_object *errors = json_object_object_get(object, "errors");
    if (!errors)
        json_object_object_add(object, "errors", errors = json_object_new_object());
    json_object_object_add(errors, name, json_object_new_string(strerror(error)));
}

static struct json_object *sha256_of(const char *path)
{
    static unsigned char buffer[1 << 16];
    struct sha256_ctx context;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    sha256_init(&context);
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        sha256_update(&context, (size_t)got, buffer);
    int error = errno;
    close(fd);
    errno = error;
    if (got < 0)
        return NULL;

    uint8_t digest[SHA256_DIGEST_SIZE];
    char text[2 * SHA256_DIGEST_SIZE + 1];
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return json_object_new_string(text);
}

/* Bytes as a JSON value: a string, or, where they aren't UTF-8, an object of a readable one and the exact bytes. */
static struct json_object *bytes_value(const char *bytes)
{
    struct json_object *both = json_object_new_object(), *value;
    cli_add_bytes(both, "text", bytes);
    if (json_object_object_length(both) > 1)
        return both;
    value = json_object_get(json_object_object_get(both, "text"));
    json_object_put(both);
    return value;
}

/* The pieces of a file in /proc between `separator`s, as an array of strings. */
static struct json_object *pieces_of(const char *path, int separator)
{
    FILE *file = fopen(path, "re");
    char *piece = NULL;
    size_t size = 0;
    ssize_t length;
    if (!file)
        return NULL;
    struct json_object *array = json_object_new_array();
    while ((length = getdelim(&piece, &size, separator, file)) > 0) {
        if (piece[length - 1] == separator)
            piece[length - 1] = '\0';
        json_object_array_add(array, bytes_value(piece));
    }
    if (ferror(file)) {
        json_object_put(array);
        array = NULL;
    }
    free(piece);
    int error = errno;
    fclose(file);
    errno = error;
    return array;
}

/* proc_pid_status(5): "Name:\tvalue" */
static struct json_object *status_of(const char *path)
{
    struct json_object *lines = pieces_of(path, '\n');
    if (!lines)
        return NULL;
    struct json_object *status = json_object_new_object();
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        const char *text = json_object_get_string(line), *colon = strchr(text, ':');
        char name[64];
        if (!json_object_is_type(line, json_type_string) || !colon || (size_t)(colon - text) >= sizeof name)
            continue;
        memcpy(name, text, (size_t)(colon - text));
        name[colon - text] = '\0';
        json_object_object_add(status, name, json_object_new_string(colon + 1 + strspn(colon + 1, "\t ")));
    }
    json_object_put(lines);
    return status;
}

static struct json_object *descriptors_of(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/fd", directory);
    DIR *all = opendir(path);
    if (!all)
        return NULL;
    struct json_object *array = json_object_new_array();
    for (struct dirent *entry; (entry = readdir(all));) {
        char leads_to[PATH_MAX];
        struct stat link;
        ssize_t length = readlinkat(dirfd(all), entry->d_name, leads_to, sizeof leads_to - 1);
        if (length < 0)
            continue;
        leads_to[length] = '\0';
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "fd", json_object_new_int64(strtol(entry->d_name, NULL, 10)));
        cli_add_bytes(object, "leads_to", leads_to);
        if (fstatat(dirfd(all), entry->d_name, &link, AT_SYMLINK_NOFOLLOW) == 0) {
            json_object_object_add(object, "readable", json_object_new_boolean(link.st_mode & S_IRUSR));
            json_object_object_add(object, "writable", json_object_new_boolean(link.st_mode & S_IWUSR));
        }
        json_object_array_add(array, object);
    }
    closedir(all);
    return array;
}

static struct json_object *holder_object(const struct census_holder *entry)
{
    struct json_object *object = census_object(entry), *value;
    char directory[HOST_DIRECTORY_SIZE], path[HOST_DIRECTORY_SIZE + 16];
    host_directory(directory, entry->holder.pid);

    snprintf(path, sizeof path, "%s/exe", directory);
    value = sha256_of(path);
    add_or_say(object, "exe_sha256", value, errno);
    snprintf(path, sizeof path, "%s/cmdline", directory);
    value = pieces_of(path, '\0');
    add_or_say(object, "cmdline", value, errno);
    snprintf(path, sizeof path, "%s/status", directory);
    value = status_of(path);
    add_or_say(object, "status", value, errno);
    value = descriptors_of(directory);
    add_or_say(object, "fds", value, errno);
    snprintf(path, sizeof path, "%s/maps", directory);
    value = pieces_of(path, '\n');
    add_or_say(object, "maps", value, errno);
    return object;
}

static struct json_object *time_value(const struct timespec *time)
{
    char stamp[STAMP_SIZE];
    return json_object_new_string(stamp_text(stamp, (uint64_t)time->tv_sec * CLOCK_SECOND + (uint64_t)time->tv_nsec));
}

static struct json_object *file_object(const struct census *census)
{
    const struct stat *file = &census->file;
    struct json_object *object = json_object_new_object(), *sum;
    char mode[16];
    snprintf(mode, sizeof mode, "%04o", file->st_mode & 07777);
    cli_add_bytes(object, "path", census->target);
    json_object_object_add(object, "device", json_object_new_int64((int64_t)file->st_dev));
    json_object_object_add(object, "inode", json_object_new_int64((int64_t)file->st_ino));
    json_object_object_add(object, "hard_links", json_object_new_int64((int64_t)file->st_nlink));
    json_object_object_add(object, "mode", json_object_new_string(mode));
    json_object_object_add(object, "uid", json_object_new_int64(file->st_uid));
    json_object_object_add(object, "gid", json_object_new_int64(file->st_gid));
    json_object_object_add(object, "bytes", json_object_new_int64(file->st_size));
    json_object_object_add(object, "modified", time_value(&file->st_mtim));
    json_object_object_add(object, "changed", time_value(&file->st_ctim));
    sum = S_ISREG(file->st_mode) ? sha256_of(census->target) : NULL;
    add_or_say(object, "sha256", sum, S_ISREG(file->st_mode) ? errno : EINVAL);
    return object;
}

static struct json_object *document(const struct census *census, const char *path)
{
    struct json_object *object = json_object_new_object(), *holders = json_object_new_array();
    struct timespec now;
    struct utsname host;
    char boot_id[40] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    long length = lines_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
    boot_id[length > 0 ? strcspn(boot_id, "\n") : 0] = '\0';

    json_object_object_add(object, "snapshot", json_object_new_int(SNAPSHOT_VERSION));
    json_object_object_add(object, "ts", time_value(&now));
    cli_add_bytes(object, "host", uname(&host) == 0 ? host.nodename : "");
    cli_add_bytes(object, "kernel", uname(&host) == 0 ? host.release : "");
    cli_add_bytes(object, "boot_id", boot_id);
    cli_add_bytes(object, "path", path);
    json_object_object_add(object, "target", file_object(census));
    for (size_t i = 0; i < census->count; i++)
        json_object_array_add(holders, holder_object(&census->holders[i]));
    json_object_object_add(object, "holders", holders);
    json_object_object_add(object, "holders_hidden", json_object_new_int64(census->hidden));
    return object;
}

static int write_document(struct json_object *object, const char *output)
{
    struct cli_file file;
    FILE *stream = cli_file_begin(&file, output);
    if (!stream)
        return CLI_TROUBLE;
    if (stream != stdout)
        fchmod(fileno(stream), 0600); /* it is ours, and still empty */
    fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE), stream);
    fputc('\n', stream);
    return cli_file_end(&file);
}

int snapshot_main(int argc, char **argv)
{
    const char *output = "-";
    struct census census;
    const struct option_row options[] = {
        { 'o', "output", .value = &output },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (argc - optind != 1)
        return cli_trouble("snapshot takes one PATH");
    if (!census_take(&census, argv[optind]))
        return cli_trouble_at(argv[optind], strerror(errno));
    struct json_object *object = document(&census, argv[optind]);
    status = write_document(object, output);
    json_object_put(object);
    census_free(&census);
    return status;
}

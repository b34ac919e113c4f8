#include "users.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli.h"

/* One process that is looked at. */
struct look {
    int proc; /* its directory in /proc */
    pid_t pid;
    struct used_file *files;
    size_t count;
    bool hidden; /* something of it can't be seen */
};

static void note_user(const struct look *look, struct used_file *file)
{
    if (file->count && file->users[file->count - 1].pid == look->pid)
        return;
    struct user user = { .pid = look->pid };
    int fd = openat(look->proc, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, user.comm, sizeof user.comm - 1);
    if (fd >= 0)
        close(fd);
    user.comm[got > 0 ? got : 0] = '\0';
    user.comm[strcspn(user.comm, "\n")] = '\0';
    if (!(file->users = reallocarray(file->users, file->count + 1, sizeof user)))
        abort();
    file->users[file->count++] = user;
}

static bool is_file(const struct statx *file, dev_t device, ino_t inode)
{
    return file->stx_ino == inode && makedev(file->stx_dev_major, file->stx_dev_minor) == device;
}

/* A link in /proc that leads to a file, whatever has become of its names. */
static void look_at_link(struct look *look, int dirfd, const char *link)
{
    struct stat file;
    if (fstatat(dirfd, link, &file, 0) < 0) {
        look->hidden |= errno == EACCES || errno == EPERM;
        return;
    }
    for (size_t i = 0; i < look->count; i++)
        if (is_file(look->files[i].file, file.st_dev, file.st_ino))
            note_user(look, &look->files[i]);
}

/* Whether a mapping with the inode number of `file` is one of it. The link in map_files is for root alone. */
static bool is_mapping_of(const struct look *look, const struct used_file *file, const char *range, dev_t device, ino_t inode,
                          const char *path)
{
    char link[64];
    struct stat mapped;
    if (is_file(file->file, device, inode))
        return true;
    snprintf(link, sizeof link, "map_files/%s", range);
    if (fstatat(look->proc, link, &mapped, 0) == 0)
        return is_file(file->file, mapped.st_dev, mapped.st_ino);
    size_t length = file->path ? strlen(file->path) : 0;
    return length && !strncmp(path, file->path, length) && (!path[length] || !strcmp(path + length, " (deleted)"));
}

/* The lines of proc_pid_maps(5): "start-end perms offset major:minor inode path". */
static void look_at_mappings(struct look *look)
{
    char *line = NULL;
    size_t size = 0;
    int fd = openat(look->proc, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
    if (!maps) {
        look->hidden |= errno == EACCES || errno == EPERM;
        return;
    }
    while (getline(&line, &size, maps) > 0) {
        char range[40];
        unsigned major, minor;
        unsigned long long inode;
        int at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%39s %*s %*s %x:%x %llu %n", range, &major, &minor, &inode, &at) < 4 || !inode)
            continue;
        for (size_t i = 0; i < look->count; i++)
            if (look->files[i].file->stx_ino == inode &&
                is_mapping_of(look, &look->files[i], range, makedev(major, minor), inode, line + at))
                note_user(look, &look->files[i]);
    }
    free(line);
    fclose(maps);
}

static void look_at_descriptors(struct look *look)
{
    int fd = openat(look->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *descriptors = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    if (!descriptors) {
        look->hidden |= errno == EACCES || errno == EPERM;
        return;
    }
    while ((entry = readdir(descriptors)))
        if (isdigit((unsigned char)entry->d_name[0]))
            look_at_link(look, dirfd(descriptors), entry->d_name);
    closedir(descriptors);
}

bool users_find(struct used_file *files, size_t count, enum used_how how)
{
    bool all = true;
    DIR *proc = count ? opendir("/proc") : NULL;
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        struct look look = { .pid = (pid_t)strtol(entry->d_name, NULL, 10), .files = files, .count = count };
        if (look.pid <= 0 || (look.proc = openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
            continue;
        if (how == USED_RUN)
            look_at_link(&look, look.proc, "exe");
        else
            look_at_descriptors(&look);
        look_at_mappings(&look);
        all &= !look.hidden;
        close(look.proc);
    }
    if (proc)
        closedir(proc);
    return all && (proc || !count);
}

void users_free(struct used_file *file)
{
    free(file->users);
    file->users = NULL;
    file->count = 0;
}

void users_print(const struct used_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        printf("%s%d (", i ? ", " : "", file->users[i].pid);
        cli_print_escaped(stdout, file->users[i].comm, strlen(file->users[i].comm));
        putchar(')');
    }
}

void users_add_json(struct json_object *object, const struct used_file *file)
{
    struct json_object *processes = json_object_new_array();
    for (size_t i = 0; i < file->count; i++) {
        struct json_object *process = json_object_new_object();
        json_object_object_add(process, "pid", json_object_new_int64(file->users[i].pid));
        cli_add_bytes(process, "comm", file->users[i].comm);
        json_object_array_add(processes, process);
    }
    json_object_object_add(object, "processes", processes);
}

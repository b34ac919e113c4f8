/*
 * `etxtbsy sweep`: removes what killed writers have left, by the rules of the library itself (stage_sweep), and says what it
 * finds.
 */
#include <dirent.h>
#include <errno.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../stage/stage.h"
#include "cli.h"
#include "options.h"
#include "users.h"

struct found {
    char *path;
    enum stage_litter what;
    int error;
    pid_t creator;
    struct statx file;
    struct used_file used;
};

struct sweep {
    bool dry_run, recursive, trouble;
    const char *directory; /* that is being swept */
    struct found *list;
    size_t count;
};

static char *join(const char *directory, const char *name)
{
    char *path;
    size_t length = strlen(directory);
    if (asprintf(&path, "%s%s%s", directory, length && directory[length - 1] == '/' ? "" : "/", name) < 0)
        abort();
    return path;
}

static void note_finding(void *context, const struct stage_finding *finding)
{
    struct sweep *sweep = context;
    if (!(sweep->list = reallocarray(sweep->list, sweep->count + 1, sizeof *sweep->list)))
        abort();
    sweep->list[sweep->count++] = (struct found){
        .path = join(sweep->directory, finding->name),
        .what = finding->what,
        .error = finding->error,
        .creator = finding->parsed.creator,
        .file = finding->file,
    };
}

static void say_trouble(struct sweep *sweep, const char *path, int error)
{
    cli_trouble_at(path, strerror(error));
    sweep->trouble = true;
}

/* As the library finds it out: by asking for a file without a name. */
static bool has_nameless_files(int dirfd)
{
    int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void sweep_directory(struct sweep *sweep, int dirfd, const char *path);

/* Never through a symbolic link, never onto another file system. */
static void sweep_below(struct sweep *sweep, int dirfd, const char *path)
{
    struct stat parent, child;
    struct dirent *entry;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory || fstat(fd, &parent) < 0) {
        say_trouble(sweep, path, errno);
        if (directory)
            closedir(directory);
        return;
    }
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(fd, entry->d_name, &child, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(child.st_mode) || child.st_dev != parent.st_dev)
            continue;
        char *below = join(path, entry->d_name);
        int below_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below_fd >= 0) {
            sweep_directory(sweep, below_fd, below);
            close(below_fd);
        } else if (errno != ENOENT) {
            say_trouble(sweep, below, errno);
        }
        free(below);
    }
    closedir(directory);
}

static void sweep_directory(struct sweep *sweep, int dirfd, const char *path)
{
    const struct stage_listener listener = { .dry_run = sweep->dry_run, .found = note_finding, .context = sweep };
    sweep->directory = path;
    if (stage_sweep(dirfd, has_nameless_files(dirfd), &listener) < 0)
        say_trouble(sweep, path, errno);
    if (sweep->recursive)
        sweep_below(sweep, dirfd, path);
}

static void sweep_argument(struct sweep *sweep, const char *path)
{
    int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        say_trouble(sweep, path, errno);
        return;
    }
    sweep_directory(sweep, dirfd, path);
    close(dirfd);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

/* ---- what is said ---- */

static bool is_in_use(const struct found *found)
{
    return found->what == LITTER_HELD || found->what == LITTER_AWAITED;
}

/* Who holds what is held; returns whether all processes could be looked at. */
static bool find_holders(struct sweep *sweep)
{
    size_t count = 0;
    struct used_file *used = calloc(sweep->count + 1, sizeof *used);
    if (!used)
        abort();
    for (size_t i = 0; i < sweep->count; i++)
        if (is_in_use(&sweep->list[i]))
            used[count++] = (struct used_file){ .file = &sweep->list[i].file, .path = sweep->list[i].path };
    bool all_seen = users_find(used, count, USED_OPEN);
    for (size_t i = 0, at = 0; i < sweep->count; i++)
        if (is_in_use(&sweep->list[i]))
            sweep->list[i].used = used[at++];
    free(used);
    return all_seen;
}

static const struct {
    const char *word, *in_dry_run;
} words[] = {
    [LITTER_REMOVED] = { "removed", "would-remove" },
    [LITTER_HELD] = { "held", "held" },
    [LITTER_AWAITED] = { "awaited", "awaited" },
    [LITTER_YOUNG] = { "young", "young" },
    [LITTER_FOREIGN] = { "foreign", "foreign" },
    [LITTER_FAILED] = { "failed", "failed" },
    [LITTER_KEPT] = { "kept", "kept" },
};

static const char *word_of(const struct sweep *sweep, const struct found *found)
{
    if (found->used.count)
        return words[LITTER_HELD].word;
    return sweep->dry_run ? words[found->what].in_dry_run : words[found->what].word;
}

static void print_detail(const struct found *found, bool all_seen)
{
    switch (found->what) {
    case LITTER_GONE:
        break;
    case LITTER_REMOVED:
        printf("%llu bytes that a killed writer left", (unsigned long long)found->file.stx_size);
        break;
    case LITTER_HELD:
    case LITTER_AWAITED:
        if (found->used.count) {
            printf("open in ");
            users_print(&found->used);
        } else if (found->what == LITTER_HELD) {
            printf("open in %s", all_seen ? "a process that isn't in /proc here" : "a process that only root may look at");
        } else {
            printf("its maker, process %d, still runs, and may have to finish it", found->creator);
        }
        break;
    case LITTER_YOUNG:
        printf("young: it may still be in the making, or its creator may live in another PID namespace (left for an hour)");
        break;
    case LITTER_FOREIGN:
        printf("no regular file with one name: not made by the library, so left alone");
        break;
    case LITTER_FAILED:
        printf("%s", strerror(found->error));
        break;
    case LITTER_KEPT:
        printf("%llu bytes that could not be delivered: move them to where they belong, or remove them",
               (unsigned long long)found->file.stx_size);
        break;
    }
}

static void print_table(const struct sweep *sweep, bool all_seen)
{
    for (size_t i = 0; i < sweep->count; i++) {
        const struct found *found = &sweep->list[i];
        printf("%-13s ", word_of(sweep, found));
        cli_print_escaped(stdout, found->path, strlen(found->path));
        printf(": ");
        print_detail(found, all_seen);
        putchar('\n');
    }
}

static void print_json(const struct sweep *sweep, bool all_seen)
{
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < sweep->count; i++) {
        const struct found *found = &sweep->list[i];
        struct json_object *one = json_object_new_object();
        cli_add_bytes(one, "path", found->path);
        json_object_object_add(one, "what", json_object_new_string(word_of(sweep, found)));
        json_object_object_add(one, "size", json_object_new_int64((int64_t)found->file.stx_size));
        if (found->creator)
            json_object_object_add(one, "creator", json_object_new_int64(found->creator));
        if (is_in_use(found))
            users_add_json(one, &found->used);
        if (found->what == LITTER_FAILED)
            json_object_object_add(one, "error", json_object_new_string(strerror(found->error)));
        json_object_array_add(list, one);
    }
    json_object_object_add(object, "dry_run", json_object_new_boolean(sweep->dry_run));
    json_object_object_add(object, "found", list);
    json_object_object_add(object, "all_processes_seen", json_object_new_boolean(all_seen));
    cli_print_json(object);
}

static int status_of(const struct sweep *sweep)
{
    int status = CLI_FINE;
    for (size_t i = 0; i < sweep->count; i++)
        if (sweep->list[i].what == LITTER_KEPT || sweep->list[i].what == LITTER_FOREIGN || sweep->list[i].what == LITTER_FAILED)
            status = CLI_PROBLEMS;
    return sweep->trouble ? CLI_TROUBLE : status;
}

static int usage(void)
{
    fputs("usage: etxtbsy sweep [--dry-run] [--recursive] [--json] DIR...\n"
          "\n"
          "Removes the temporary files (.NAME.etxtbsy-PID-RANDOM) that writers left in DIR when they were killed, and says so.\n"
          "The next redirect in the same directory does that, too. What somebody still writes to is never touched. For each\n"
          "such name one line:\n"
          "\n"
          "    removed         (with --dry-run: would-remove) nobody holds it, and the process that made it is no more\n"
          "    held            it is open in another process\n"
          "    awaited         the process that made it runs, and writes to it or may have to finish it. If that process is\n"
          "                    another one by now, which got the same number, remove the file yourself\n"
          "    young           it may still be in the making, on a file system that has no O_TMPFILE\n"
          "    kept            (.NAME.etxtbsy-kept-...) what a writer wrote and couldn't deliver; the log told it. Never removed\n"
          "    foreign         a symbolic link, a directory, a file with hard links, ...: the library makes no such thing\n"
          "    failed          it could not be opened, locked or removed\n"
          "\n"
          "Generations (.NAME.etxtbsy-was-NUMBER) are none of its business. Processes are looked for on this machine and in\n"
          "this pid namespace.\n"
          "\n"
          "    -n, --dry-run      remove nothing\n"
          "    -r, --recursive    the directories below, too, on the same file system\n"
          "    -j, --json         one JSON object instead of lines\n"
          "    -h, --help         this text\n"
          "\n"
          "Exit status: 0 nothing is left that wants a person, 1 something is: kept, foreign or failed, 2 usage error or a\n"
          "directory that can't be read; the others are swept all the same.\n",
          stdout);
    return CLI_FINE;
}

/* One descriptor for each level of a tree, and one to read it by. */
static void allow_depth(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int sweep_main(int argc, char **argv)
{
    struct sweep sweep = { 0 };
    bool as_json = false;
    const struct option_row options[] = {
        { 'n', "dry-run", .given = &sweep.dry_run },
        { 'r', "recursive", .given = &sweep.recursive },
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (optind == argc)
        return cli_trouble("sweep takes the directories to look in");

    allow_depth();
    for (; optind < argc; optind++)
        sweep_argument(&sweep, argv[optind]);
    if (sweep.count)
        qsort(sweep.list, sweep.count, sizeof *sweep.list, by_path);
    bool all_seen = find_holders(&sweep);
    (as_json ? print_json : print_table)(&sweep, all_seen);
    status = status_of(&sweep);
    for (size_t i = 0; i < sweep.count; i++) {
        users_free(&sweep.list[i].used);
        free(sweep.list[i].path);
    }
    free(sweep.list);
    return status;
}

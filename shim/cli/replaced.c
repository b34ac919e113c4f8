#include "replaced.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TARGETS_MAX 4096
#define KEPT 32
#define DELETED " (deleted)" /* what the kernel puts behind a name that is gone */
#define SLACK_MS 2000        /* the kernel's boot time is in whole seconds */

/* The last replacements of one file. */
struct target {
    unsigned count;
    struct {
        uint64_t inode;
        int64_t at_ms;
    } old[KEPT];
};

struct replaced {
    struct lh_table *targets; /* by path */
    struct utsname host;
    char boot_id[64];
    int64_t booted_ms;
};

static void read_first_line(const char *path, char *text, int size)
{
    FILE *file = fopen(path, "re");
    text[0] = '\0';
    if (file && fgets(text, size, file))
        text[strcspn(text, "\n")] = '\0';
    if (file)
        fclose(file);
}

static int64_t boot_moment(void)
{
    char line[256];
    long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "btime %lld", &seconds) == 1)
            break;
    if (file)
        fclose(file);
    return seconds * 1000;
}

static void free_entry(struct lh_entry *entry)
{
    free(lh_entry_k(entry));
    free((void *)lh_entry_v(entry));
}

struct replaced *replaced_begin(void)
{
    struct replaced *replaced = calloc(1, sizeof *replaced);
    if (!replaced || !(replaced->targets = lh_kchar_table_new(64, free_entry)))
        abort();
    uname(&replaced->host);
    read_first_line("/proc/sys/kernel/random/boot_id", replaced->boot_id, sizeof replaced->boot_id);
    replaced->booted_ms = boot_moment();
    return replaced;
}

void replaced_add(struct replaced *replaced, const struct line *line)
{
    void *found;
    if (!line_is_replacement(line) || !line->old_inode || strcmp(line->host, replaced->host.nodename) ||
        line->at_ms < replaced->booted_ms - SLACK_MS || (*line->boot_id && strcmp(line->boot_id, replaced->boot_id)))
        return;
    if (!lh_table_lookup_ex(replaced->targets, line->path, &found)) {
        char *path = strdup(line->path);
        if (lh_table_length(replaced->targets) >= TARGETS_MAX) {
            free(path);
            return;
        }
        if (!path || !(found = calloc(1, sizeof(struct target))))
            abort();
        lh_table_insert(replaced->targets, path, found);
    }
    struct target *target = found;
    target->old[target->count % KEPT].inode = line->old_inode;
    target->old[target->count++ % KEPT].at_ms = line->at_ms;
}

/* When the process started; -1: it is gone. */
static int64_t start_moment(const struct replaced *replaced, pid_t pid)
{
    char path[64], text[1024];
    unsigned long long ticks;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_first_line(path, text, sizeof text);
    /* The 22nd field; the second may have any characters, and ends with the last parenthesis. */
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) != 1)
        return -1;
    return replaced->booted_ms + (int64_t)(ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/*
 * When that which a process runs was replaced; -1: not by us. An inode number comes again when its file is gone, so the
 * process must have been there before. Where the replacement is no longer among those that are kept, the first one that is.
 */
static int64_t replaced_since(const struct target *target, uint64_t inode, int64_t started_ms)
{
    int64_t since = -1;
    unsigned kept = target->count < KEPT ? target->count : KEPT;
    for (unsigned i = 0; i < kept; i++)
        if (target->old[i].inode == inode && target->old[i].at_ms >= started_ms - SLACK_MS &&
            (since < 0 || target->old[i].at_ms < since))
            since = target->old[i].at_ms;
    for (unsigned i = 0; since < 0 && target->count > KEPT && i < KEPT; i++) {
        int64_t at_ms = target->old[(target->count + i) % KEPT].at_ms;
        if (at_ms >= started_ms - SLACK_MS)
            since = at_ms;
    }
    return since;
}

static bool examine(const struct replaced *replaced, pid_t pid, struct replaced_user *user)
{
    char link[64], path[PATH_MAX];
    struct stat file;
    void *target;
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t tail = strlen(DELETED);
    if (length <= (ssize_t)tail || memcmp(path + length - tail, DELETED, tail))
        return false;
    path[(size_t)length - tail] = '\0';
    struct lh_entry *entry = lh_table_lookup_entry(replaced->targets, path);
    if (!entry || stat(link, &file) < 0)
        return false;
    target = (void *)lh_entry_v(entry);
    user->pid = pid;
    user->path = lh_entry_k(entry);
    user->since_ms = replaced_since(target, file.st_ino, start_moment(replaced, pid));
    snprintf(link, sizeof link, "/proc/%d/comm", (int)pid);
    read_first_line(link, user->comm, sizeof user->comm);
    return user->since_ms >= 0;
}

void replaced_find(const struct replaced *replaced, void (*use)(void *context, const struct replaced_user *), void *context)
{
    DIR *proc = lh_table_length(replaced->targets) ? opendir("/proc") : NULL;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        struct replaced_user user;
        if (pid > 0 && !*end && examine(replaced, (pid_t)pid, &user))
            use(context, &user);
    }
    if (proc)
        closedir(proc);
}

void replaced_end(struct replaced *replaced)
{
    lh_table_free(replaced->targets);
    free(replaced);
}

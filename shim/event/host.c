#include "host.h"

#include <string.h>
#include <sys/utsname.h>

#include "../sys/call.h"
#include "../sys/process.h"
#include "../sys/text.h"

#define CONTAINER_DIGITS 64
#define INVOCATION_DIGITS 32

static const char hex_digits[] = "0123456789abcdef";

const char *host_directory(char directory[HOST_DIRECTORY_SIZE], pid_t pid)
{
    struct text text = text_over(directory, HOST_DIRECTORY_SIZE);
    text_add(&text, "/proc/");
    text_number(&text, (uint64_t)pid);
    return directory;
}

static bool open_lines(struct lines *lines, const char *directory, const char *name)
{
    char path[HOST_DIRECTORY_SIZE + 16];
    struct text text = TEXT(path);
    text_add(&text, directory);
    text_add(&text, "/");
    text_add(&text, name);
    return lines_open(lines, AT_FDCWD, path) == 0;
}

/* ---- ancestors ----------------------------------------------------------------------------------------------------------------
 */

static uint64_t number_at(const char *at)
{
    uint64_t value = 0;
    text_to_number(at, strspn(at, "0123456789"), &value);
    return value;
}

bool host_process(struct host_process *process, const char *directory)
{
    char path[HOST_DIRECTORY_SIZE + 8], stat[512];
    struct text name = TEXT(path);
    text_add(&name, directory);
    text_add(&name, "/stat");
    *process = (struct host_process){ 0 };
    if (lines_read_file(AT_FDCWD, path, stat, sizeof stat) <= 0)
        return false;

    /* "pid (comm) state ppid ...": the name may itself have parentheses and blanks, what follows hasn't. */
    char *comm = strchr(stat, '('), *end = strrchr(stat, ')');
    if (!comm || !end || end < comm)
        return false;
    *end = '\0';
    struct text text = TEXT(process->comm);
    text_add(&text, comm + 1);
    const char *at = end + 1;
    for (int field = 3; *at == ' '; field++, at += strcspn(at, " ")) {
        at++;
        if (field == 3)
            process->state = *at;
        else if (field == 4)
            process->parent = (pid_t)number_at(at);
        else if (field == 22)
            process->start_ticks = number_at(at);
    }
    return true;
}

static void find_ancestors(struct host *host)
{
    struct host_process process;
    char directory[HOST_DIRECTORY_SIZE];
    pid_t pid = (pid_t)sys_call(SYS_getppid);
    for (int i = 0; i < HOST_ANCESTORS && pid > 0; i++, pid = process.parent) {
        if (!host_process(&process, host_directory(directory, pid)))
            return;
        memcpy(host->ancestors[i], process.comm, sizeof process.comm);
    }
}

/* ---- unit ---------------------------------------------------------------------------------------------------------------------
 */

static bool ends_with(const char *name, size_t length, const char *end)
{
    size_t behind = strlen(end);
    return length > behind && !memcmp(name + length - behind, end, behind);
}

static bool is_unit(const char *name, size_t length)
{
    static const char kinds[][12] = { ".service", ".scope", ".socket", ".mount", ".swap", ".timer", ".path", ".target", ".device" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends_with(name, length, kinds[i]))
            return true;
    return false;
}

/*
 * "/user.slice/user-1000.slice/user@1000.service/app.slice/editor.service/…": the first component that is a unit and no slice,
 * or, of a user's manager, the next such one. systemd puts a _ before names that the kernel might take for its own files.
 */
static void take_unit(struct host *host, const char *path)
{
    while (*path) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        bool manager = length > 5 && !memcmp(path, "user@", 5);
        if (is_unit(path, length)) {
            struct text text = TEXT(host->unit);
            text_bytes(&text, *path == '_' ? path + 1 : path, *path == '_' ? length - 1 : length);
            if (!manager)
                return;
        } else if (length && !ends_with(path, length, ".slice") && host->unit[0]) {
            return;
        }
        path += length;
    }
}

/* "hierarchy:controllers:path"; systemd's is the one without controllers (v2), or of that name (v1). */
static void take_unit_of_line(struct host *host, const char *line)
{
    const char *controllers = strchr(line, ':'), *path = controllers ? text_behind(controllers, "::") : NULL;
    if (!path && controllers)
        path = text_behind(controllers, ":name=systemd:");
    if (path)
        take_unit(host, path);
}

/* ---- invocation ---------------------------------------------------------------------------------------------------------------
 */

static bool take_invocation(struct host *host, const char *id)
{
    if (strlen(id) != INVOCATION_DIGITS || strspn(id, hex_digits) != INVOCATION_DIGITS)
        return false;
    memcpy(host->invocation_id, id, INVOCATION_DIGITS + 1);
    return true;
}

/*
 * systemd keeps it for the journal, as the target of a symbolic link. Where that isn't to be seen (a container, a user's
 * manager): what the program was started with, unless that isn't to be trusted.
 */
static void find_invocation(struct host *host, struct lines *lines)
{
    char path[sizeof host->unit + 64], id[INVOCATION_DIGITS + 2] = "";
    struct text text = TEXT(path);
    text_add(&text, "/run/systemd/units/invocation:");
    text_add(&text, host->unit);
    ssize_t length = host->unit[0] ? sys_readlink(path, id, sizeof id - 1) : 0;
    id[length > 0 ? length : 0] = '\0';
    if (take_invocation(host, id) || process_is_secure())
        return;

    const char *entry, *value;
    if (!open_lines(lines, "/proc/self", "environ"))
        return;
    lines->end = '\0';
    while (!host->invocation_id[0] && (entry = lines_next(lines)))
        if ((value = text_behind(entry, "INVOCATION_ID=")))
            take_invocation(host, value);
    lines_close(lines);
}

/* ---- container ----------------------------------------------------------------------------------------------------------------
 */

/* The first run of exactly 64 hexadecimal digits. */
static bool take_container(struct host *host, const char *text)
{
    while (*text) {
        size_t length = strspn(text, hex_digits);
        if (length == CONTAINER_DIGITS) {
            memcpy(host->container_id, text, length);
            host->container_id[length] = '\0';
            return true;
        }
        text += length;
        text += strcspn(text, hex_digits);
    }
    return false;
}

/* "id parent major:minor root mount-point …": where engines mount the files that they make for each container. */
static bool is_made_for_container(char *line)
{
    static const char *const files[] = { "/etc/hostname", "/etc/hosts", "/etc/resolv.conf" };
    char *at = line;
    for (int field = 1; field < 5; field++)
        if (!(at = strchr(at, ' ')) || !*++at)
            return false;
    at[strcspn(at, " ")] = '\0'; /* the root, which has the id, is before this */
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!strcmp(at, files[i]))
            return true;
    return false;
}

static void find_container_by_mounts(struct host *host, struct lines *lines, const char *directory)
{
    char *line;
    if (!open_lines(lines, directory, "mountinfo"))
        return;
    while (!host->container_id[0] && (line = lines_next(lines)))
        if (is_made_for_container(line))
            take_container(host, line);
    lines_close(lines);
}

/* ---- both of them -------------------------------------------------------------------------------------------------------------
 */

static void find_by_cgroup(struct host *host, struct lines *lines, const char *directory)
{
    char *line;
    host->unit[0] = host->container_id[0] = '\0';
    if (!open_lines(lines, directory, "cgroup"))
        return;
    while ((line = lines_next(lines))) {
        if (!host->unit[0])
            take_unit_of_line(host, line);
        if (!host->container_id[0])
            take_container(host, line);
    }
    lines_close(lines);
}

void host_find_unit_and_container(struct host *host, struct lines *lines, const char *directory)
{
    find_by_cgroup(host, lines, directory);
    if (!host->container_id[0])
        find_container_by_mounts(host, lines, directory);
}

/* ---- this process --------------------------------------------------------------------------------------------------------- */

/* Whether cgroups are seen with their whole path here: then a container's id is in it, and mounts, which may be many, tell no more.
 */
static bool sees_whole_cgroup(void)
{
    const uint64_t first_namespace = 0xeffffffb; /* PROC_CGROUP_INIT_INO */
    struct statx namespace;
    return sys_statx(AT_FDCWD, "/proc/self/ns/cgroup", 0, &namespace) == 0 && namespace.stx_ino == first_namespace;
}

static void find_out(struct host *host, struct lines *lines)
{
    struct utsname name;
    struct text text = TEXT(host->name);
    if (sys_call(SYS_uname, &name) == 0)
        text_add(&text, name.nodename);
    long length = lines_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", host->boot_id, sizeof host->boot_id);
    host->boot_id[length > 0 ? strcspn(host->boot_id, "\n") : 0] = '\0';
    find_ancestors(host);
    find_by_cgroup(host, lines, "/proc/self");
    if (!host->container_id[0] && !sees_whole_cgroup())
        find_container_by_mounts(host, lines, "/proc/self");
    find_invocation(host, lines);
}

/* What the first line of this process has found out. A fork child has its parent's, which isn't its own, and stays without. */
static struct host known;
static int known_state;
enum { UNKNOWN, FILLING, KNOWN };

void host_learn(struct host *host, struct lines *lines)
{
    int saved = errno, unknown = UNKNOWN;
    bool is_known = __atomic_load_n(&known_state, __ATOMIC_ACQUIRE) == KNOWN;
    pid_t thread = sys_gettid(), parent = (pid_t)sys_call(SYS_getppid);
    pid_t pid = is_known && known.pid == thread ? thread : sys_getpid(); /* a first thread has the number of its process */
    is_known = is_known && known.pid == pid && known.parent == parent;
    *host = is_known ? known : (struct host){ .pid = pid, .parent = parent };
    host->thread = thread;
    host->user = sys_geteuid();
    if (is_known)
        return;
    find_out(host, lines);
    if (!process_borrows_memory() &&
        __atomic_compare_exchange_n(&known_state, &unknown, FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        known = *host;
        __atomic_store_n(&known_state, KNOWN, __ATOMIC_RELEASE);
    }
    errno = saved;
}

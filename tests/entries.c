/*
 * The table of entry points against the library that was built from it, and against a small program that calls each of them,
 * compiled in four ways.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

static const char *const exported[] = {
#define ENTRY(result, name, parameters) #name,
#define LEFT_OUT(name, reason)
#include "../shim/preload/entries.def"
#undef ENTRY
#undef LEFT_OUT
};

static const struct {
    const char *name, *reason;
} left_out[] = {
#define ENTRY(result, name, parameters)
#define LEFT_OUT(name, reason) { #name, reason },
#include "../shim/preload/entries.def"
#undef ENTRY
#undef LEFT_OUT
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What the victim does beyond the rows: system calls by number, fortified calls, and the ways to end that have no row. */
static const char *const more_entries[] = {
    "fortified-open",
    "fortified-openat",
    "syscall-openat",
    "syscall-openat2",
    "syscall-close",
    "syscall-close_range",
    "syscall-dup3",
    "syscall-exit_group",
    "syscall-exit",
    "syscall-truncate",
    "syscall-kill",
    "syscall-execve",
    "syscall-execveat",
    "return",
    "exit",
    "exclusive",
    "syscall-write",
    "remove-directory",
    "syscall-renameat2",
    "syscall-linkat",
    "syscall-unlinkat",
#ifdef SYS_rename
    "syscall-rename",
    "syscall-link",
    "syscall-unlink",
    "syscall-rmdir",
#endif
#ifdef SYS_renameat
    "syscall-renameat",
#endif
#ifdef SYS_open
    "syscall-open",
    "syscall-creat",
    "syscall-dup2",
#endif
#ifdef HAS_TIME64_NAMES
    "syscall-waitpid",
    "syscall-truncate64",
#endif
};

static const char *const builds[] = {
    "plain",  "fortify", "lfs", "cxx",
#ifdef HAS_TIME64_NAMES
    "time64",
#endif
};

static bool is_exported(const char *name)
{
    for (size_t i = 0; i < COUNT(exported); i++)
        if (!strcmp(exported[i], name))
            return true;
    return false;
}

Test(entries, library_exports_exactly_the_table)
{
    char line[200];
    size_t found = 0;
    FILE *names = popen("nm -D --defined-only " LIBRARY " | awk '{print $3}'", "r");
    while (fgets(line, sizeof line, names)) {
        line[strcspn(line, "@\n")] = '\0';
        cr_expect(is_exported(line), "%s is exported and not in the table", line);
        found++;
    }
    cr_expect_eq(pclose(names), 0);
    cr_expect_eq(found, COUNT(exported), "%zu names exported, %zu in the table", found, COUNT(exported));
}

Test(entries, library_needs_libc_alone)
{
    char line[200];
    size_t found = 0;
    FILE *needed = popen("readelf -d " LIBRARY " | grep NEEDED", "r");
    while (fgets(line, sizeof line, needed)) {
        cr_expect_not_null(strstr(line, "[libc.so.6]"), "%s", line);
        found++;
    }
    pclose(needed);
    cr_expect_eq(found, 1);
}

/* So it loads wherever glibc is that or newer, whatever it was built with: what is newer would end every program at its start. */
Test(entries, library_needs_nothing_newer_than_glibc_2_31)
{
    char line[200];
    size_t found = 0;
    FILE *needed = popen("objdump -T " LIBRARY " | grep -o '\\*UND\\*.*'", "r");
    while (fgets(line, sizeof line, needed)) {
        int minor = 0, patch = 0;
        const char *version = strstr(line, "GLIBC_");
        if (!version)
            continue;
        cr_expect(sscanf(version, "GLIBC_2.%d.%d", &minor, &patch) > 0 && minor <= 31, "%s", line);
        found++;
    }
    cr_expect_eq(pclose(needed), 0);
    cr_expect_gt(found, 0);
}

/* Each would be a page fault and a copy, in every process that starts. */
Test(entries, library_writes_to_one_page_where_nothing_is_busy)
{
    char line[200];
    size_t found = 0;
    FILE *segments = popen("readelf -lW " LIBRARY " | grep LOAD", "r");
    while (fgets(line, sizeof line, segments)) {
        unsigned long from, size;
        if (!strstr(line, " RW "))
            continue;
        cr_assert_eq(sscanf(line, " LOAD %*s %lx %*s %*s %lx", &from, &size), 2, "%s", line);
        cr_expect_eq(from / 4096, (from + size - 1) / 4096, "%s", line);
        found++;
    }
    cr_expect_eq(pclose(segments), 0);
    cr_expect_eq(found, 1);
}

Test(entries, what_is_left_out_says_why_and_is_not_exported)
{
    cr_assert_gt(COUNT(left_out), 0);
    for (size_t i = 0; i < COUNT(left_out); i++) {
        cr_expect_gt(strlen(left_out[i].reason), 20, "%s", left_out[i].name);
        cr_expect_not(is_exported(left_out[i].name), "%s", left_out[i].name);
    }
}

enum kind { WRITES, TRUNCATES, STARTS, NAMES };

static enum kind kind_of(const char *entry)
{
    if (strstr(entry, "rename") || strstr(entry, "link") || strstr(entry, "rmdir") || strstr(entry, "remove"))
        return NAMES;
    if (strstr(entry, "truncate"))
        return TRUNCATES;
    if (strstr(entry, "file_actions"))
        return WRITES;
    return strstr(entry, "exec") || strstr(entry, "spawn") || !strcmp(entry, "exclusive") ? STARTS : WRITES;
}

/* Which entry point the log names: the one that met the conflict. */
static bool is_op_of(const char *op, const char *build, const char *entry)
{
    static const char *const others[][2] = {
        { "remove-directory", "remove" },
        { "fstat", "open" },
        { "fstat64", "open" },
        { "fstatat", "open" },
        { "fstatat64", "open" },
        { "__fxstat", "open" },
        { "__fxstat64", "open" },
        { "__fxstatat", "open" },
        { "__fxstatat64", "open" },
        { "__fstat64_time64", "open" },
        { "__fstatat64_time64", "open" },
        { "__wait3_time64", "open" },
        { "__wait4_time64", "open" },
        { "syscall-waitpid", "open" },
        { "statx", "open" },
        { "daemon", "open" },
        { "setuid", "open" },
        { "seteuid", "open" },
        { "setreuid", "open" },
        { "setresuid", "open" },
        { "setfsuid", "open" },
        { "setgid", "open" },
        { "setegid", "open" },
        { "setregid", "open" },
        { "setresgid", "open" },
        { "setfsgid", "open" },
        { "setgroups", "open" },
        { "initgroups", "open" },
        { "syscall-exit", "open" },
        { "syscall-kill", "open" },
        { "chroot", "open" },
        { "pivot_root", "open" },
        { "unshare", "open" },
        { "setns", "open" },
        { "capset", "open" },
        { "prctl", "open" },
        { "__prctl_time64", "open" },
        { "fclose", "fopen" },
        { "fflush", "fopen" },
        { "clearerr", "fopen" },
        { "clearerr_unlocked", "fopen" },
        { "rewind", "fopen" },
        { "fflush_unlocked", "fopen" },
        { "close", "open" },
        { "__close", "open" },
        { "dup2", "open" },
        { "__dup2", "open" },
        { "dup3", "open" },
        { "close_range", "open" },
        { "closefrom", "open" },
        { "flock", "open" },
        { "_exit", "open" },
        { "_Exit", "open" },
        { "quick_exit", "open" },
        { "return", "open" },
        { "exit", "open" },
        { "system", "open" },
        { "popen", "open" },
        { "syscall-close", "open" },
        { "syscall-close_range", "open" },
        { "syscall-dup2", "open" },
        { "syscall-dup3", "open" },
        { "syscall-exit_group", "open" },
        { "exclusive", "posix_spawn" },
    };
    /* The writers' rows, which meet no conflict of their own. */
    static const char *const opened[] = {
        "write",      "__write",     "pwrite",    "pwrite64",        "__pwrite64",      "writev",
        "pwritev",    "pwritev64",   "pwritev2",  "pwritev64v2",     "copy_file_range", "sendfile",
        "sendfile64", "splice",      "dprintf",   "vdprintf",        "__dprintf_chk",   "__vdprintf_chk",
        "ftruncate",  "ftruncate64", "fallocate", "fallocate64",     "posix_fallocate", "posix_fallocate64",
        "wait",       "__wait",      "waitpid",   "__waitpid",       "wait3",           "wait4",
        "waitid",     "fsync",       "fdatasync", "sync_file_range", "syscall-write",   "kill",
        "killpg",
    };
    char expected[64];
    /* The child ends it, or the parent, when that is later. */
    if (strstr(entry, "file_actions"))
        return !strcmp(op, "posix_spawn_file_actions_addopen") || !strcmp(op, "fclose") || !strcmp(op, "exit");
    for (size_t i = 0; i < COUNT(opened); i++)
        if (!strcmp(opened[i], entry))
            entry = "open";
    for (size_t i = 0; i < COUNT(others); i++)
        if (!strcmp(others[i][0], entry))
            entry = others[i][1];
    if (!strncmp(entry, "syscall-", 8))
        entry = "syscall";
    if (!strncmp(entry, "fortified-", 10)) {
#ifdef __clang__ /* 14, with glibc 2.36: has no fortified open, which needs __builtin_va_arg_pack */
        bool fortified = false;
#else
        bool fortified = !strcmp(build, "fortify");
#endif
        snprintf(expected, sizeof expected, fortified ? "__%s_2" : "%s", entry + 10);
    } else {
        snprintf(expected, sizeof expected, "%s", entry);
    }
    if (!strcmp(op, expected))
        return true;
    /* With 64-bit offsets the plain names are libc's other ones. */
    strcat(expected, "64");
    return (!strcmp(build, "lfs") || !strcmp(build, "time64")) && !strcmp(op, expected);
}

static const char *entry_at(size_t i)
{
    return i < COUNT(exported) ? exported[i] : more_entries[i - COUNT(exported)];
}

static bool is_called_by_name(const char *entry)
{
    return strcmp(entry, "syscall") != 0; /* its variants are in more_entries */
}

/* Where the victim was made for another libc or machine than these tests. */
#ifdef MAY_LACK
#define IS_NATIVE false
#else
#define IS_NATIVE true
#endif
#ifdef OTHER_MACHINE
#define IS_OTHER_MACHINE true
#else
#define IS_OTHER_MACHINE false
#endif
#define LACKED 77

/* What qemu-user (7.2) makes something else of. */
#ifdef UNDER_QEMU
#define IS_EMULATED true
#else
#define IS_EMULATED false
#endif
static const struct {
    const char *entry, *reason;
} changed_by_qemu[] = {
    { "execveat", "ENOSYS" },
    { "syscall-execveat", "ENOSYS" },
    { "syscall-openat2", "ENOSYS" },
    { "fexecve", "the interpreter can't open a descriptor that is close-on-exec" },
    { "posix_spawn", "vfork is a fork there: the child's error doesn't come back" },
    { "posix_spawnp", "likewise" },
    { "exclusive", "likewise" },
    { "posix_spawn_file_actions_addopen", "likewise" },
    { "posix_spawn_file_actions_adddup2", "likewise" },
    { "posix_spawn_file_actions_addclose", "likewise" },
    { "posix_spawn_file_actions_addchdir_np", "likewise" },
    { "posix_spawn_file_actions_addfchdir_np", "likewise" },
    { "posix_spawn_file_actions_addclosefrom_np", "likewise" },
    { "syscall-exit", "/proc/self/task has a thread of the emulator" },
    { "remove-directory", "strace counts the emulator's calls" },
};

static const char *not_under_this(const char *entry)
{
    for (size_t i = 0; IS_EMULATED && i < COUNT(changed_by_qemu); i++)
        if (!strcmp(changed_by_qemu[i].entry, entry))
            return changed_by_qemu[i].reason;
    return NULL;
}

static const char *victim_of(const char *build)
{
    static char victim[PATH_MAX];
    snprintf(victim, sizeof victim, BUILD_DIR "/tests/victim-%s", build);
    return victim;
}

static int run_victim(const struct place *place, enum shim shim, const char *environment, const char *build, const char *entry)
{
    return status_code(
        run_program_with(place, shim, environment, (const char *const[]){ victim_of(build), entry, place->target, NULL }));
}

/* The same where the kernel answers the first `times` calls that change a name with ETXTBSY, as no file system here does. */
static int run_refused_victim(const struct place *place, const char *build, const char *entry, int times)
{
    char inject[200], log[PATH_MAX];
    snprintf(inject, sizeof inject, "inject=/^(rename(at2?)?|(un)?link(at)?|rmdir)$:error=ETXTBSY:when=1..%d", times);
    snprintf(log, sizeof log, "ETXTBSY_LOG=%s", place->log);
    return status_code(
        run_program_with(place, WITHOUT_SHIM, NULL,
                         (const char *const[]){ "strace", "-qq", "-o", "/dev/null", "-e", inject, "env", "LD_PRELOAD=" PRELOAD, log,
                                                victim_of(build), entry, place->target, NULL }));
}

/* What is started is of the victim's kind, also where what is written to isn't. */
static void reset_for(struct place *place, const char *entry)
{
    place_reset(place);
    if (!IS_NATIVE && kind_of(entry) == STARTS) {
        size_t length;
        char *content = read_file(BUILD_DIR "/tests/target", &length);
        int fd = open(place->target, O_WRONLY | O_TRUNC);
        cr_assert_eq(write(fd, content, length), (ssize_t)length);
        close(fd);
        free(content);
    }
}

/* On an idle target nobody can tell that the shim is there. Returns false for an entry that isn't there either. */
static bool check_idle(struct place *place, const char *build, const char *entry)
{
    char *tree[2], *out[2], *err[2];
    int status[2];
    for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
        reset_for(place, entry);
        status[shim] = run_victim(place, shim, NULL, build, entry);
        tree[shim] = tree_text(place->directory);
        out[shim] = read_file(place->out, NULL);
        err[shim] = read_file(place->err, NULL);
    }
    if (!IS_NATIVE && status[0] == LACKED)
        return false;
    cr_expect_eq(status[0], 0, "%s %s: idle, without the shim: status %d, %s", build, entry, status[0], err[0]);
    cr_expect_eq(status[0], status[1], "%s %s: idle: status %d becomes %d", build, entry, status[0], status[1]);
    cr_expect_str_eq(tree[1], tree[0], "%s %s", build, entry);
    cr_expect_str_eq(out[1], out[0], "%s %s", build, entry);
    cr_expect_str_eq(err[1], err[0], "%s %s", build, entry);
    cr_expect_eq(access(place->log, F_OK), -1, "%s %s: an idle target is logged", build, entry);
    return true;
}

static void check_line(const struct place *place, const char *build, const char *entry, const char *event, const char *outcome)
{
    struct json_object *lines = log_lines(place);
    cr_expect_eq(json_object_array_length(lines), 1, "%s %s: %zu lines: %s", build, entry, json_object_array_length(lines),
                 json_object_to_json_string(lines));
    if (json_object_array_length(lines)) {
        struct json_object *line = json_object_array_get_idx(lines, 0);
        const char *op = line_string(line, "op");
        cr_expect(is_op_of(op, build, entry), "%s %s: op is %s", build, entry, op);
        cr_expect_str_eq(line_string(line, "event"), event, "%s %s", build, entry);
        cr_expect_str_eq(line_string(line, "outcome"), outcome, "%s %s", build, entry);
        cr_expect_str_eq(line_string(line, "target"), place->target, "%s %s", build, entry);
    }
    json_object_put(lines);
}

static void check_content(const struct place *place, const char *build, const char *entry)
{
    char expected[100], *content = read_file(place->target, NULL);
    snprintf(expected, sizeof expected, "%s\n", entry);
    if (kind_of(entry) == TRUNCATES) {
        struct stat file;
        cr_expect_eq(stat(place->target, &file), 0);
        cr_expect_eq(file.st_size, 5, "%s %s: %ld bytes", build, entry, (long)file.st_size);
        cr_expect_eq(memcmp(content, "\177ELF", 4), 0);
    } else {
        cr_expect_str_eq(content, expected, "%s %s", build, entry);
    }
    cr_expect_eq(litter_count(place), 0, "%s %s", build, entry);
    free(content);
}

/* Under the action atomic an idle file is replaced as well, by whichever name. */
static void check_atomic_write(struct place *place, const char *build, const char *entry)
{
    struct stat before, after;
    place_reset(place);
    stat(place->target, &before);
    int status = run_victim(place, WITH_SHIM, ATOMIC, build, entry);
    stat(place->target, &after);
    cr_expect_eq(status, 0, "%s %s: atomic: status %d", build, entry, status);
    check_content(place, build, entry);
    cr_expect_neq(after.st_ino, before.st_ino, "%s %s: written in place", build, entry);
    cr_expect_eq(log_count(place, "action", "atomic"), 1, "%s %s", build, entry);
    cr_expect_eq(log_count(place, "error", "none"), 1, "%s %s", build, entry);
}

/* The shell that libc starts can't adopt the stage; a process that gives up rights may not be allowed to rename. */
static bool is_put_in_place_before(const char *entry)
{
    static const char *const those[] = { "system",  "popen",  "initgroups", "chroot",        "pivot_root",
                                         "unshare", "capset", "prctl",      "__prctl_time64" };
    for (size_t i = 0; i < COUNT(those); i++)
        if (!strcmp(those[i], entry))
            return true;
    return !strncmp(entry, "set", 3) || (IS_OTHER_MACHINE && strstr(entry, "posix_spawn")); /* echo is of this one */
}

static void check_busy_write(struct place *place, const char *build, const char *entry)
{
    char exe[64], now[PATH_MAX] = "";
    place_reset(place);
    pid_t running = run_busy(place->target);
    cr_expect_neq(run_victim(place, WITHOUT_SHIM, NULL, build, entry), 0, "%s %s: the target isn't busy", build, entry);
    int status = run_victim(place, WITH_SHIM, NULL, build, entry);
    char *err = read_file(place->err, NULL);
    cr_expect_eq(status, 0, "%s %s: busy: status %d, %s", build, entry, status, err);
    check_content(place, build, entry);

    snprintf(exe, sizeof exe, "/proc/%d/exe", running);
    cr_expect_gt(readlink(exe, now, sizeof now - 1), 0);
    cr_expect_not_null(strstr(now, " (deleted)"), "%s %s: the old program runs %s", build, entry, now);
    check_line(place, build, entry, "redirect", is_put_in_place_before(entry) ? "published-early" : "replaced");
    stop(running);
    free(err);
}

static void check_busy_start(struct place *place, const char *build, const char *entry)
{
    char expected[100];
    reset_for(place, entry);
    snprintf(expected, sizeof expected, "started %s\n", entry);
    pid_t holder = hold_until_tried(place->target, 30);
    int status = run_victim(place, WITH_SHIM, NULL, build, entry);
    char *out = read_file(place->out, NULL), *err = read_file(place->err, NULL);
    cr_expect_eq(status, 0, "%s %s: busy: status %d, %s", build, entry, status, err);
    cr_expect_str_eq(out, expected, "%s %s", build, entry);
    cr_expect_str_eq(err, "", "%s %s", build, entry);
    check_line(place, build, entry, "wait", "succeeded");
    stop(holder);
    free(out);
    free(err);
}

static void check_busy_name(struct place *place, const char *build, const char *entry)
{
    place_reset(place);
    cr_expect_eq(run_victim(place, WITHOUT_SHIM, NULL, build, entry), 0);
    char *expected = tree_text(place->directory);
    place_reset(place);
    int status = run_refused_victim(place, build, entry, 3);
    char *err = read_file(place->err, NULL), *tree = tree_text(place->directory);
    cr_expect_eq(status, 0, "%s %s: busy: status %d, %s", build, entry, status, err);
    cr_expect_str_eq(err, "", "%s %s", build, entry);
    cr_expect_str_eq(tree, expected, "%s %s", build, entry);
    struct json_object *lines = log_lines(place);
    cr_assert_eq(json_object_array_length(lines), 1, "%s %s: %zu lines", build, entry, json_object_array_length(lines));
    struct json_object *line = json_object_array_get_idx(lines, 0);
    cr_expect(is_op_of(line_string(line, "op"), "plain", entry), "%s %s: op is %s", build, entry, line_string(line, "op"));
    cr_expect_str_eq(line_string(line, "event"), "wait", "%s %s", build, entry);
    cr_expect_str_eq(line_string(line, "outcome"), "succeeded", "%s %s", build, entry);
    /* remove is refused by unlink, and when that says that it is a directory, by rmdir. */
    cr_expect_eq(line_number(line, "attempts"), strcmp(entry, "remove-directory") ? 4 : 7, "%s %s: %d attempts", build, entry,
                 (int)line_number(line, "attempts"));
    cr_expect_eq(strncmp(line_string(line, "target"), place->target, strlen(place->target)), 0, "%s %s", build, entry);
    json_object_put(lines);
    free(expected);
    free(tree);
    free(err);
}

ParameterizedTestParameters(entries, every_row_is_covered_in_every_build)
{
    static int builds_to_do[COUNT(builds)];
    for (size_t i = 0; i < COUNT(builds); i++)
        builds_to_do[i] = (int)i;
    return cr_make_param_array(int, builds_to_do, COUNT(builds));
}

ParameterizedTest(int *which, entries, every_row_is_covered_in_every_build, .timeout = 600)
{
    const char *build = builds[*which];
    struct place place;
    char missing[100];
    if (!IS_NATIVE && access(victim_of(build), X_OK)) {
        fprintf(stderr, "skipped: there is no victim-%s\n", build);
        return;
    }
    bool can_refuse = have_programs("strace", missing);
    if (!can_refuse)
        fprintf(stderr, "skipped: names that can't be changed (there is no strace here)\n");
    place_make(&place);
    int checked = 0;
    for (size_t i = 0; i < COUNT(exported) + COUNT(more_entries); i++) {
        const char *entry = entry_at(i);
        if (!is_called_by_name(entry))
            continue;
        if (not_under_this(entry)) {
            fprintf(stderr, "skipped under qemu: %s (%s)\n", entry, not_under_this(entry));
            continue;
        }
        if (!check_idle(&place, build, entry)) {
            fprintf(stderr, "skipped: %s (this libc or this machine doesn't have it)\n", entry);
            continue;
        }
        checked++;
        if (kind_of(entry) == STARTS) {
            check_busy_start(&place, build, entry);
        } else if (kind_of(entry) == NAMES) {
            if (can_refuse)
                check_busy_name(&place, build, entry);
        } else {
            check_busy_write(&place, build, entry);
            check_atomic_write(&place, build, entry);
        }
    }
    printf("%s: %d entry points\n", build, checked);
    place_remove(&place);
}

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../event/host.h"
#include "../sys/image.h"
#include "../sys/text.h"
#include "cli.h"
#include "doctor.h"
#include "program.h"

#define INTERPRETERS_MAX 5 /* execve(2) */
#define CHILDREN_SAID_MAX 20

#define OUT_OF_REACH                                                                                                               \
    "what it does itself is out of reach. Write its files by a program that is dynamic (install, cp) under the library, or let "   \
    "it "

/* ---- a program ----------------------------------------------------------------------------------------------------------------
 */

static bool read_head(const char *path, unsigned char ident[EI_NIDENT])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is = fd >= 0 && read(fd, ident, EI_NIDENT) == EI_NIDENT;
    if (fd >= 0)
        close(fd);
    return is;
}

static void say_privilege(const char *path)
{
    struct stat file;
    char capability[64];
    if (stat(path, &file) == 0 && (file.st_mode & S_ISUID))
        finding_add(FINDING_PROBLEM, "set-id", OUT_OF_REACH "be started by root, for whom it isn't set-id",
                    "%s is set-user-id: ld.so ignores LD_PRELOAD for it", path);
    else if (stat(path, &file) == 0 && (file.st_mode & S_ISGID))
        finding_add(FINDING_PROBLEM, "set-id", OUT_OF_REACH "be started with that group",
                    "%s is set-group-id: ld.so ignores LD_PRELOAD for it", path);
    else if (getxattr(path, "security.capability", capability, sizeof capability) > 0)
        finding_add(FINDING_PROBLEM, "capabilities",
                    OUT_OF_REACH "have its capabilities from its service (AmbientCapabilities=) and not from its file",
                    "%s has file capabilities: ld.so ignores LD_PRELOAD for it", path);
    else
        finding_add(FINDING_PROBLEM, "set-id", "start it with the same real and effective ids",
                    "the real and effective ids differ: ld.so ignores LD_PRELOAD");
}

/* For root a set-id program of root's is like any other; for whoever else starts it, it isn't. */
static void say_privilege_for_others(const char *path)
{
    struct stat file;
    char capability[64];
    if (stat(path, &file) < 0)
        return;
    if ((file.st_mode & (S_ISUID | S_ISGID)) || getxattr(path, "security.capability", capability, sizeof capability) > 0)
        finding_add(FINDING_NOTE, "set-id", NULL,
                    "%s is set-id or has file capabilities: it loads the library as it is started from here, not for other users",
                    path);
}

static void say_elf(const char *path, const struct image *image, const unsigned char ident[EI_NIDENT])
{
    bool is_wide = ident[EI_CLASS] == ELFCLASS64;
    if (ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        finding_add(
            FINDING_PROBLEM, "ELF class",
            is_wide
                ? "build a 64-bit library, and name it by $LIB: LD_PRELOAD=/usr/local/$LIB/" PROGRAM_LIBRARY
                : "build a 32-bit library (make CC='cc -m32'), and name it by $LIB: LD_PRELOAD=/usr/local/$LIB/" PROGRAM_LIBRARY,
            "%s is a %s-bit program, and the library beside this command isn't", path, is_wide ? "64" : "32");
    else if (!image->dynamic)
        finding_add(FINDING_PROBLEM, "static",
                    OUT_OF_REACH "be linked dynamically (no use for Go: its programs call the kernel without libc)",
                    "%s is linked statically, or for another machine: no library is loaded into it", path);
    else if (strstr(image->interpreter, "ld-musl"))
        finding_add(FINDING_PROBLEM, "libc", OUT_OF_REACH "be built for glibc", "%s uses musl (%s), and the library needs glibc",
                    path, image->interpreter);
    else if (!strstr(image->interpreter, "ld-linux") && !strstr(image->interpreter, "/ld64.so") &&
             !strstr(image->interpreter, "/ld.so"))
        finding_add(FINDING_PROBLEM, "libc", OUT_OF_REACH "be built for glibc", "%s is loaded by %s, which isn't glibc's ld.so",
                    path, image->interpreter);
    else if (program_is_go(path))
        finding_add(FINDING_PROBLEM, "Go", OUT_OF_REACH "write another file, and rename that: mv NEW PROGRAM",
                    "%s is a Go program: it loads the library, and calls the kernel without libc; what it starts is reached", path);
    else
        finding_add(FINDING_FINE, "program", NULL, "%s is a dynamic program of this machine, with glibc", path);
}

void doctor_program(const char *path)
{
    char interpreter[IMAGE_INTERPRETER_SIZE], real[PATH_MAX];
    unsigned char ident[EI_NIDENT];
    struct image image;
    for (int depth = 0; depth < INTERPRETERS_MAX; depth++) {
        if (image_inspect(&image, AT_FDCWD, path) < 0) {
            if (depth && errno == ENOENT)
                finding_add(FINDING_PROBLEM, "program", "correct the script's first line, or install that program",
                            "%s isn't there, so the script can't be started", path);
            else
                finding_add(FINDING_NOTE, "program", "ask as root", "%s can't be read: %s", path, strerror(errno));
            return;
        }
        if (image.privileged) {
            say_privilege(path);
            return;
        }
        say_privilege_for_others(path);
        if (!image.script)
            break;
        finding_add(FINDING_FINE, "script", NULL, "%s is a script, run by %s", path, image.interpreter);
        memcpy(interpreter, image.interpreter, sizeof interpreter);
        path = interpreter;
    }
    if (!read_head(path, ident) || memcmp(ident, ELFMAG, SELFMAG) != 0)
        finding_add(FINDING_NOTE, "program", NULL, "%s is no ELF program, and has no #! line: what starts it may run it by a shell",
                    path);
    else
        say_elf(realpath(path, real) ? real : path, &image, ident);
}

/* ---- an environment ------------------------------------------------------------------------------------------------------------
 */

/* What LD_PRELOAD says must be there: ld.so goes on without, and only says so on stderr. */
static void look_at_list(const char *list, const char *whose)
{
    static const char separators[] = " :";
    bool missing = false;
    for (const char *at = list; *(at += strspn(at, separators)); at += strcspn(at, separators)) {
        char item[PATH_MAX];
        snprintf(item, sizeof item, "%.*s", (int)strcspn(at, separators), at);
        if (!program_names_library(item) || !strchr(item, '/') || strchr(item, '$') || access(item, R_OK) == 0)
            continue;
        finding_add(FINDING_PROBLEM, "library", "correct LD_PRELOAD, or install the library there",
                    "%s names %s, and that can't be read: %s", whose, item, strerror(errno));
        missing = true;
    }
    if (!missing)
        finding_add(FINDING_FINE, "environment", NULL, "%s has the library: %s", whose, list);
}

static void say_if_disabled(const char *disable, const char *remedy)
{
    if (disable && !strcmp(disable, "1"))
        finding_add(FINDING_PROBLEM, "environment", remedy, "ETXTBSY_DISABLE=1: everything is off");
}

static bool is_everywhere(void)
{
    char text[4096] = "";
    FILE *file = fopen("/etc/ld.so.preload", "re");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return program_names_library(text);
}

/* Commands that start another one with less than their own environment. */
static bool strips_environment(int argc, char **argv)
{
    static const char *const strippers[] = { "sudo", "doas",        "su",     "runuser", "pkexec",
                                             "ssh",  "systemd-run", "docker", "podman",  "crontab" };
    const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    for (size_t i = 0; i < sizeof strippers / sizeof *strippers; i++)
        if (!strcmp(base, strippers[i])) {
            finding_add(FINDING_PROBLEM, "environment",
                        "start the library behind it: sudo etxtbsy run -- CMD, or sudo env LD_PRELOAD=... CMD",
                        "%s gives the command that it starts an environment of its own, without LD_PRELOAD", base);
            return true;
        }
    if (strcmp(base, "env") != 0)
        return false;
    for (int i = 1; i < argc && (argv[i][0] == '-' || strchr(argv[i], '=')); i++)
        if (!strcmp(argv[i], "-") || !strcmp(argv[i], "-i") || !strcmp(argv[i], "--ignore-environment")) {
            for (int j = i; j < argc; j++) {
                const char *list = text_behind(argv[j], "LD_PRELOAD=");
                if (list && program_names_library(list))
                    return false;
            }
            finding_add(FINDING_PROBLEM, "environment", "env -i LD_PRELOAD=\"$LD_PRELOAD\" CMD",
                        "env %s starts its command with an empty environment, without LD_PRELOAD", argv[i]);
            return true;
        }
    return false;
}

void doctor_command(int argc, char **argv)
{
    char path[PATH_MAX], directory[PATH_MAX];
    if (!program_find(argv[0], path, sizeof path)) {
        cli_trouble_at(argv[0], access(argv[0], F_OK) == 0 ? "it can't be executed; chmod +x, or ask about what runs it"
                                                           : "no such program");
        return;
    }
    doctor_program(path);
    const char *list = getenv("LD_PRELOAD");
    if (!strips_environment(argc, argv)) {
        if (is_everywhere())
            finding_add(FINDING_FINE, "environment", NULL, "/etc/ld.so.preload has the library");
        else if (program_names_library(list))
            look_at_list(list, "LD_PRELOAD");
        else
            finding_add(FINDING_NOTE, "environment", "etxtbsy run -- CMD, or LD_PRELOAD=...",
                        "nothing is started with the library from here: LD_PRELOAD doesn't have it");
    }
    say_if_disabled(getenv("ETXTBSY_DISABLE"), "unset ETXTBSY_DISABLE");
    if (!realpath(path, directory))
        return;
    *strrchr(directory, '/') = '\0';
    doctor_directory(*directory ? directory : "/");
}

/* ---- a process -----------------------------------------------------------------------------------------------------------------
 */

enum loaded { LOADED, LOADED_OLD, NOT_LOADED, LOADED_UNKNOWN };

/* Whether the library is among the files that it has mapped; an old one after an upgrade. */
static enum loaded has_loaded(pid_t pid)
{
    char path[64], *line = NULL;
    size_t size = 0;
    enum loaded found = NOT_LOADED;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return LOADED_UNKNOWN;
    while (found == NOT_LOADED && getline(&line, &size, maps) > 0) {
        char *name = strstr(line, "/" PROGRAM_LIBRARY);
        if (name)
            found = strstr(name, " (deleted)") ? LOADED_OLD : LOADED;
    }
    free(line);
    fclose(maps);
    return found;
}

/* A variable that the process was started with, to be freed; NULL: none. `known` says whether that could be read. */
static char *variable_of(pid_t pid, const char *name, bool *known)
{
    char path[64], *entry = NULL, *value = NULL;
    size_t size = 0, length = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    FILE *environment = fopen(path, "re");
    *known = environment != NULL;
    while (environment && !value && getdelim(&entry, &size, '\0', environment) > 0)
        if (!strncmp(entry, name, length) && entry[length] == '=')
            value = strdup(entry + length + 1);
    free(entry);
    if (environment)
        fclose(environment);
    return value;
}

static void say_environment(pid_t pid)
{
    bool known;
    char *list = variable_of(pid, "LD_PRELOAD", &known), whose[64];
    char *disable = variable_of(pid, "ETXTBSY_DISABLE", &known);
    snprintf(whose, sizeof whose, "LD_PRELOAD of process %d", pid);
    if (!known)
        finding_add(FINDING_NOTE, "environment", "ask as root", "what process %d was started with can't be read", pid);
    else if (program_names_library(list))
        look_at_list(list, whose);
    else
        finding_add(is_everywhere() ? FINDING_FINE : FINDING_PROBLEM, "environment",
                    is_everywhere() ? NULL : "start it again by etxtbsy run, or with LD_PRELOAD in its service's Environment=",
                    "process %d was started without the library in LD_PRELOAD%s", pid,
                    is_everywhere() ? "; /etc/ld.so.preload has it"
                                    : ": somebody on the way has taken it out, or it was never there");
    if (disable && !strcmp(disable, "1"))
        finding_add(FINDING_PROBLEM, "environment", "start it again without ETXTBSY_DISABLE",
                    "ETXTBSY_DISABLE=1: everything is off");
    free(list);
    free(disable);
}

struct relation {
    pid_t pid, parent;
    char comm[16];
};

static struct relation *all_processes(size_t *count)
{
    struct relation *all = NULL;
    size_t room = 0;
    DIR *processes = opendir("/proc");
    *count = 0;
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char directory[HOST_DIRECTORY_SIZE];
        struct host_process process;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !host_process(&process, host_directory(directory, pid)))
            continue;
        if (*count == room && !(all = realloc(all, (room = room ? 2 * room : 256) * sizeof *all)))
            abort();
        all[*count] = (struct relation){ .pid = pid, .parent = process.parent };
        memcpy(all[(*count)++].comm, process.comm, sizeof process.comm);
    }
    if (processes)
        closedir(processes);
    return all;
}

static bool descends(const struct relation *all, size_t count, pid_t pid, pid_t ancestor)
{
    for (size_t steps = 0; steps < count && pid > 1; steps++) {
        size_t i = 0;
        while (i < count && all[i].pid != pid)
            i++;
        if (i == count)
            return false;
        if (all[i].parent == ancestor)
            return true;
        pid = all[i].parent;
    }
    return false;
}

static void say_children(pid_t pid)
{
    size_t count, reached = 0, missed = 0;
    struct relation *all = all_processes(&count);
    for (size_t i = 0; i < count; i++) {
        char path[64], exe[PATH_MAX];
        if (all[i].pid == getpid() || !descends(all, count, all[i].pid, pid))
            continue;
        enum loaded loaded = has_loaded(all[i].pid);
        snprintf(path, sizeof path, "/proc/%d/exe", all[i].pid);
        ssize_t length = readlink(path, exe, sizeof exe - 1);
        if (loaded != NOT_LOADED || length < 0) {
            reached += loaded != NOT_LOADED;
            continue;
        }
        exe[length] = '\0';
        if (missed++ >= CHILDREN_SAID_MAX)
            continue;
        const char *refusal = program_refuses(path);
        bool known;
        char *list = variable_of(all[i].pid, "LD_PRELOAD", &known);
        finding_add(FINDING_PROBLEM, "child",
                    refusal ? OUT_OF_REACH "be linked dynamically, without other rights" : "etxtbsy doctor PID, for it",
                    "process %d (%s, %s) hasn't loaded the library: %s", all[i].pid, all[i].comm, exe,
                    refusal                       ? refusal
                    : program_names_library(list) ? "though LD_PRELOAD names it"
                                                  : "LD_PRELOAD was taken out of its environment");
        free(list);
    }
    free(all);
    if (reached || !missed)
        finding_add(FINDING_FINE, "children", NULL, reached ? "%zu of its children have loaded the library" : "it has none now",
                    reached);
    if (missed > CHILDREN_SAID_MAX)
        finding_add(FINDING_NOTE, "children", NULL, "%zu more have not", missed - CHILDREN_SAID_MAX);
}

void doctor_process(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    enum loaded loaded = has_loaded(pid);
    if (loaded == LOADED_UNKNOWN) {
        if (errno == ENOENT || errno == ESRCH)
            cli_trouble("there is no process %d", pid);
        else
            cli_trouble("process %d can't be looked at: %s%s", pid, strerror(errno), geteuid() ? "; ask as root" : "");
        return;
    }
    if (loaded == LOADED) {
        finding_add(FINDING_FINE, "process", NULL, "process %d has loaded the library", pid);
    } else if (loaded == LOADED_OLD) {
        finding_add(FINDING_NOTE, "process", "restart it when it suits",
                    "process %d has loaded a library that has been replaced since", pid);
    } else {
        finding_add(FINDING_PROBLEM, "process", "see below", "process %d has not loaded the library", pid);
        doctor_program(path);
        say_environment(pid);
    }
    if (loaded != NOT_LOADED) {
        bool known;
        char *disable = variable_of(pid, "ETXTBSY_DISABLE", &known);
        if (disable && !strcmp(disable, "1"))
            finding_add(FINDING_PROBLEM, "environment", "start it again without ETXTBSY_DISABLE",
                        "ETXTBSY_DISABLE=1: everything is off");
        free(disable);
    }
    say_children(pid);
}

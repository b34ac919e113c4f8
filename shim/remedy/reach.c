#include "reach.h"

#include <linux/limits.h>
#include <string.h>
#include <unistd.h>

#include "../sys/call.h"
#include "../sys/directory.h"
#include "../sys/image.h"
#include "../sys/lasting.h"
#include "../sys/next.h"
#include "../sys/process.h"
#include "../sys/readable.h"
#include "../sys/scratch.h"
#include "../sys/text.h"

#define PRELOAD_FILE "/etc/ld.so.preload"
#define PRELOAD_FILE_SIZE 4096
#define INTERPRETERS_MAX 5 /* execve(2): the kernel gives up behind this many */

static const char *variable(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment && *environment; environment++)
        if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

static bool is_executable(int dirfd, const char *path)
{
    struct statx file;
    return sys_statx(dirfd, path, 0, &file) == 0 && S_ISREG(file.stx_mode) && sys_may_access(dirfd, path, X_OK);
}

/* As execvp does: PATH of this process, not of the new one; the first that can be executed. */
static bool search(const char *file, const char *path, char *candidate)
{
    for (const char *at = path ? path : "/bin:/usr/bin";; at++) {
        size_t length = strcspn(at, ":");
        struct text text = text_over(candidate, PATH_MAX);
        text_bytes(&text, at, length);
        text_add(&text, length ? "/" : "./");
        text_add(&text, file);
        if (!text.full && is_executable(AT_FDCWD, candidate))
            return true;
        at += length;
        if (!*at)
            return false;
    }
}

bool reach_candidate(const struct run *run, char *candidate)
{
    int saved = errno;
    bool found = false;
    if (!readable_text(run->path)) { /* EFAULT is the kernel's to say */
        found = false;
    } else if (run->flags & AT_EMPTY_PATH && !*run->path) {
        candidate[0] = '\0';
        found = true;
    } else if (run->searches && !strchr(run->path, '/')) {
        found = *run->path && search(run->path, variable(process_environment(), "PATH"), candidate);
    } else {
        struct text text = text_over(candidate, PATH_MAX);
        text_add(&text, run->path);
        found = !text.full && is_executable(run->dirfd, candidate);
    }
    errno = saved;
    return found;
}

bool reach_target(const struct run *run, const char *candidate, struct stage_target *target)
{
    char link[DESCRIPTOR_LINK_SIZE];
    int saved = errno;
    bool found = candidate[0] ? stage_resolve(target, run->dirfd, candidate, 0, 0) == 0
                              : stage_resolve(target, AT_FDCWD, descriptor_link(link, run->dirfd), 0, 0) == 0;
    errno = saved;
    return found;
}

/*
 * Whether one entry of a list of libraries will be this one. A name with a slash must lead to the file that is loaded here, for
 * the ids that the new program will have: after a chroot, a change of directory or of user it may not. One without is
 * searched for by ld.so as this one was.
 */
static bool is_this_library(const char *entry, size_t length, const char *own_path)
{
    char *path = scratch_map(PATH_MAX);
    struct statx named, loaded;
    bool is = false;
    if (path && length < PATH_MAX) {
        memcpy(path, entry, length);
        path[length] = '\0';
        const char *expanded = strchr(path, '$'); /* $LIB, $ORIGIN: believed when the name is right */
        is = !strcmp(text_base(path), text_base(own_path)) &&
             (expanded || !strchr(path, '/') ||
              (sys_statx(AT_FDCWD, path, 0, &named) == 0 && sys_may_access(AT_FDCWD, path, R_OK) &&
               sys_statx(AT_FDCWD, own_path, 0, &loaded) == 0 && sys_same_file(&named, &loaded)));
    }
    scratch_unmap(path, PATH_MAX);
    return is;
}

static bool names_this_library(const char *list)
{
    static const char separators[] = " :\t\n";
    const char *own_path = list ? next_own_path() : NULL;
    if (!own_path)
        return false;
    for (const char *at = list + strspn(list, separators); *at; at += strspn(at, separators)) {
        size_t length = strcspn(at, separators);
        if (is_this_library(at, length, own_path))
            return true;
        at += length;
    }
    return false;
}

static bool is_preloaded_everywhere(void)
{
    bool found = false;
    char *text = scratch_map(PRELOAD_FILE_SIZE);
    int fd = text ? sys_openat(AT_FDCWD, PRELOAD_FILE, O_RDONLY | O_CLOEXEC, 0) : -1;
    ssize_t length = fd < 0 ? -1 : sys_read(fd, text, PRELOAD_FILE_SIZE - 1);
    if (length > 0) {
        text[length] = '\0';
        found = names_this_library(text);
    }
    sys_close_quietly(fd);
    scratch_unmap(text, PRELOAD_FILE_SIZE);
    return found;
}

bool reach_extends_to(const struct run *run, const char *candidate)
{
    int saved = errno, dirfd = run->dirfd;
    char path[IMAGE_INTERPRETER_SIZE];
    struct image image;
    bool loads = false;
    for (int depth = 0; depth < INTERPRETERS_MAX; depth++) {
        if (image_inspect(&image, dirfd, candidate) < 0 || image.privileged)
            break;
        if (!image.script) {
            /* musl's loader takes LD_PRELOAD, too, but can't load a library that needs glibc. */
            loads = image.dynamic && image.interpreter[0] && !strstr(image.interpreter, "ld-musl");
            break;
        }
        memcpy(path, image.interpreter, sizeof path);
        if (!*path)
            break;
        candidate = path;
        dirfd = AT_FDCWD;
    }
    loads = loads && (names_this_library(variable(run->envp, "LD_PRELOAD")) || is_preloaded_everywhere());
    errno = saved;
    return loads;
}

#define PRELOAD "LD_PRELOAD="

/* Finds the item of a list of libraries that is the relative path by which this library was loaded. */
static bool find_relative(const char *list, const char **item)
{
    static const char separators[] = " :";
    for (const char *at = list + strspn(list, separators); *at; at += strspn(at, separators)) {
        size_t length = strcspn(at, separators);
        const char *own_path = *at != '/' && *at != '$' && memchr(at, '/', length) ? next_own_path() : NULL;
        if (own_path && strlen(own_path) == length && !memcmp(own_path, at, length)) {
            *item = at;
            return true;
        }
        at += length;
    }
    return false;
}

void reach_make_absolute(char **environment)
{
    static void *place; /* of what stays in the environment */
    int saved = errno;
    for (; *environment; environment++) {
        const char *item;
        if (strncmp(*environment, PRELOAD, strlen(PRELOAD)) != 0)
            continue;
        if (!find_relative(*environment + strlen(PRELOAD), &item))
            break;
        char *directory = scratch_map(PATH_MAX), *absolute = lasting_memory(&place, PATH_MAX, LASTING_PRIVATE);
        struct text text = { 0 };
        if (absolute)
            text = text_over(absolute, PATH_MAX);
        if (directory && absolute && sys_call(SYS_getcwd, directory, PATH_MAX) > 0 && directory[0] == '/') {
            text_bytes(&text, *environment, (size_t)(item - *environment));
            text_add(&text, directory);
            text_add(&text, "/");
            text_add(&text, item);
            if (!text.full)
                *environment = absolute;
        }
        scratch_unmap(directory, PATH_MAX);
        break;
    }
    errno = saved;
}

#include "reach.h"

#include <dlfcn.h>
#include <linux/limits.h>
#include <string.h>

#include "../sys/call.h"
#include "../sys/image.h"
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
    return sys_statx(dirfd, path, 0, &file) == 0 && S_ISREG(file.stx_mode) &&
           sys_call(SYS_faccessat, dirfd, path, 1L /* X_OK */) == 0;
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
    extern char **environ;
    int saved = errno;
    bool found = false;
    if (run->flags & AT_EMPTY_PATH && !*run->path) {
        candidate[0] = '\0';
        found = true;
    } else if (run->searches && !strchr(run->path, '/')) {
        found = *run->path && search(run->path, variable(environ, "PATH"), candidate);
    } else {
        struct text text = text_over(candidate, PATH_MAX);
        text_add(&text, run->path);
        found = !text.full && is_executable(run->dirfd, candidate);
    }
    errno = saved;
    return found;
}

/* Whether a list of libraries, as in LD_PRELOAD, has this one: the same file name, wherever. */
static bool names_this_library(const char *list)
{
    Dl_info info;
    if (!list || !dladdr((const void *)names_this_library, &info) || !info.dli_fname)
        return false;
    const char *name = text_base(info.dli_fname);
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || strchr(" :/\n", at[-1])) && strchr(" :\n\t", at[length]))
            return true;
    return false;
}

static bool is_preloaded_everywhere(void)
{
    bool found = false;
    char *text = scratch_map(PRELOAD_FILE_SIZE);
    int fd = text ? sys_openat(AT_FDCWD, PRELOAD_FILE, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd >= 0 && sys_read(fd, text, PRELOAD_FILE_SIZE - 1) > 0)
        found = names_this_library(text);
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

/*
 * Programs that don't come to libc's functions by the usual way, each as a scene: `loads SCENE TARGET`. What a scene leaves in
 * TARGET and prints must be the same with the library as without, where the file is idle; what it does on a busy file is
 * for the test to say.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scene.h"

static const char *build(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("BUILD"), name);
    return path;
}

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name); /* RTLD_DEFAULT is NULL: a missing library is found out by the name of ours */
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void write_by(void *library)
{
    int (*plugin_write)(const char *, const char *) = (int (*)(const char *, const char *))symbol(library, "plugin_write");
    printf("%s\n", plugin_write(target, "plugin") < 0 ? strerror(errno) : "written");
}

static void plugin(void)
{
    write_by(dlopen(build("tests/plugin.so"), RTLD_NOW));
}

static void plugin_bound_to_itself(void)
{
    write_by(dlopen(build("tests/plugin.so"), RTLD_NOW | RTLD_DEEPBIND));
}

static void plugin_in_a_namespace(void)
{
    write_by(dlmopen(LM_ID_NEWLM, build("tests/plugin.so"), RTLD_NOW));
}

/* The loader's lock is held while a constructor runs: nobody else may need it, or the scene never ends. */
static void plugin_that_waits_for_a_thread(void)
{
    alarm(20);
    must(dlopen(build("tests/threaded_plugin.so"), RTLD_NOW) != NULL);
}

/* Opened where the library sees it, let go of where it doesn't: nothing may be lost by the end. */
static void closed_by_a_plugin(void)
{
    void *library = dlopen(build("tests/plugin.so"), RTLD_NOW | RTLD_DEEPBIND);
    int (*plugin_close)(int) = (int (*)(int))symbol(library, "plugin_close");
    int fd = open(target, O_WRONLY | O_TRUNC);
    must(fd >= 0 && write(fd, "closed elsewhere", 16) == 16 && plugin_close(fd) == 0);
}

static void functions_of_libc_itself(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    int (*libc_open)(const char *, int, ...) = (int (*)(const char *, int, ...))symbol(libc, "open");
    int fd = libc_open(target, O_WRONLY | O_TRUNC);
    printf("%s\n", fd < 0 ? strerror(errno) : "opened");
    must(fd < 0 || (write(fd, "libc", 4) == 4 && close(fd) == 0));
}

static void functions_by_default(void)
{
    int (*any_open)(const char *, int, ...) = (int (*)(const char *, int, ...))symbol(RTLD_DEFAULT, "open");
    int (*any_close)(int) = (int (*)(int))symbol(RTLD_DEFAULT, "close");
    int fd = any_open(target, O_WRONLY | O_TRUNC);
    must(fd >= 0 && write(fd, "default", 7) == 7 && any_close(fd) == 0);
}

/* The library once more, as a plug-in: its wrappers are nobody's then. */
static void the_library_itself(void)
{
    must(dlopen(build("libetxtbsy.so"), RTLD_NOW | RTLD_GLOBAL));
    int fd = open(target, O_WRONLY | O_TRUNC);
    printf("%s\n", fd < 0 ? strerror(errno) : "opened");
    must(fd < 0 || (write(fd, "loaded", 6) == 6 && close(fd) == 0));
}

static const struct scene scenes[] = {
    SCENE(plugin),
    SCENE(plugin_bound_to_itself),
    SCENE(plugin_in_a_namespace),
    SCENE(plugin_that_waits_for_a_thread),
    SCENE(closed_by_a_plugin),
    SCENE(functions_of_libc_itself),
    SCENE(functions_by_default),
    SCENE(the_library_itself),
};

int main(int argc, char **argv)
{
    return play(scenes, sizeof scenes / sizeof *scenes, argc, argv);
}

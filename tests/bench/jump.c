/* The least that a wrapper can do: it jumps to libc's function, at an address that it has looked up. */
#include <dlfcn.h>
#include <stddef.h>

#define JUMP(result, name, parameters, arguments)                                                                                  \
    static result(*libcs_##name) parameters;                                                                                       \
    __attribute__((constructor)) static void find_##name(void)                                                                     \
    {                                                                                                                              \
        libcs_##name = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                                              \
    }                                                                                                                              \
    result name parameters                                                                                                         \
    {                                                                                                                              \
        return libcs_##name arguments;                                                                                             \
    }

struct stat;

JUMP(long, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
JUMP(int, close, (int fd), (fd))
JUMP(int, dup2, (int from, int to), (from, to))
JUMP(int, fstat, (int fd, struct stat *file), (fd, file))
JUMP(int, open, (const char *path, int flags, unsigned mode), (path, flags, mode))

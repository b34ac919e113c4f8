/* A library that is loaded at run time: it calls libc as its loader has bound it. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int plugin_write(const char *path, const char *text);
int plugin_open(const char *path);
int plugin_close(int fd);

int plugin_open(const char *path)
{
    return open(path, O_WRONLY | O_TRUNC);
}

int plugin_close(int fd)
{
    return close(fd);
}

int plugin_write(const char *path, const char *text)
{
    int fd = plugin_open(path);
    return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || plugin_close(fd) < 0 ? -1 : 0;
}

#include "directory.h"

#include <dirent.h>

#include "call.h"
#include "text.h"

#define OWN_DESCRIPTORS "/proc/thread-self/fd"

int directory_open(struct directory *directory, int dirfd, const char *path)
{
    directory->at = directory->end = 0;
    directory->fd = sys_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY, 0);
    return directory->fd < 0 ? -1 : 0;
}

const char *directory_next(struct directory *directory)
{
    if (directory->fd < 0)
        return NULL;
    if (directory->at == directory->end) {
        ssize_t got = sys_getdents(directory->fd, directory->buffer, sizeof directory->buffer);
        directory->at = 0;
        directory->end = got > 0 ? (size_t)got : 0;
        if (got <= 0)
            return NULL;
    }
    const struct dirent64 *entry = (const struct dirent64 *)(directory->buffer + directory->at);
    directory->at += entry->d_reclen;
    return entry->d_name;
}

void directory_close(struct directory *directory)
{
    sys_close_quietly(directory->fd);
    directory->fd = -1;
}

int descriptors_open(struct directory *directory)
{
    return directory_open(directory, AT_FDCWD, OWN_DESCRIPTORS);
}

int descriptors_next(struct directory *directory)
{
    const char *name;
    while ((name = directory_next(directory))) {
        uint64_t number;
        size_t length = 0;
        while (name[length])
            length++;
        if (text_to_number(name, length, &number) && (int)number != directory->fd)
            return (int)number;
    }
    return -1;
}

const char *descriptor_link(char link[DESCRIPTOR_LINK_SIZE], int fd)
{
    struct text text = text_over(link, DESCRIPTOR_LINK_SIZE);
    text_add(&text, OWN_DESCRIPTORS "/");
    text_number(&text, (uint64_t)fd);
    return link;
}

bool descriptor_path(int fd, char *path, size_t size)
{
    char link[DESCRIPTOR_LINK_SIZE];
    ssize_t length = sys_readlink(descriptor_link(link, fd), path, size);
    if (length < 0)
        return false;
    if ((size_t)length >= size) {
        errno = ENAMETOOLONG;
        return false;
    }
    path[length] = '\0';
    return true;
}

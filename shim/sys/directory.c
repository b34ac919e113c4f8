#include "directory.h"

#include <dirent.h>
#include <sys/resource.h>

#include "call.h"
#include "scratch.h"
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

#define NUMBERS_MAX 65536 /* that are tried: some milliseconds */

static void try_numbers(struct descriptors *descriptors)
{
    struct rlimit limit = { .rlim_cur = NUMBERS_MAX };
    sys_call(SYS_prlimit64, 0L, RLIMIT_NOFILE, NULL, &limit);
    descriptors_close(descriptors);
    descriptors->number = 0;
    descriptors->end = limit.rlim_cur < NUMBERS_MAX ? (int)limit.rlim_cur : NUMBERS_MAX;
}

void descriptors_open(struct descriptors *descriptors)
{
    struct directory *directory = scratch_map(sizeof *directory);
    *descriptors = (struct descriptors){ .directory = directory };
    if (!directory || directory_open(directory, AT_FDCWD, OWN_DESCRIPTORS) < 0)
        try_numbers(descriptors);
}

int descriptors_next(struct descriptors *descriptors)
{
    struct directory *directory = descriptors->directory;
    const char *name;
    errno = 0;
    while (directory && (name = directory_next(directory))) {
        uint64_t number;
        size_t length = 0;
        while (name[length])
            length++;
        if (text_to_number(name, length, &number) && (int)number != directory->fd)
            return (int)number;
    }
    if (directory && errno)
        try_numbers(descriptors);
    while (descriptors->number < descriptors->end) {
        int number = descriptors->number++;
        if (sys_fcntl(number, F_GETFD, 0) >= 0)
            return number;
    }
    return -1;
}

void descriptors_close(struct descriptors *descriptors)
{
    if (descriptors->directory)
        directory_close(descriptors->directory);
    scratch_unmap(descriptors->directory, sizeof *descriptors->directory);
    descriptors->directory = NULL;
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

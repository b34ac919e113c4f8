#include "generation.h"

#include <string.h>

#include "../sys/scratch.h"
#include "../sys/text.h"
#include "name.h"

#define TRIES 8       /* somebody else may take the same number */
#define PRUNED_MAX 64 /* at one time: a bound on the memory, and on what a directory full of such names can cost */

bool generation_next(struct directory *directory, const char *base, struct generation *generation)
{
    const char *name;
    while ((name = directory_next(directory))) {
        generation->number = generation_name_parse(name, base);
        if (!generation->number || sys_statx(directory->fd, name, AT_SYMLINK_NOFOLLOW, &generation->file) < 0 ||
            !S_ISREG(generation->file.stx_mode))
            continue;
        memcpy(generation->name, name, strlen(name) + 1);
        return true;
    }
    return false;
}

static struct directory *open_directory(int dirfd)
{
    struct directory *directory = dirfd == AT_FDCWD ? NULL : scratch_map(sizeof *directory);
    if (directory && directory_open(directory, dirfd, ".") == 0)
        return directory;
    scratch_unmap(directory, sizeof *directory);
    return NULL;
}

static void close_directory(struct directory *directory)
{
    directory_close(directory);
    scratch_unmap(directory, sizeof *directory);
}

uint64_t generation_links(int dirfd, const char *base, const struct statx *file)
{
    int saved = errno;
    uint64_t links = 0;
    struct generation generation;
    struct directory *directory = open_directory(dirfd);
    if (directory) {
        while (generation_next(directory, base, &generation))
            links += sys_same_file(&generation.file, file);
        close_directory(directory);
    }
    errno = saved;
    return links;
}

/* The generation that the file has already, or a name for it behind the newest one. Names that no regular file has count, too. */
static uint64_t find_number(struct directory *directory, const char *base, const struct statx *file, bool *has_it)
{
    uint64_t highest = 0, number;
    struct statx other;
    const char *name;
    *has_it = false;
    while (!*has_it && (name = directory_next(directory))) {
        if (!(number = generation_name_parse(name, base)))
            continue;
        *has_it =
            file->stx_nlink > 1 && sys_statx(directory->fd, name, AT_SYMLINK_NOFOLLOW, &other) == 0 && sys_same_file(&other, file);
        highest = *has_it || number > highest ? number : highest;
    }
    return *has_it ? highest : highest + 1;
}

/* Links what has the name now, and looks what that was. */
static bool link_as(int dirfd, const char *base, const char *name, const struct statx *file)
{
    struct statx linked;
    if (sys_linkat(dirfd, base, dirfd, name, 0) < 0)
        return false;
    if (sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, &linked) == 0 && sys_same_file(&linked, file))
        return true;
    sys_unlinkat(dirfd, name);
    errno = ENOENT;
    return false;
}

static const char *give_name(int dirfd, const char *base, const struct statx *file, char name[NAME_MAX + 1])
{
    struct directory *directory = S_ISREG(file->stx_mode) ? open_directory(dirfd) : NULL;
    if (!directory)
        return "generation-link";
    bool has_it;
    uint64_t number = find_number(directory, base, file, &has_it);
    close_directory(directory);
    for (int tries = 0; tries < TRIES; tries++) {
        if (!generation_name_make(name, base, number + (uint64_t)tries))
            return "generation-name";
        if (has_it || link_as(dirfd, base, name, file))
            return NULL;
        if (errno != EEXIST)
            break;
    }
    return "generation-link";
}

void generation_keep(struct stage_generation *generation, int dirfd, const char *beside, const char *base, const struct statx *file)
{
    int saved = errno;
    char name[NAME_MAX + 1];
    generation->path[0] = '\0';
    generation->reason = NULL;
    if (generation->wanted && !(generation->reason = give_name(dirfd, base, file, name))) {
        struct text path = TEXT(generation->path);
        text_bytes(&path, beside, (size_t)(text_base(beside) - beside));
        text_add(&path, name);
        if (path.full) { /* nobody could be told where it is */
            sys_unlinkat(dirfd, name);
            generation->reason = "generation-name";
            generation->path[0] = '\0';
        }
    }
    errno = saved;
}

static void remove_number(int dirfd, const char *base, uint64_t number)
{
    char name[NAME_MAX + 1];
    if (generation_name_make(name, base, number))
        sys_unlinkat(dirfd, name);
}

static void prune(int dirfd, const char *base, uint64_t wanted)
{
    uint64_t oldest[PRUNED_MAX], count = 0;
    struct generation generation;
    struct directory *directory = open_directory(dirfd);
    if (!directory)
        return;
    while (generation_next(directory, base, &generation)) {
        uint64_t at = count < PRUNED_MAX ? count : PRUNED_MAX;
        for (; at && oldest[at - 1] > generation.number; at--)
            if (at < PRUNED_MAX)
                oldest[at] = oldest[at - 1];
        if (at < PRUNED_MAX)
            oldest[at] = generation.number;
        count++;
    }
    close_directory(directory);
    /* One that can't be removed (another's, in a sticky directory) stays, and costs no younger one its place. */
    for (uint64_t at = 0; at < PRUNED_MAX && count > wanted; at++, count--)
        remove_number(dirfd, base, oldest[at]);
}

void generation_end(struct stage_generation *generation, int dirfd, const char *base, bool replaced)
{
    int saved = errno;
    if (generation->path[0] && replaced) {
        prune(dirfd, base, generation->wanted);
    } else if (generation->path[0]) {
        sys_unlinkat(dirfd, text_base(generation->path));
        generation->path[0] = '\0';
    }
    errno = saved;
}

#include "mapping.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/lines.h"
#include "../sys/scratch.h"

/* btrfs has another device here than in stat: there the name has to do. */
static bool is_of(const struct maps_line *maps, uint64_t device, uint64_t inode, const char *name)
{
    const char *base = strrchr(maps->path, '/');
    return maps->inode == inode && (maps->device == device || (base && !strcmp(base + 1, name)));
}

bool mapping_is_writable(uint64_t device, uint64_t inode, const char *name)
{
    int saved = errno;
    bool found = false;
    struct lines *lines = scratch_map(sizeof *lines);
    struct maps_line maps;
    const char *line;
    if (lines) {
        lines_open(lines, AT_FDCWD, "/proc/thread-self/maps");
        while (!found && (line = lines_next(lines)))
            found = maps_parse(&maps, line) && maps.writable && maps.shared && is_of(&maps, device, inode, name);
        lines_close(lines);
    }
    scratch_unmap(lines, sizeof *lines);
    errno = saved;
    return found;
}

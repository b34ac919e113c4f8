#include "others.h"

#include <string.h>
#include <sys/file.h>

#include "../sys/call.h"
#include "../sys/directory.h"
#include "../sys/locks.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "name.h"

static bool is_held(int dirfd, const char *name)
{
    int fd = sys_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    bool held = fd >= 0 && sys_flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    locks_leave(fd);
    return held;
}

bool others_hold_stage(int dirfd, const char *base)
{
    int saved = errno;
    bool found = false;
    struct stage_name parsed;
    const char *name;
    struct directory *directory = scratch_map(sizeof *directory);
    if (!directory)
        return false;
    if (directory_open(directory, dirfd, ".") == 0)
        while (!found && (name = directory_next(directory)))
            found = stage_name_parse(name, &parsed) && stage_name_is_of(name, &parsed, base) &&
                    !process_descends_from(parsed.creator) && is_held(dirfd, name);
    directory_close(directory);
    scratch_unmap(directory, sizeof *directory);
    errno = saved;
    return found;
}

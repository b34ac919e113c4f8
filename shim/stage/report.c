#include "report.h"

#include <string.h>

#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "name.h"

bool report_has_path(const struct stage_known *known)
{
    struct statx file;
    return sys_statx(AT_FDCWD, known->path, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_ino == known->inode &&
           sys_device(&file) == known->device;
}

bool report_cut_deleted(char *path)
{
    static const char mark[] = " (deleted)";
    size_t length = strlen(path);
    if (length < sizeof mark || strcmp(path + length - (sizeof mark - 1), mark) != 0)
        return false;
    path[length - (sizeof mark - 1)] = '\0';
    return true;
}

/* Turns the path of a stage into that of its target. Returns false for the path of anything else. */
static bool turn_into_target(char *path, const struct stage_known *known)
{
    struct stage_name name;
    char *base = (char *)text_base(path);
    if (!stage_name_parse(base, &name))
        return false;
    if (name.whole) {
        memmove(base, base + 1, name.base_length);
        base[name.base_length] = '\0';
        return true;
    }
    struct text target = text_over(base, PATH_MAX - (size_t)(base - path));
    text_add(&target, text_base(known->target));
    return !target.full;
}

/* Whether the writer's file would be there in place: the target, or for a new one its directory. */
static bool is_there(char *target, const struct stage_known *known)
{
    struct statx file;
    if (sys_statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW, &file) == 0)
        return true;
    *(char *)text_base(target) = '\0';
    return known->kind == STAGE_OF_NEW && sys_statx(AT_FDCWD, target, 0, &file) == 0;
}

bool report_is_removed(int fd, const struct stage_known *known)
{
    int saved = errno;
    struct statx file;
    bool removed = false;
    char *path = sys_fstat(fd, &file) == 0 && !file.stx_nlink ? scratch_map(PATH_MAX) : NULL;
    if (path)
        removed = descriptor_path(fd, path, PATH_MAX) && report_cut_deleted(path) && turn_into_target(path, known) &&
                  is_there(path, known);
    scratch_unmap(path, PATH_MAX);
    errno = saved;
    return removed;
}

static bool copy_path(char *to, const char *from)
{
    struct text text = text_over(to, PATH_MAX);
    text_add(&text, from);
    return !text.full;
}

/* The paths of the stage and its target, from the stage's own as it is now: its directory may have moved. */
static bool paths_of_asker(const struct stage_release *release, struct stage_report *report)
{
    struct stage_name name;
    const char *base = text_base(report->path);
    if (!stage_name_parse(base, &name))
        return false;
    struct text target = TEXT(report->target);
    text_bytes(&target, report->path, (size_t)(base - report->path));
    if (name.whole)
        text_bytes(&target, base + 1, name.base_length);
    else
        text_add(&target, text_base(release->known.slot->target));
    return !target.full;
}

static bool is_target_now(const struct stage_known *known)
{
    struct statx file;
    return sys_statx(AT_FDCWD, known->target, AT_SYMLINK_NOFOLLOW, &file) == 0 && file.stx_ino == known->inode &&
           sys_device(&file) == known->device;
}

enum stage_end report_fill(const struct stage_release *release, struct stage_report *report)
{
    const struct stage_known *known = release->known.slot;
    report->device = known->device;
    report->inode = known->inode;
    report->op = known->op;
    report->kind = known->kind;
    if (release->asker >= 0 && descriptor_path(release->asker, report->path, sizeof report->path) &&
        paths_of_asker(release, report))
        return STAGE_READY;
    /*
     * Nothing can be opened or read, or the descriptor dates from before the stage had a name (a vfork child that was
     * started meanwhile has such a one): where it was made, then.
     */
    bool copied = copy_path(report->path, known->path) && copy_path(report->target, known->target);
    if (copied && known_is_current(release->known) && report_has_path(known))
        return STAGE_READY;
    return release->held && release->asker < 0 && !is_target_now(known) ? STAGE_LOST : STAGE_NONE;
}

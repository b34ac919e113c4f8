#include <string.h>

#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "name.h"
#include "report.h"
#include "stage.h"

/*
 * Whether `path` is really this descriptor's, a stage's, and made by somebody who may replace the target. One that has lost its
 * name is known for nothing but to tell this image, too, that what it writes is lost.
 */
static bool is_believable(int fd, const char *path, const struct stage_name *name, struct stage_known *known)
{
    struct statx opened, named, target;
    if (sys_fstat(fd, &opened) < 0 || !S_ISREG(opened.stx_mode) || opened.stx_nlink > 1)
        return false;
    if (opened.stx_nlink && (sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &named) < 0 || !sys_same_file(&opened, &named)))
        return false;

    struct text text = TEXT(known->target);
    const char *base = text_base(path);
    text_bytes(&text, path, (size_t)(base - path));
    text_bytes(&text, base + 1, name->base_length);
    bool has_target = sys_statx(AT_FDCWD, known->target, AT_SYMLINK_NOFOLLOW, &target) == 0;
    uid_t uid = sys_geteuid();
    if (!opened.stx_nlink && !has_target)
        return false;
    if (opened.stx_uid != uid && uid != 0 && !(has_target && opened.stx_uid == target.stx_uid))
        return false;

    known->device = sys_device(&opened);
    known->inode = opened.stx_ino;
    known->target_device = has_target ? sys_device(&target) : 0;
    known->target_inode = has_target ? target.stx_ino : 0;
    known->target_then = (struct statx){ 0 };
    known->kind = name->kind;
    known->creator = name->creator;
    known->error = opened.stx_nlink ? 0 : EIO;
    return true;
}

/* Fills a slot from one descriptor; false when it isn't a stage's, or one that is known already. */
static bool adopt(int fd, struct stage_known *known)
{
    struct stage_name name;
    if (!descriptor_path(fd, known->path, sizeof known->path))
        return false;
    report_cut_deleted(known->path);
    return stage_name_parse(text_base(known->path), &name) && name.whole && !stage_is(fd) &&
           is_believable(fd, known->path, &name, known);
}

void stage_adopt(void)
{
    int saved = errno, fd;
    struct directory *own = scratch_map(sizeof *own);
    struct stage_known *known = known_reserve();
    if (own && descriptors_open(own) == 0)
        while (known && (fd = descriptors_next(own)) >= 0)
            if (adopt(fd, known)) {
                known_publish(known);
                known = known_reserve();
            }
    if (known)
        known_abandon(known);
    if (stage_known_count)
        stage_share_writers();
    if (own)
        directory_close(own);
    scratch_unmap(own, sizeof *own);
    errno = saved;
}

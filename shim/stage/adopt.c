#include <string.h>

#include "../sys/directory.h"
#include "../sys/text.h"
#include "name.h"
#include "own.h"
#include "report.h"
#include "stage.h"

#define SET_ID (S_ISUID | S_ISGID) /* writes take them away */

static bool is_older_than(int fd, const struct statx_timestamp *time)
{
    struct statx file;
    return sys_call(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &file) == 0 && file.stx_mask & STATX_BTIME &&
           sys_is_later(time, &file.stx_btime);
}

/*
 * What the target had when the stage was made isn't remembered over an exec. If nothing has happened to the target since the
 * stage's birth, it is what the target has now; else it is taken for what the stage has now.
 */
static void see_attributes(int fd, struct stage_known *known, const struct statx *target)
{
    struct attributes_seen *then = &known->then;
    struct statx stage;
    *then = (struct attributes_seen){ 0 };
    if (!target || sys_fstat(fd, &stage) < 0)
        return;
    int old = sys_openat(AT_FDCWD, known->target, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    then->file = *target;
    then->stage_mode = stage.stx_mode;
    if (is_older_than(fd, &target->stx_ctime)) {
        then->file.stx_uid = stage.stx_uid;
        then->file.stx_gid = stage.stx_gid;
        then->file.stx_mode = (stage.stx_mode & ~SET_ID) | (target->stx_mode & SET_ID);
        then->file.stx_ctime.tv_sec = 0; /* so that it is looked at */
        xattrs_see(fd, &then->xattrs);
    } else if (old >= 0) {
        xattrs_see(old, &then->xattrs);
    }
    sys_close_quietly(old);
}

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
    see_attributes(fd, known, has_target ? &target : NULL);
    known->kind = name->kind;
    /* The same number in another PID namespace is another process. */
    known->creator = own_is_number(name) ? name->creator : 0;
    known->error = opened.stx_nlink ? 0 : EIO;
    return true;
}

/*
 * Fills a slot from one descriptor; false when it isn't a stage's, or one that is known already. What has failed for a moment (no
 * memory, a signal on a network file system) would lose the stage: it is worth a second try.
 */
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
    struct descriptors own;
    struct stage_known *known = known_reserve();
    descriptors_open(&own);
    while (known && (fd = descriptors_next(&own)) >= 0)
        if (adopt(fd, known) || adopt(fd, known)) {
            known_publish(known);
            known = known_reserve();
        }
    descriptors_close(&own);
    if (known)
        known_abandon(known);
    if (stage_known_count)
        stage_share_writers();
    errno = saved;
}

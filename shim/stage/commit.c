#include <string.h>

#include "../sys/directory.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "attributes.h"
#include "copy.h"
#include "mapping.h"
#include "name.h"
#include "place.h"
#include "stage.h"

#define TRIES 3 /* of a commit: a program that has let go by dup2 or exit can't be told of a failure that soon passes */

/* One stage on its way to its target's name. */
struct commit {
    const struct stage_release *release;
    struct place place;
    enum stage_sync sync;
    struct stage_report *report;
    bool lost; /* by the file system, which says so once: another sync would succeed */
};

/* File systems that can't sync a file (EINVAL, EROFS) have nothing that a power cut could take. */
static bool sync_file(struct commit *commit)
{
    int fd = commit->release->asker;
    if (commit->sync == STAGE_SYNC_NONE || fd < 0)
        return true;
    bool synced = (commit->sync == STAGE_SYNC_DATA ? sys_fdatasync(fd) : sys_fsync(fd)) == 0;
    commit->lost = !synced && errno != EINVAL && errno != EROFS && errno != EINTR;
    return synced || errno == EINVAL || errno == EROFS;
}

/* What a power cut could take, if not the bytes: the name. */
static void sync_directory(const struct commit *commit)
{
    if (commit->sync == STAGE_SYNC_FULL && commit->place.dirfd != AT_FDCWD)
        sys_fsync(commit->place.dirfd);
}

/* Gives the stage a name in its directory. Returns false with errno. */
static bool rename_over(const struct commit *commit, const char *name)
{
    const struct stage_report *report = commit->report;
    return place_rename(commit->place.dirfd, commit->place.stage, name, report->device, report->inode);
}

/* Takes the stage out of the sweepers' sight, and puts its new name into the report. */
static void keep_bytes(const struct place *place, struct stage_report *report)
{
    int saved = errno;
    char kept[NAME_MAX + 1];
    char *path = scratch_map(PATH_MAX);
    size_t directory = (size_t)(text_base(report->path) - report->path);
    stage_name_keep(kept, report->path + directory);
    if (path) {
        struct text text = text_over(path, PATH_MAX);
        text_bytes(&text, report->path, directory);
        text_add(&text, kept);
        if (!text.full && sys_renameat(place->dirfd, place->stage, place->dirfd, place->dirfd == AT_FDCWD ? path : kept) == 0)
            memcpy(report->path, path, text.length + 1);
    }
    scratch_unmap(path, PATH_MAX);
    errno = saved;
}

/* Whether the stage still has the time that it was given at its birth; only a program that sets times itself can hide a write. */
static bool is_unwritten(const struct statx *stage, const struct statx *target)
{
    return sys_is_same_time(&stage->stx_mtime, &target->stx_mtime);
}

static bool give_times(int target, const struct statx *now, const struct statx *stage)
{
    return (sys_is_same_time(&now->stx_mtime, &stage->stx_mtime) && sys_is_same_time(&now->stx_atime, &stage->stx_atime)) ||
           sys_set_times(target, stage) == 0;
}

/*
 * A stage that is equal to its target to the byte changes nothing: the target keeps its inode, so that nobody has to be
 * restarted, and takes over what else the writer has set. Not while this process can write to it through a mapping, which holds no
 * lock on overlay. Returns false where that can't be, and nothing is changed then but perhaps the target's attributes, to what they
 * are to be anyway.
 */
static bool keep_target(const struct commit *commit, const struct statx *expected)
{
    const struct stage_release *release = commit->release;
    const struct place *place = &commit->place;
    struct statx file, opened;
    int stage = release->asker;
    int target = copy_open(place->dirfd, place->target);
    sys_fcntl(stage, F_SETFL, sys_fcntl(stage, F_GETFL, 0) | O_NOATIME);
    bool kept = target >= 0 && sys_fstat(target, &opened) == 0 && sys_same_file(&opened, expected) &&
                sys_fstat(stage, &file) == 0 && copy_is_equal(stage, target) &&
                !mapping_is_writable(release->known.slot->device, release->known.slot->inode, place->stage);
    bool unwritten = kept && is_unwritten(&file, &opened);
    if (unwritten && file.stx_mode == release->known.slot->then.stage_mode)
        file.stx_mode = opened.stx_mode;
    kept = kept && !attributes_copy(stage, &file, target, unwritten, NULL) && give_times(target, &opened, &file) &&
           sys_unlinkat(place->dirfd, place->stage) == 0;
    sys_close_quietly(target);
    return kept;
}

/*
 * Of two who replace a target the last one wins. But a holder that lives on when the creator has let go (a child with a
 * leaked descriptor) isn't a writer until it writes: another file that became the target after the last write, which a rename
 * shows in its ctime, is the newer one.
 */
static bool is_leftover(const struct stage_known *known)
{
    return known->pending || known->creator != sys_getpid();
}

/*
 * When the target's name is gone, the file may have been given another one in the same directory ("mv app app.bak"): in place
 * the bytes would be there. Puts the stage there. Returns false when it isn't found. A generation is no such name: somebody has
 * replaced the file before.
 */
static bool follow_target(struct commit *commit)
{
    const struct place *place = &commit->place;
    const struct stage_known *known = commit->release->known.slot;
    struct stage_report *report = commit->report;
    struct stage_generation *generation = &report->generation;
    struct directory *directory = place->dirfd == AT_FDCWD ? NULL : scratch_map(sizeof *directory);
    const char *name;
    struct statx file;
    bool done = false;
    if (!directory)
        return false;
    if (directory_open(directory, place->dirfd, ".") == 0)
        while (!done && (name = directory_next(directory))) {
            if (sys_statx(place->dirfd, name, AT_SYMLINK_NOFOLLOW, &file) < 0 || file.stx_ino != known->target_inode ||
                sys_device(&file) != known->target_device || !S_ISREG(file.stx_mode) || generation_name_parse(name, NULL))
                continue;
            if (!sync_file(commit))
                continue;
            generation_keep(generation, place->dirfd, report->path, name, &file);
            done = rename_over(commit, name);
            generation_end(generation, place->dirfd, name, done);
            report->target_inode = file.stx_ino;
            sync_directory(commit);
        }
    directory_close(directory);
    scratch_unmap(directory, sizeof *directory);
    return done;
}

/*
 * Renames a leftover over its target, if that is still the file that was looked at: they change places, and what comes out is
 * looked at again. Under the exclusive lock alone: who commits at the same time would rename the old file back. Returns false with
 * errno, 0 when somebody else's file was there (the stage is gone then).
 */
static bool take_name(const struct commit *commit, const struct statx *expected)
{
    const long exchange = 2; /* RENAME_EXCHANGE */
    const struct place *place = &commit->place;
    struct statx out;
    if (sys_call(SYS_renameat2, place->dirfd, place->stage, place->dirfd, place->target, exchange) < 0 &&
        !place_was_taken(place->dirfd, place->target, commit->report->device, commit->report->inode))
        return (errno == EINVAL || errno == ENOSYS) && rename_over(commit, place->target);
    bool same = sys_statx(place->dirfd, place->stage, AT_SYMLINK_NOFOLLOW, &out) == 0 && sys_same_file(&out, expected);
    if (!same)
        sys_call(SYS_renameat2, place->dirfd, place->stage, place->dirfd, place->target, exchange);
    sys_unlinkat(place->dirfd, place->stage);
    errno = 0;
    return same;
}

/* What has been done to the target by path. */
static void carry(const struct commit *commit, const struct statx *stage, const struct statx *target)
{
    const struct stage_release *release = commit->release;
    const struct place *place = &commit->place;
    struct statx opened;
    int fd = sys_openat(place->dirfd, place->target, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd >= 0 && sys_fstat(fd, &opened) == 0 && sys_same_file(&opened, target))
        attributes_carry(release->asker, stage, &release->known.slot->then, fd, &opened);
    sys_close_quietly(fd);
}

/* The new file appears under its name. Another one that appears just now is written over: the last writer wins. */
static enum stage_outcome create_target(struct commit *commit)
{
    if (!sync_file(commit))
        return STAGE_FAILED;
    if (!rename_over(commit, commit->place.target))
        return errno == ENOENT ? STAGE_GONE : STAGE_FAILED;
    sync_directory(commit);
    return STAGE_CREATED;
}

/* Gives the stage the target's name. Returns false with errno, as take_name does. */
static bool replace(const struct commit *commit, const struct statx *target, bool leftover)
{
    const struct place *place = &commit->place;
    struct stage_generation *generation = &commit->report->generation;
    generation_keep(generation, place->dirfd, commit->report->path, place->target, target);
    bool replaced = leftover ? take_name(commit, target) : rename_over(commit, place->target);
    generation_end(generation, place->dirfd, place->target, replaced);
    return replaced;
}

/*
 * Whether the stage has its name still, though it isn't where that leads: another file system was mounted over its directory, or
 * its own was taken away.
 */
static bool is_out_of_reach(const struct commit *commit)
{
    int saved = errno;
    struct statx file;
    struct stage_name name;
    int asker = commit->release->asker;
    char *path = asker < 0 ? NULL : scratch_map(PATH_MAX);
    bool is = path && descriptor_path(asker, path, PATH_MAX) && stage_name_parse(text_base(path), &name) &&
              sys_fstat(asker, &file) == 0 && file.stx_nlink;
    scratch_unmap(path, PATH_MAX);
    errno = saved;
    return is;
}

static enum stage_outcome try_commit(struct commit *commit)
{
    const struct stage_release *release = commit->release;
    const struct place *place = &commit->place;
    struct stage_report *report = commit->report;
    const struct stage_known *known = release->known.slot;
    struct statx stage, target;
    if (sys_statx(place->dirfd, place->stage, AT_SYMLINK_NOFOLLOW, &stage) < 0)
        return errno == ENOENT && !is_out_of_reach(commit) ? STAGE_GONE : STAGE_FAILED;
    if (stage.stx_ino != report->inode || sys_device(&stage) != report->device)
        return STAGE_GONE;
    report->bytes = stage.stx_size;

    if (sys_statx(place->dirfd, place->target, AT_SYMLINK_NOFOLLOW, &target) < 0) {
        if (errno != ENOENT)
            return STAGE_FAILED;
        if (known->kind == STAGE_OF_NEW)
            return create_target(commit);
        if (follow_target(commit))
            return STAGE_OVERTAKEN;
        return sys_unlinkat(place->dirfd, place->stage) == 0 ? STAGE_DISCARDED : STAGE_FAILED;
    }
    report->target_inode = target.stx_ino;
    bool same = target.stx_ino == known->target_inode && sys_device(&target) == known->target_device;
    if (!sync_file(commit))
        return STAGE_FAILED;
    if (!same && is_leftover(known) && !sys_is_later(&stage.stx_mtime, &target.stx_ctime))
        return sys_unlinkat(place->dirfd, place->stage) == 0 ? STAGE_SUPERSEDED : STAGE_FAILED;

    if (same && release->asker >= 0 && attributes_have_changed(&known->then, &target))
        carry(commit, &stage, &target);
    if (same && !report->early && stage.stx_size == target.stx_size && keep_target(commit, &target))
        return STAGE_UNCHANGED;
    if (!replace(commit, &target, is_leftover(known) && !report->early))
        return errno == ENOENT ? STAGE_GONE : errno ? STAGE_FAILED : STAGE_SUPERSEDED;
    sync_directory(commit);
    return same ? STAGE_REPLACED : STAGE_OVERTAKEN;
}

static void end(struct stage_release *release, struct place *place)
{
    place_close(place);
    known_forget(release->known);
    stage_release_finish(release);
}

enum stage_outcome stage_commit(struct stage_release *release, enum stage_sync sync, struct stage_report *report)
{
    struct commit commit = { .release = release, .place = place_open(report), .sync = sync, .report = report };
    enum stage_outcome outcome;
    int tries = 0;
    do
        outcome = try_commit(&commit);
    while (outcome == STAGE_FAILED && errno != ETXTBSY && !commit.lost && ++tries < TRIES);
    if (outcome == STAGE_FAILED && errno == ETXTBSY) {
        place_close(&commit.place);
        return STAGE_BUSY;
    }
    if (outcome == STAGE_FAILED)
        keep_bytes(&commit.place, report);
    end(release, &commit.place);
    return outcome;
}

void stage_keep(struct stage_release *release, struct stage_report *report)
{
    int saved = errno;
    struct place place = place_open(report);
    keep_bytes(&place, report);
    end(release, &place);
    errno = saved;
}

void stage_discard(struct stage_release *release)
{
    sys_unlinkat(AT_FDCWD, release->known.slot->path);
    known_forget(release->known);
    stage_release_finish(release);
}

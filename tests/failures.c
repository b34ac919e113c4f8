/*
 * Writes that fail on a busy file: the target stays what it was, the program gets the error, and one line says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/policy/policy.h"
#include "../shim/remedy/release.h"
#include "harness.h"

#include <criterion/parameterized.h>

#define FAILING_PROGRAM BUILD_DIR "/tests/failures"

/* ---- every entry point, over a limit (EFBIG) ----------------------------------------------------------------------------------
 */

#define ALONE "call -1 EFBIG\nwrite 0 \nclose 0 \nclose "
#define CALL(name)                                                                                                                 \
    {                                                                                                                              \
#name, #name, ALONE "0 \n", ALONE "-1 EFBIG\n", "EFBIG"                                                                    \
    }
#define BY_NUMBER(name)                                                                                                            \
    {                                                                                                                              \
        "syscall-" #name, "syscall", ALONE "0 \n", ALONE "-1 EFBIG\n", "EFBIG"                                                     \
    }

static const struct row {
    const char *entry, *op, *idle, *busy, *error;
} rows[] = {
    CALL(write),
    CALL(__write),
    CALL(pwrite),
    CALL(pwrite64),
    CALL(__pwrite64),
    CALL(writev),
    CALL(pwritev),
    CALL(pwritev64),
    CALL(pwritev2),
    CALL(pwritev64v2),
    CALL(copy_file_range),
    CALL(sendfile),
    CALL(sendfile64),
    CALL(splice),
    CALL(dprintf),
    CALL(vdprintf),
    CALL(__dprintf_chk),
    CALL(__vdprintf_chk),
    CALL(ftruncate),
    CALL(ftruncate64),
    CALL(fallocate),
    CALL(fallocate64),
    CALL(posix_fallocate),
    CALL(posix_fallocate64),
    BY_NUMBER(write),
    BY_NUMBER(pwrite64),
    BY_NUMBER(writev),
    BY_NUMBER(pwritev),
    BY_NUMBER(pwritev2),
    BY_NUMBER(copy_file_range),
    BY_NUMBER(sendfile),
    BY_NUMBER(splice),
    BY_NUMBER(ftruncate),
    BY_NUMBER(fallocate),
    { "fflush", "fflush", "call -1 EFBIG\nclose 0 \n", "call -1 EFBIG\nclose -1 EFBIG\n", "EFBIG" },
    { "fflush_unlocked", "fflush_unlocked", "call -1 EFBIG\nclose 0 \n", "call -1 EFBIG\nclose -1 EFBIG\n", "EFBIG" },
    { "fflush-all", "fflush", "call -1 EFBIG\nclose 0 \n", "call -1 EFBIG\nclose -1 EFBIG\n", "EFBIG" },
    { "fclose", "fclose", "call -1 EFBIG\n", "call -1 EFBIG\n", "EFBIG" },
    { "fclose-duplicate", "fclose", "call -1 EFBIG\nclose 0 \n", "call -1 EFBIG\nclose -1 EFBIG\n", "EFBIG" },
    { "overflow", "fclose", "close 0 \n", "close -1 EIO\n", "EIO" }, /* stdio has lost the errno with the bytes */
    { "overflow-clearerr", "clearerr", "close 0 \n", "close -1 EFBIG\n", "EFBIG" },
    { "overflow-clearerr_unlocked", "clearerr_unlocked", "close 0 \n", "close -1 EFBIG\n", "EFBIG" },
    { "overflow-rewind", "rewind", "close 0 \n", "close -1 EFBIG\n", "EFBIG" },
    { "freopen", "freopen", "close 0 \n", "close 0 \n", "EFBIG" },
    { "return", "exit", "", "", "EFBIG" },
};

#define ROWS (sizeof rows / sizeof *rows)

/* Where off_t has 32 bits, programs that want 64 call it by another name. */
static bool is_op(const char *op, const char *expected)
{
    size_t length = strlen(expected);
    return !strncmp(op, expected, length) && (!op[length] || !strcmp(op + length, "64"));
}

static void expect_aborted(const struct place *place, const char *what, const char *op, const char *error)
{
    struct json_object *lines = log_lines(place);
    cr_expect_eq(json_object_array_length(lines), 1, "%s: %zu lines", what, json_object_array_length(lines));
    if (json_object_array_length(lines)) {
        struct json_object *line = json_object_array_get_idx(lines, 0);
        cr_expect_str_eq(line_string(line, "event"), "redirect", "%s", what);
        cr_expect_str_eq(line_string(line, "outcome"), "aborted", "%s", what);
        cr_expect_str_eq(line_string(line, "verdict"), "failed", "%s", what);
        cr_expect_str_eq(line_string(line, "reason"), "write-failed", "%s", what);
        cr_expect_str_eq(line_string(line, "error"), error, "%s: %s", what, line_string(line, "error"));
        cr_expect_str_eq(line_string(line, "target"), place->target, "%s", what);
        cr_expect_not_null(strstr(line_string(line, "stage"), "/.target.etxtbsy-"), "%s", what);
        if (op)
            cr_expect(is_op(line_string(line, "op"), op), "%s: op is %s", what, line_string(line, "op"));
    }
    json_object_put(lines);
}

static void expect_old(const struct place *place, const char *what)
{
    cr_expect(same_content(place->target, TARGET_PROGRAM), "%s: the target has changed", what);
    cr_expect_eq(litter_count(place), 0, "%s: litter", what);
}

Test(failures, of_every_call_leave_the_old_file_and_tell_the_program, .timeout = 60)
{
    struct place place;
    place_make(&place);
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        const char *const argv[] = { FAILING_PROGRAM, row->entry, place.target, NULL };
        for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) { /* idle */
            place_reset(&place);
            cr_expect_eq(run_program_with(&place, shim, NULL, argv), 0, "%s", row->entry);
            char *out = read_file(place.out, NULL);
            cr_expect_str_eq(out, row->idle, "%s: idle: %s", row->entry, out);
            cr_expect_not(same_content(place.target, TARGET_PROGRAM), "%s: nothing was written", row->entry);
            free(out);
        }
        cr_expect_neq(access(place.log, F_OK), 0, "%s: an idle file is logged", row->entry);

        place_reset(&place);
        pid_t running = run_busy(place.target);
        cr_expect_eq(run_program_with(&place, WITH_SHIM, NULL, argv), 0, "%s", row->entry);
        char *out = read_file(place.out, NULL);
        cr_expect_str_eq(out, row->busy, "%s: busy: %s", row->entry, out);
        expect_old(&place, row->entry);
        expect_aborted(&place, row->entry, row->op, row->error);
        stop(running);
        free(out);
    }
    place_remove(&place);
}

/* ---- room for one copy only (ENOSPC) ------------------------------------------------------------------------------------------
 */

#define ROOM 4         /* MiB, of the whole file system */
#define LENGTH 2500000 /* of the old file and of the new one */

/* Small file systems, each mounted by a command at $MOUNT; $SCRATCH is a directory of its own. */
static const struct small {
    const char *name, *needs, *mount;
} smalls[] = {
    { "tmpfs", "mount", "mount -t tmpfs -o size=4m none $MOUNT" },
    { "ext4", "mkfs.ext4",
      "truncate -s 4M $SCRATCH/i && mkfs.ext4 -q -m 0 -O ^has_journal $SCRATCH/i && mount -o loop $SCRATCH/i $MOUNT" },
    { "overlay", "mount",
      "mount -t tmpfs -o size=4m none $SCRATCH && mkdir $SCRATCH/lower $SCRATCH/upper $SCRATCH/work && mount -t overlay -o "
      "lowerdir=$SCRATCH/lower,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work none $MOUNT" },
};

static const struct tool {
    const char *name, *needs, *command;
} tools[] = {
    { "cp", "cp", "cp $NEW $TARGET" },
    { "cp by write", "cp", "cp --reflink=never --sparse=always $NEW $TARGET" },
    { "bash", "bash", "bash -c 'cat $NEW > $TARGET'" },
    { "bash, a group", "bash", "bash -c '{ cat $NEW; } > $TARGET'" },
    { "bash, a descriptor", "bash", "bash -c 'exec 3> $TARGET; cat $NEW >&3'" },
    { "dash", "dash", "dash -c 'cat $NEW > $TARGET'" },
    { "dash, a group", "dash", "dash -c '{ cat $NEW; } > $TARGET'" },
    { "dash, a subshell", "dash", "dash -c '(cat $NEW) > $TARGET'" },
    { "a shell in a shell", "dash", "dash -c 'bash -c \"cat $NEW\" > $TARGET'" },
    { "dd", "dd", "dd if=$NEW of=$TARGET bs=64k" },
    { "dd and fsync", "dd", "dd if=$NEW of=$TARGET bs=64k conv=fsync" },
    { "tee", "tee", "tee $TARGET < $NEW > /dev/null" },
    { "tar", "tar", "tar -C ${NEW%/*} --transform=s/new/target/ -cf - new | tar --overwrite -xf -" },
    { "head", "head", "head -c 2400000 $NEW > $TARGET" },
    { "awk", "awk", "awk 'BEGIN { while (i++ < 300000) print \"some output\" }' > $TARGET" },
    { "perl", "perl", "perl -e 'open my $o, \">\", $ENV{TARGET} or die; print $o \"x\" x 2500000 or die; close $o or die \"$!\"'" },
    { "python", "python3",
      "python3 -c 'import os; open(os.environ[\"TARGET\"], \"wb\").write(open(os.environ[\"NEW\"], \"rb\").read())'" },
    { "python, shutil", "python3", "python3 -c 'import os, shutil; shutil.copyfile(os.environ[\"NEW\"], os.environ[\"TARGET\"])'" },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Mounts it over the place's directory, for this test's processes only. Returns false where that can't be done. */
static bool mount_small(const struct place *place, const struct small *small)
{
    char scratch[PATH_MAX], missing[100];
    if (!have_programs(small->needs, missing))
        return false;
    snprintf(scratch, sizeof scratch, "%s/scratch", place->root);
    mkdir(scratch, 0755);
    setenv("SCRATCH", scratch, 1);
    setenv("MOUNT", place->directory, 1);
    cr_assert_eq(chdir(place->root), 0);
    return status_code(system(small->mount)) == 0;
}

/* A program of LENGTH bytes, of which a second one doesn't fit beside it. */
static void put_target(const struct place *place)
{
    char command[PATH_MAX * 2];
    snprintf(command, sizeof command, "rm -f %s; cp " TARGET_PROGRAM " %s && truncate -s %d %s && cp --sparse=never %s %s",
             place->target, "$SCRATCH/../old", LENGTH, "$SCRATCH/../old", "$SCRATCH/../old", place->target);
    cr_assert_eq(system(command), 0);
}

static void expect_error(const struct place *place, const struct small *small, const struct tool *tool)
{
    char what[100], old[PATH_MAX];
    snprintf(what, sizeof what, "%s on %s", tool->name, small->name);
    snprintf(old, sizeof old, "%s/old", place->root);
    unlink(place->log);
    pid_t running = run_busy(place->target);
    int status = run_shell(place, WITH_SHIM, NULL, tool->command);
    char *err = read_file(place->err, NULL);
    cr_expect_neq(status_code(status), 0, "%s: succeeded: %s", what, err);
    cr_expect_not_null(strstr(err, "No space left"), "%s: said %s", what, err);
    cr_expect(same_content(place->target, old), "%s: the old file has changed", what);
    cr_expect_eq(litter_count(place), 0, "%s: litter", what);
    expect_aborted(place, what, NULL, "ENOSPC");
    stop(running);
    if (!same_content(place->target, old))
        put_target(place);
    free(err);
}

ParameterizedTestParameters(failures, of_a_full_disk_leave_the_old_file)
{
    static int numbers[COUNT(smalls)];
    for (size_t i = 0; i < COUNT(smalls); i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, COUNT(smalls));
}

ParameterizedTest(int *number, failures, of_a_full_disk_leave_the_old_file, .timeout = 120)
{
    const struct small *small = &smalls[*number];
    struct place place;
    char missing[100], command[PATH_MAX];
    place_make(&place);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mount_small(&place, small)) {
        fprintf(stderr, "skipped: a small %s can't be mounted here\n", small->name);
        place_remove(&place);
        return;
    }
    snprintf(command, sizeof command, "head -c %d /dev/urandom > %s", LENGTH, place.new);
    cr_assert_eq(system(command), 0);
    put_target(&place);
    for (size_t i = 0; i < COUNT(tools); i++)
        if (have_programs(tools[i].needs, missing))
            expect_error(&place, small, &tools[i]);
    umount2(place.directory, MNT_DETACH);
    umount2(getenv("SCRATCH"), MNT_DETACH); /* not all have something there */
    place_remove(&place);
}

/* The stage has its name still, where nobody finds it any more: python is told by close. */
Test(failures, to_reach_the_directory_again_are_told, .timeout = 60)
{
    static const char *const ways[] = { "umount -l $HERE", "mount -t tmpfs none $HERE" };
    struct place place;
    char missing[100], command[1000];
    if (!have_programs("python3 mount umount", missing))
        cr_skip_test("there is no %s here", missing);
    place_make(&place);
    for (size_t i = 0; i < COUNT(ways); i++) {
        place_reset(&place);
        if (!have_own_mounts()) {
            place_remove(&place);
            cr_skip_test("nothing can be mounted here");
        }
        snprintf(
            command, sizeof command,
            "HERE=${TARGET%%/*}/here; export HERE; mkdir $HERE && mount -t tmpfs none $HERE && cp $TARGET $HERE/busy || exit 9\n"
            "$HERE/busy & python3 -c 'import os, time\n"
            "time.sleep(.1)\n"
            "f = os.open(os.environ[\"HERE\"] + \"/busy\", os.O_WRONLY | os.O_TRUNC)\n"
            "os.write(f, b\"new\")\n"
            "assert os.system(\"%s\") == 0\n"
            "try: os.close(f)\n"
            "except FileNotFoundError: print(\"told\")'; kill $!; while umount -l $HERE 2> /dev/null; do :; done",
            ways[i]);
        cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0, "%s", ways[i]);
        char *out = read_file(place.out, NULL), *err = read_file(place.err, NULL);
        cr_expect_str_eq(out, "told\n", "%s: %s%s", ways[i], out, err);
        cr_expect_eq(log_count(&place, "outcome", "failed"), 1, "%s", ways[i]);
        free(out);
        free(err);
    }
    place_remove(&place);
}

/* ---- what the kernel may answer besides, put in by strace ---------------------------------------------------------------------
 */

static const struct injected {
    const char *name, *call, *error, *command, *op;
} injections[] = {
    { "cp", "copy_file_range", "EIO:when=1", "cp $NEW $TARGET", "copy_file_range" },
    { "cp, quota", "copy_file_range", "EDQUOT:when=1", "cp $NEW $TARGET", "copy_file_range" },
    { "dd", "write", "EIO:when=2", "dd if=$NEW of=$TARGET bs=16k", "write" },
    { "dd, quota", "write", "EDQUOT:when=2", "dd if=$NEW of=$TARGET bs=16k", "write" },
    { "dd, read-only", "write", "EROFS:when=2", "dd if=$NEW of=$TARGET bs=16k", "write" },
    { "dd, memory", "write", "ENOMEM:when=2", "dd if=$NEW of=$TARGET bs=16k", "write" },
    { "dd conv=fsync", "fsync", "EIO:when=1", "dd if=$NEW of=$TARGET bs=16k conv=fsync", "fsync" },
    { "dd conv=fdatasync", "fdatasync", "ENOSPC:when=1", "dd if=$NEW of=$TARGET bs=16k conv=fdatasync", "fdatasync" },
    { "truncate", "ftruncate", "EIO:when=1", "truncate -s 5 $TARGET", "ftruncate" },
    { "fallocate", "fallocate", "ENOSPC:when=1", "fallocate -l 1000000 $TARGET", "fallocate" },
};

Test(failures, that_no_disk_gives_at_will_leave_the_old_file, .timeout = 60)
{
    struct place place;
    char missing[100], command[1000];
    if (!have_programs("strace cp dd truncate fallocate", missing))
        cr_skip_test("there is no %s here", missing);
    place_make(&place);
    for (size_t i = 0; i < COUNT(injections); i++) {
        const struct injected *row = &injections[i];
        place_reset(&place);
        pid_t running = run_busy(place.target);
        snprintf(command, sizeof command,
                 "LD_PRELOAD= exec strace -o /dev/null -e 'inject=/^%s(64)?$:error=%s' -E LD_PRELOAD=" LIBRARY " %s", row->call,
                 row->error, row->command);
        cr_expect_neq(status_code(run_shell(&place, WITH_SHIM, NULL, command)), 0, "%s", row->name);
        expect_old(&place, row->name);
        char error[20];
        snprintf(error, sizeof error, "%.*s", (int)strcspn(row->error, ":"), row->error);
        expect_aborted(&place, row->name, row->op, error);
        stop(running);
    }
    place_remove(&place);
}

/* What says nothing about the file's bytes aborts nothing, and what a program does then is its own affair. */
static const struct injected harmless[] = {
    { "EINTR", "write", "EINTR:when=2", "dd if=$NEW of=$TARGET bs=16k", NULL },
    { "EXDEV", "copy_file_range", "EXDEV", "cp $NEW $TARGET", NULL },
    { "EOPNOTSUPP", "copy_file_range", "EOPNOTSUPP", "cp $NEW $TARGET", NULL },
    { "EINVAL", "copy_file_range", "EINVAL", "cp $NEW $TARGET", NULL },
    { "EINVAL of a sync", "fsync", "EINVAL:when=1", "dd if=$NEW of=$TARGET bs=16k conv=fsync; true", NULL },
    { "room to be kept", "fallocate", "ENOSPC", "sh -c 'fallocate -n -l 1000000 $TARGET; cat $NEW > $TARGET'", NULL },
};

Test(failures, that_harm_no_byte_abort_nothing, .timeout = 60)
{
    struct place place;
    char missing[100], command[1000];
    if (!have_programs("strace cp dd fallocate", missing))
        cr_skip_test("there is no %s here", missing);
    place_make(&place);
    for (size_t i = 0; i < COUNT(harmless); i++) {
        const struct injected *row = &harmless[i];
        place_reset(&place);
        pid_t running = run_busy(place.target);
        snprintf(command, sizeof command,
                 "LD_PRELOAD= exec strace -f -o /dev/null -e 'inject=/^%s(64)?$:error=%s' -E LD_PRELOAD=" LIBRARY " %s", row->call,
                 row->error, row->command);
        run_shell(&place, WITH_SHIM, NULL, command);
        cr_expect(same_content(place.target, place.new), "%s: the target isn't the new file", row->name);
        cr_expect_eq(litter_count(&place), 0, "%s", row->name);
        cr_expect_eq(log_count(&place, "outcome", "aborted"), 0, "%s", row->name);
        stop(running);
    }
    place_remove(&place);
}

/* ---- what comes after ---------------------------------------------------------------------------------------------------------
 */

/* Plays a scene of the program on a busy target: what it prints, what the target is then (NULL: as before), what the log has. */
static void expect_scene(struct place *place, const char *scene, const char *out, const char *content, const char *outcomes)
{
    place_reset(place);
    pid_t running = run_busy(place->target);
    const char *const argv[] = { FAILING_PROGRAM, scene, place->target, NULL };
    int status = run_program_with(place, WITH_SHIM, NULL, argv);
    char *said = read_file(place->out, NULL), *err = read_file(place->err, NULL), *now = read_file(place->target, NULL);
    char seen[200] = "";
    struct json_object *lines = log_lines(place);
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        strcat(seen, i ? " " : "");
        strcat(seen, line_string(json_object_array_get_idx(lines, i), "outcome"));
    }
    cr_expect_eq(status, 0, "%s: %s", scene, err);
    cr_expect_str_eq(said, out, "%s: %s", scene, said);
    if (content)
        cr_expect_str_eq(now, content, "%s: %s", scene, now);
    else
        cr_expect(same_content(place->target, TARGET_PROGRAM), "%s: the target has changed", scene);
    cr_expect_eq(litter_count(place), 0, "%s: litter", scene);
    cr_expect_str_eq(seen, outcomes, "%s: the log has %s", scene, seen);
    json_object_put(lines);
    stop(running);
    free(said);
    free(err);
    free(now);
}

Test(failures, let_the_program_go_on, .timeout = 30)
{
    struct place place;
    place_make(&place);
    expect_scene(&place, "again", "close -1 EFBIG\nclose 0 \n", "second attempt", "aborted replaced");
    expect_scene(&place, "again-meanwhile", "close 0 \nclose -1 EFBIG\n", "second attempt", "aborted replaced");
    expect_scene(&place, "identity", "the same file\nclose -1 EFBIG\n", NULL, "aborted");
    expect_scene(&place, "child", "close -1 EIO\n", NULL, "aborted");
    expect_scene(&place, "parent", "close -1 EFBIG\nclose -1 EFBIG\n", NULL, "aborted");
    expect_scene(&place, "exec", "cat 1\nclose -1 EIO\n", NULL, "aborted");
    expect_scene(&place, "stray-read", "close 0 \n", "half", "replaced");
    expect_scene(&place, "reserve", "close 0 \n", "half", "replaced");
    place_remove(&place);
}

static sys_function *real_entry;

static long interrupt_renames(long number, long a, long b, long c, long d, long e, long f)
{
    if (number != SYS_renameat2)
        return real_entry(number, a, b, c, d, e, f);
    errno = EINTR;
    return -1;
}

/* In this process: a stage of a place's target, with these bytes in it, that is let go of and not committed yet. */
static void let_go_of_stage(struct place *place, struct stage_release *release, const char *bytes)
{
    static struct stage_target target;
    const char *reason;
    char *const environment[] = { "ETXTBSY_LOG=none", NULL };
    place_make(place);
    policy_remember_environment(environment);
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, place->target, 0, 0), 0);
    int fd = stage_create(&(struct stage_request){ .target = &target, .flags = O_WRONLY | O_TRUNC, .op = "open" }, &reason);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    cr_assert(stage_release_begin(release, fd));
    close(fd);
}

/* Programs take EINTR of a close for no failure, or close again until it is another error. */
Test(failures, of_a_commit_are_never_an_interruption)
{
    struct place place;
    struct stage_release release;
    let_go_of_stage(&place, &release, "new");
    real_entry = sys_entry;
    sys_entry = interrupt_renames;
    cr_expect_eq(release_end(&release, "close", 0), -1);
    cr_expect_eq(errno, EIO);
    sys_entry = real_entry;
    cr_expect(same_content(place.target, TARGET_PROGRAM));
    place_remove(&place);
}

/* NFS and FUSE tell a writer at its close what went wrong; no file system here does. */
Test(failures, of_the_close_itself_count)
{
    struct place place;
    struct stage_release release;
    let_go_of_stage(&place, &release, "half");
    errno = EDQUOT;
    cr_expect_eq(release_end(&release, "close", -1), -1);
    cr_expect_eq(errno, EDQUOT);
    expect_old(&place, "close");
    cr_expect_eq(stage_known_count, 0);
    place_remove(&place);
}

/*
 * Stages on real files, with system calls that fail where a test says so. Names are relative to a directory that each test
 * has for itself; "app" is the target, and nobody executes it: a stage doesn't ask why it is wanted.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/stage/copy.h"
#include "../shim/stage/name.h"
#include "../shim/stage/stage.h"
#include "../shim/sys/scratch.h"
#include "../shim/sys/clock.h"
#include "../shim/sys/text.h"
#include "harness.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OLD "old content"
#define NOBODY 65534

/* ---- faults ----------------------------------------------------------------------------------------------------------------- */

#define NOT_MET (-1)

/* The nth call of that number fails, and as many behind it; number 0: of any that can fail. */
static struct {
    long number;
    int error;
    unsigned nth, times, count;
    bool told; /* it is done all the same: the answer was lost */
    long hit;
} fault;

#define COMMIT_TRIES 3 /* as in commit.c */

/* How flock misbehaves: unknown; anybody gets any lock; an exclusive one needs a descriptor for writing (NFS). */
enum flock_fault { FLOCK_WORKS, FLOCK_LETS_ALL, FLOCK_WANTS_WRITERS };
static enum flock_fault flock_fault;

static bool no_tmpfile, no_flock, no_clone;
static unsigned kill_at; /* before the nth call; 0: never */

/* Before the first call of that number: says so to another process, and waits for its answer. */
static struct {
    long number;
    int say, answer;
} meeting = { .number = -1 };
static struct {
    long number;
    void (*happens)(void);
} surprise;                 /* what happens just before the next such call */
static int64_t years_later; /* on the wall clock */
static int goes_when_asked; /* a descriptor that another thread closes just before its flags are read; 0: none */

static struct {
    long numbers[4096];
    size_t length;
} trace;

static bool can_fail(long number)
{
    return number != SYS_getpid && number != SYS_geteuid && number != SYS_getegid && number != SYS_gettid &&
           number != SYS_clock_gettime && number != SYS_munmap;
}

static long failed(int error)
{
    errno = error;
    return -1;
}

static long faulty_call(long number, long a0, long b, long c, long d, long e, long f)
{
    const long a[6] = { a0, b, c, d, e, f };

    if (kill_at && !--kill_at)
        raise(SIGKILL);
    if (number == meeting.number) {
        char byte = 0;
        meeting.number = -1;
        if (write(meeting.say, &byte, 1) == 1)
            (void)!read(meeting.answer, &byte, 1);
    }
    if (trace.length < COUNT(trace.numbers))
        trace.numbers[trace.length++] = number;
    if (no_tmpfile && number == SYS_openat && (a[2] & O_TMPFILE) == O_TMPFILE)
        return failed(EOPNOTSUPP);
    if (surprise.happens && number == surprise.number) {
        void (*happens)(void) = surprise.happens;
        surprise.happens = NULL;
        happens();
    }
    if (no_flock && number == SYS_flock)
        return failed(EOPNOTSUPP);
    if (flock_fault == FLOCK_LETS_ALL && number == SYS_flock)
        return 0;
    if (flock_fault == FLOCK_WANTS_WRITERS && number == SYS_flock && a[1] & (LOCK_EX | LOCK_SH) &&
        (fcntl((int)a[0], F_GETFL) & O_ACCMODE) == (a[1] & LOCK_EX ? O_RDONLY : O_WRONLY))
        return failed(EBADF);
    if (no_clone && number == SYS_ioctl && a[1] == FICLONE)
        return failed(EOPNOTSUPP);
    if (goes_when_asked && number == FCNTL && a[0] == goes_when_asked && a[1] == F_GETFL) {
        close(goes_when_asked);
        goes_when_asked = 0;
    }
    if (fault.error && (fault.number ? number == fault.number : can_fail(number)) && ++fault.count >= fault.nth &&
        fault.count < fault.nth + fault.times) {
        fault.hit = number;
        if (number == SYS_close || fault.told) /* close lets go of the descriptor even when it fails */
            syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        return failed(fault.error);
    }
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (years_later && number == SYS_clock_gettime && a[0] == CLOCK_REALTIME)
        ((struct timespec *)a[1])->tv_sec += years_later * 365 * 86400;
    return result;
}

static void fail_often(long number, unsigned nth, unsigned times, int error)
{
    fault.number = number;
    fault.nth = nth;
    fault.times = times;
    fault.error = error;
    fault.told = false;
    fault.count = 0;
    fault.hit = NOT_MET;
}

static void fail(long number, unsigned nth, int error)
{
    fail_often(number, nth, 1, error);
}

/* What a network file system does when an answer is lost. */
static void do_and_fail(long number, unsigned nth, int error)
{
    fail(number, nth, error);
    fault.told = true;
}

static void fail_no_more(void)
{
    fault.error = 0;
}

/* ---- a directory ------------------------------------------------------------------------------------------------------------ */

static char directory[PATH_MAX]; /* where TMPDIR says */

static void put(const char *name, const char *bytes, mode_t mode)
{
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0, "%s", name);
    cr_assert_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void enter(void)
{
    const char *base = getenv("TMPDIR");
    umask(022);
    snprintf(directory, sizeof directory, "%s/etxtbsy-unit-XXXXXX", base ? base : "/tmp");
    cr_assert(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    put("app", OLD, 0751);
    sys_entry = faulty_call;
}

/* The names in the directory; `callback` may remove them. */
static unsigned each_name(void (*callback)(const char *name))
{
    unsigned count = 0;
    DIR *dir = opendir(".");
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
            count++;
            if (callback)
                callback(entry->d_name);
        }
    closedir(dir);
    return count;
}

static void remove_name(const char *name)
{
    if (unlink(name) < 0)
        rmdir(name);
}

static void leave(void)
{
    (void)!seteuid(0);
    each_name(remove_name);
    (void)!chdir("/");
    rmdir(directory);
}

/* A skipped test isn't finished: this cleans up for it. */
static void skip(const char *why)
{
    leave();
    cr_skip_test("%s", why);
}

TestSuite(stage, .init = enter, .fini = leave, .timeout = 60);
TestSuite(stage_fault, .init = enter, .fini = leave, .timeout = 60);

static const char *content(const char *name)
{
    static char buffers[4][4096];
    static int next;
    char *buffer = buffers[next++ % 4];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, buffer, sizeof buffers[0] - 1);
    if (fd >= 0)
        close(fd);
    buffer[length > 0 ? length : 0] = '\0';
    return length < 0 ? "(none)" : buffer;
}

static struct stat stat_of(const char *name)
{
    struct stat file = { 0 };
    cr_assert_eq(lstat(name, &file), 0, "%s", name);
    return file;
}

static char found_stage[NAME_MAX + 1];

static void note_stage(const char *name)
{
    struct stage_name parsed;
    if (stage_name_parse(name, &parsed))
        strcpy(found_stage, name);
}

/* The name of a stage in the directory; empty: there is none. */
static const char *stage_in_directory(void)
{
    found_stage[0] = '\0';
    each_name(note_stage);
    return found_stage;
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- the steps -------------------------------------------------------------------------------------------------------------- */

static struct stage_target target;
static struct stage_report report;
static struct stage_release release;
static const char *reason;

static enum stage_kind kind;
static bool respects_locks, alone, unused;

/* Of the target that was resolved last. */
static int create_resolved(int flags, int64_t keep)
{
    const struct stage_request request = { .target = &target,
                                           .kind = kind,
                                           .flags = flags,
                                           .mode = 0640,
                                           .keep = keep,
                                           .op = "open64",
                                           .respects_locks = respects_locks,
                                           .alone = alone,
                                           .unused = unused };
    return stage_create(&request, &reason);
}

static int create(const char *name, int flags, int64_t keep)
{
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, name, flags, 0), 0, "%s", name);
    return create_resolved(flags, keep);
}

/* With a message, rather than with a wrong descriptor later. */
static int created(const char *name, int flags, int64_t keep)
{
    int fd = create(name, flags, keep);
    cr_assert_geq(fd, 0, "refused: %s", reason);
    return fd;
}

static void say(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static enum stage_end let_go(int fd)
{
    bool is = stage_release_begin(&release, fd);
    close(fd);
    return is ? stage_release_end(&release, &report) : STAGE_NONE;
}

/* Of a file that isn't there. */
static int created_new(const char *name, int flags)
{
    kind = STAGE_OF_NEW;
    cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, name, 0), 0, "%s", name);
    int fd = create_resolved(flags, 0);
    cr_assert_geq(fd, 0, "refused: %s", reason);
    return fd;
}

/* Lets go of the last descriptor and commits. */
static enum stage_outcome commit(int fd)
{
    enum stage_end end = let_go(fd);
    cr_assert_eq(end, STAGE_READY, "%d", end);
    return stage_commit(&release, STAGE_SYNC_NONE, &report);
}

static void sweep(bool born_locked)
{
    int dirfd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    stage_sweep(dirfd, born_locked, NULL);
    close(dirfd);
}

/* What exit does, with the committing that remedy/ does. Returns how many were committed. */
static unsigned release_at(enum stage_moment moment)
{
    unsigned committed = 0;
    struct stage_release all = { .asker = -1 };
    while (stage_release_next(&all, moment))
        if (stage_release_end(&all, &report) == STAGE_READY)
            committed += stage_commit(&all, STAGE_SYNC_NONE, &report) == STAGE_REPLACED;
        else
            stage_release_finish(&all);
    return committed;
}

static void forget_all(void)
{
    struct known_use use = { 0 };
    while ((use = known_next(use.slot)).slot)
        known_forget(use);
}

static unsigned free_slots(void)
{
    unsigned count = 0;
    while (known_reserve())
        count++;
    return count;
}

/* ---- create, release, commit ------------------------------------------------------------------------------------------------ */

Test(stage, replaces_the_content)
{
    struct stat before = stat_of("app");
    unsigned open_before = descriptors();
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect(stage_is(fd));
    cr_expect_eq(stage_known_count, 1);
    say(fd, "new");
    cr_expect_str_eq(content("app"), OLD, "the target changed before its commit");

    struct stat stage = stat_of(stage_in_directory());
    cr_expect_eq(let_go(fd), STAGE_READY);
    cr_expect_not(report.early);
    cr_expect_str_eq(report.op, "open64");
    cr_expect_str_eq(text_base(report.path), found_stage);
    cr_expect_str_eq(text_base(report.target), "app");
    cr_expect_eq(report.inode, stage.st_ino);
    cr_expect_str_eq(content("app"), OLD);

    cr_expect_eq(stage_commit(&release, STAGE_SYNC_FULL, &report), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
    cr_expect_eq(stat_of("app").st_ino, stage.st_ino);
    cr_expect_eq(report.target_inode, before.st_ino);
    cr_expect_eq(report.bytes, 3);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_eq(each_name(NULL), 1, "litter");
    cr_expect_eq(descriptors(), open_before, "a descriptor is left");
}

Test(stage, makes_a_new_file)
{
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        unsigned names = each_name(NULL), open_before = descriptors();
        umask(027);
        int fd = created_new("fresh", O_WRONLY | O_TRUNC | O_CREAT);
        say(fd, "new");
        cr_expect_eq(access("fresh", F_OK), -1);
        struct stat stage = stat_of(stage_in_directory());
        int second = stage_join(&target, O_WRONLY | O_APPEND);
        cr_assert_geq(second, 0);
        say(second, "er");
        close(second);
        cr_expect_eq(commit(fd), STAGE_CREATED);
        cr_expect_eq(report.kind, STAGE_OF_NEW);
        cr_expect_str_eq(content("fresh"), "newer");
        cr_expect_eq(stat_of("fresh").st_ino, stage.st_ino);
        cr_expect_eq(stat_of("fresh").st_mode & 07777, 0640);
        cr_expect_eq(each_name(NULL), names + 1, "litter");
        cr_expect_eq(descriptors(), open_before);
        unlink("fresh");
    }
}

/* The last one wins, as when both open it in place and the second one empties it. */
Test(stage, of_a_new_file_yields_to_nobody)
{
    int fd = created_new("fresh", O_WRONLY | O_TRUNC | O_CREAT);
    say(fd, "ours");
    put("fresh", "theirs", 0600);
    cr_expect_eq(commit(fd), STAGE_OVERTAKEN);
    cr_expect_str_eq(content("fresh"), "ours");
    unlink("fresh");
}

Test(stage, of_a_new_file_is_refused_where_there_is_one)
{
    static const char *const paths[] = { "app", "", ".", "..", "./", "nowhere/file", "app/file", "link" };
    cr_assert_eq(symlink("gone", "link"), 0);
    for (size_t i = 0; i < COUNT(paths); i++)
        cr_expect_eq(stage_resolve_new(&target, AT_FDCWD, paths[i], 0), -1, "%s", paths[i]);
    unlink("link");
    cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, "fresh", 0), 0);
    put("fresh", "", 0600);
    kind = STAGE_OF_NEW;
    cr_expect_eq(create_resolved(O_WRONLY | O_TRUNC | O_CREAT, 0), -1);
    cr_expect_str_eq(reason, "path");
    unlink("fresh");
}

/* An heir takes what it needs to know from the name. */
Test(stage, of_a_new_file_is_finished_by_an_heir)
{
    int fd = created_new("fresh", O_WRONLY | O_TRUNC | O_CREAT);
    forget_all();
    stage_adopt();
    say(fd, "new");
    cr_expect_eq(commit(fd), STAGE_CREATED);
    cr_expect_str_eq(content("fresh"), "new");
    unlink("fresh");
}

Test(stage, does_so_where_a_file_can_not_be_born_nameless)
{
    no_tmpfile = true;
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
    cr_expect_eq(each_name(NULL), 1);
}

Test(stage, starts_with_as_much_of_the_old_content_as_asked)
{
    static const struct {
        int64_t keep;
        const char *expected;
    } rows[] = {
        { STAGE_KEEP_ALL, "NEW content" }, { 0, "NEW" }, { 4, "NEW " }, { 3, "NEW" }, { 2, "NEW" }, { 100, "NEW content" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("app", OLD, 0644);
        int fd = created("app", O_RDWR, rows[i].keep);
        say(fd, "NEW");
        cr_expect_eq(commit(fd), STAGE_REPLACED);
        cr_expect_str_eq(content("app"), rows[i].expected, "row %zu: %s", i, content("app"));
    }
}

Test(stage, appends)
{
    int fd = created("app", O_WRONLY | O_APPEND, STAGE_KEEP_ALL);
    say(fd, ", and new");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), OLD ", and new");
}

Test(stage, has_mode_and_owner_of_the_target)
{
    static const mode_t modes[] = { 0755, 0644, 0600, 0751, 0777, 0400, 0000, 04755, 02755, 06711, 01644 };
    bool root = geteuid() == 0;
    for (size_t i = 0; i < COUNT(modes); i++)
        for (int truncates = 0; truncates < 2; truncates++) {
            int flags = truncates ? O_WRONLY | O_TRUNC : O_WRONLY;
            put("app", OLD, 0600);
            put("in-place", OLD, 0600);
            cr_assert_eq(!root || (chown("app", NOBODY, NOBODY) == 0 && chown("in-place", NOBODY, NOBODY) == 0), 1);
            cr_assert_eq(chmod("app", modes[i]) | chmod("in-place", modes[i]), 0);
            if (!root && (modes[i] & 0600) != 0600)
                continue; /* the kernel wouldn't have let us open it */
            int fd = created("app", flags, truncates ? 0 : STAGE_KEEP_ALL), beside = open("in-place", flags);
            struct stat early = stat_of(stage_in_directory());
            cr_expect_eq(early.st_mode, stat_of("in-place").st_mode, "%o: a stage with mode %o", modes[i], early.st_mode);
            say(fd, "x");
            say(beside, "x");
            close(beside);
            cr_expect_eq(commit(fd), STAGE_REPLACED);
            struct stat file = stat_of("app"), expected = stat_of("in-place");
            cr_expect_eq(file.st_mode, expected.st_mode, "%o became %o, and %o in place", modes[i], file.st_mode, expected.st_mode);
            cr_expect_eq(file.st_uid, expected.st_uid);
            cr_expect_eq(file.st_gid, expected.st_gid);
        }
}

Test(stage, of_a_set_id_program_ends_as_in_place_for_an_ordinary_user)
{
    if (geteuid())
        skip("needs root");
    for (int truncates = 0; truncates < 2; truncates++) {
        static const char *const names[] = { "app", "in-place" };
        int flags = truncates ? O_WRONLY | O_TRUNC : O_WRONLY;
        for (size_t i = 0; i < COUNT(names); i++) {
            put(names[i], OLD, 0600);
            cr_assert_eq(chown(names[i], NOBODY, NOBODY) | chmod(names[i], 06755), 0);
        }
        cr_assert_eq(chown(".", NOBODY, NOBODY) | setegid(NOBODY) | seteuid(NOBODY), 0);
        int fd = created("app", flags, truncates ? 0 : STAGE_KEEP_ALL), beside = open("in-place", flags);
        cr_expect_eq(stat_of(stage_in_directory()).st_mode, stat_of("in-place").st_mode, "before a write: %o and %o",
                     stat_of(found_stage).st_mode, stat_of("in-place").st_mode);
        say(fd, "x");
        say(beside, "x");
        close(beside);
        cr_expect_eq(commit(fd), STAGE_REPLACED);
        cr_expect_eq(stat_of("app").st_mode, stat_of("in-place").st_mode, "%o and %o", stat_of("app").st_mode,
                     stat_of("in-place").st_mode);
        cr_assert_eq(seteuid(0) | setegid(0), 0);
    }
}

static const struct {
    int flags;
    const char *name;
} open_flags[] = {
    { O_WRONLY, "O_WRONLY" },
    { O_RDWR, "O_RDWR" },
    { O_WRONLY | O_TRUNC, "O_TRUNC" },
    { O_RDONLY | O_TRUNC, "O_RDONLY|O_TRUNC" },
    { O_WRONLY | O_CREAT | O_TRUNC, "O_CREAT|O_TRUNC" },
    { O_WRONLY | O_APPEND, "O_APPEND" },
    { O_RDWR | O_NONBLOCK, "O_NONBLOCK" },
    { O_WRONLY | O_SYNC, "O_SYNC" },
    { O_WRONLY | O_DSYNC, "O_DSYNC" },
    { O_WRONLY | O_NOATIME, "O_NOATIME" },
    { O_WRONLY | O_NOCTTY, "O_NOCTTY" },
    { O_WRONLY | 0100000, "O_LARGEFILE" },
    { O_WRONLY | O_CLOEXEC, "O_CLOEXEC" },
    { O_WRONLY | O_DIRECT, "O_DIRECT" },
    { O_WRONLY | O_NOFOLLOW, "O_NOFOLLOW" },
};

static void expect_like_a_plain_open(int fd, int flags, const char *name)
{
    put("idle", "", 0755);
    /* By number: open would add the O_LARGEFILE that this file is compiled for. */
    int plain = (int)syscall(SYS_openat, AT_FDCWD, "idle", flags, 0600);
    if (plain < 0)
        return; /* O_DIRECT isn't known everywhere */
    int expected = fcntl(plain, F_GETFL), status = fcntl(fd, F_GETFL);
    close(plain);
    cr_expect_eq(status, expected, "%s: F_GETFL is %#o, and of a plain open %#o", name, status, expected);
    cr_expect_eq(fcntl(fd, F_GETFD), flags & O_CLOEXEC ? FD_CLOEXEC : 0, "%s: close-on-exec", name);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), 0);
}

Test(stage, has_the_flags_that_a_plain_open_shows)
{
    for (size_t i = 0; i < COUNT(open_flags); i++) {
        int flags = open_flags[i].flags;
        put("app", "old", 0755);
        int fd = created("app", flags, flags & O_TRUNC ? 0 : STAGE_KEEP_ALL);
        expect_like_a_plain_open(fd, flags, open_flags[i].name);
        cr_expect_eq(commit(fd), flags & O_TRUNC ? STAGE_REPLACED : STAGE_UNCHANGED);
    }
}

/* Whatever the pieces in which the two are compared: one byte makes the difference, wherever it is, and so does the length. */
Test(stage, is_unchanged_when_every_byte_is_the_same)
{
    static const size_t sizes[] = { 1, 4095, 4096, 4097, 28672, 65535, 65536, 65537, 69632, 131072, 131073, 300000 };
    static char bytes[300001], other[sizeof bytes], now[sizeof bytes];
    memset(bytes, 'x', sizeof bytes - 1);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const size_t size = sizes[i], places[] = { 0, size / 2, size - 1 };
        memset(bytes, 'x', size);
        bytes[size] = '\0';
        for (size_t place = 0; place <= COUNT(places); place++) {
            memcpy(other, bytes, size + 1);
            if (place < COUNT(places))
                other[places[place]] = 'y';
            put("app", bytes, 0751);
            int fd = created("app", O_WRONLY | O_TRUNC, 0);
            say(fd, other);
            cr_expect_eq(commit(fd), place < COUNT(places) ? STAGE_REPLACED : STAGE_UNCHANGED, "%zu bytes, place %zu", size, place);
            fd = open("app", O_RDONLY | O_CLOEXEC);
            cr_expect_eq(read(fd, now, sizeof now), (ssize_t)size);
            cr_expect_arr_eq(now, other, size, "%zu bytes, place %zu", size, place);
            close(fd);
        }
    }
}

/* Leaves a hole among the low numbers and returns it. */
static int lowest_hole(void)
{
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC), second = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_lt(first, second);
    close(first);
    return first;
}

Test(stage, is_at_the_lowest_free_number)
{
    for (int tmpfile = 0; tmpfile < 2; tmpfile++)
        for (size_t i = 0; i < 3; i++) {
            no_tmpfile = !tmpfile;
            int hole = lowest_hole();
            int fd = created("app", open_flags[i].flags, STAGE_KEEP_ALL);
            cr_expect_eq(fd, hole, "%d, and the lowest free number was %d", fd, hole);
        }
}

Test(stage, has_a_path_without_deleted)
{
    char path[PATH_MAX] = "", link[64];
    int fd = created("app", O_WRONLY, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    cr_assert_gt(readlink(link, path, sizeof path - 1), 0);
    cr_expect_str_eq(text_base(path), stage_in_directory());
}

Test(stage, may_have_moved_with_its_directory)
{
    int fd;
    cr_assert_eq(mkdir("one", 0755), 0);
    put("one/app", OLD, 0755);
    fd = created("one/app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(rename("one", "two"), 0);
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("two/app"), "new");
    unlink("two/app");
}

Test(stage, of_a_name_as_long_as_can_be)
{
    char name[NAME_MAX + 1];
    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    put(name, OLD, 0755);
    int fd = created(name, O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content(name), "new");
    cr_expect_eq(each_name(NULL), 2);
}

static int copy_all(int from, int to, int64_t length)
{
    struct statx file;
    cr_assert_eq(statx(from, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &file), 0);
    return stage_copy(from, &file, to, length);
}

Test(stage, copies_where_the_file_system_helps_and_where_it_does_not)
{
    static char old[300000], new[300001];
    static const struct {
        long number;
        unsigned nth;
        int error;
    } rows[] = {
        { 0, 0, 0 },
        { SYS_ioctl, 1, EOPNOTSUPP },
        { SYS_copy_file_range, 1, EXDEV },
        { SYS_copy_file_range, 1, ENOSYS },
        { SYS_copy_file_range, 1, EINTR },
        { SYS_copy_file_range, 2, EINVAL },
        { LSEEK, 1, EIO }, /* a file without holes isn't asked for them */
    };
    for (size_t i = 0; i < sizeof old; i++)
        old[i] = (char)(i * 31 + i / 251);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int fd = open("from", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int to = open("to", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        cr_assert_eq(write(fd, old, sizeof old), (ssize_t)sizeof old);
        lseek(fd, 0, SEEK_SET);
        fail(rows[i].number, rows[i].nth, rows[i].error);
        cr_expect_eq(copy_all(fd, to, INT64_MAX), 0, "row %zu", i);
        fail_no_more();
        cr_expect_eq(pread(to, new, sizeof new, 0), (ssize_t)sizeof old, "row %zu", i);
        cr_expect_eq(memcmp(old, new, sizeof old), 0, "row %zu", i);
        close(fd);
        close(to);
    }
}

Test(stage, copies_holes_as_holes_where_they_can_be_told)
{
    enum { SIZE = 16 << 20, MIDDLE = 8 << 20, PIECE = 100000 };
    static char old[SIZE], new[SIZE];
    static const int64_t lengths[] = {
        INT64_MAX, SIZE, SIZE + 1, SIZE - 1, MIDDLE + PIECE, MIDDLE + 5, MIDDLE, MIDDLE - 1, 70000, 1
    };
    static const struct {
        long number;
        unsigned nth, times;
        int error;
        bool fills;
    } rows[] = {
        { 0, 0, 0, 0, false },         { SYS_copy_file_range, 1, 100, EXDEV, false }, { SYS_copy_file_range, 2, 1, EXDEV, false },
        { LSEEK, 1, 2, EINVAL, true }, /* to find data, and a hole */
        { LSEEK, 2, 1, EINVAL, true },
    };
    struct stat file;
    int fd = open("from", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int at = 0; at < SIZE; at += MIDDLE) {
        memset(old + at, 'x', PIECE);
        cr_assert_eq(pwrite(fd, old + at, PIECE, at), PIECE);
    }
    cr_assert_eq(ftruncate(fd, SIZE), 0);
    cr_assert_eq(fstat(fd, &file), 0);
    bool has_holes = file.st_blocks < SIZE / 2 / 512;
    no_clone = true;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(lengths); j++) {
            int to = open("to", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            ssize_t length = (ssize_t)(lengths[j] < SIZE ? lengths[j] : SIZE);
            lseek(fd, 0, SEEK_SET);
            fail_often(rows[i].number, rows[i].nth, rows[i].times, rows[i].error);
            cr_expect_eq(copy_all(fd, to, lengths[j]), 0, "row %zu, %zd", i, length);
            fail_no_more();
            cr_expect_eq(pread(to, new, sizeof new, 0), length, "row %zu, %zd", i, length);
            cr_expect_eq(memcmp(old, new, (size_t)length), 0, "row %zu, %zd", i, length);
            cr_assert_eq(fstat(to, &file), 0);
            cr_expect(rows[i].fills || !has_holes || file.st_blocks < SIZE / 2 / 512, "row %zu, %zd: filled", i, length);
            close(to);
        }
    close(fd);
}

/* ---- what is refused -------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const char *name, int flags, const char *expected)
{
    unsigned names = each_name(NULL), open_before = descriptors();
    int fd = create(name, flags, flags & O_TRUNC ? 0 : STAGE_KEEP_ALL);
    cr_expect_eq(fd, -1, "%s was not refused", expected);
    cr_assert(reason, "no reason");
    cr_expect_str_eq(reason, expected, "%s: %s", expected, reason);
    cr_expect_eq(each_name(NULL), names, "%s: litter", expected);
    cr_expect_eq(descriptors(), open_before, "%s: a descriptor is left", expected);
    cr_expect_eq(stage_known_count, 0);
}

Test(stage, is_refused_for_hard_links)
{
    cr_assert_eq(link("app", "other"), 0);
    expect_refusal("app", O_WRONLY | O_TRUNC, "hard-links");
    cr_expect_str_eq(content("app"), OLD);
}

Test(stage, is_refused_for_what_is_no_regular_file)
{
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    expect_refusal("fifo", O_WRONLY, "not-a-regular-file");
    cr_assert_eq(mkdir("dir", 0700), 0);
    expect_refusal("dir", O_WRONLY, "not-a-regular-file");
    cr_assert_eq(symlink("app", "link"), 0);
    expect_refusal("link", O_WRONLY | O_NOFOLLOW, "not-a-regular-file");
}

Test(stage, is_refused_for_an_immutable_file)
{
    int fd = open("app", O_RDONLY | O_CLOEXEC), flags = FS_IMMUTABLE_FL, none = 0;
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
        skip("this file system or user can't make a file immutable");
    expect_refusal("app", O_WRONLY, "immutable");
    cr_expect_eq(ioctl(fd, FS_IOC_SETFLAGS, &none), 0);
}

Test(stage, is_refused_for_a_mounted_file)
{
    put("other", "other", 0755);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("other", "app", NULL, MS_BIND, NULL) < 0)
        skip("can't mount");
    expect_refusal("app", O_WRONLY, "mount-point");
    umount("app");
}

Test(stage, is_refused_where_others_are_concerned)
{
    if (geteuid())
        skip("needs root");
    put("theirs", OLD, 0666);

    cr_assert_eq(chown(".", NOBODY, NOBODY) | seteuid(NOBODY), 0);
    expect_refusal("theirs", O_WRONLY, "owner");
    cr_assert_eq(seteuid(0), 0);

    cr_assert_eq(chown(".", 0, 0) | chmod(".", 0755) | seteuid(NOBODY), 0);
    expect_refusal("theirs", O_WRONLY, "directory");
    cr_assert_eq(seteuid(0), 0);

    cr_assert_eq(chmod(".", 01777) | seteuid(NOBODY), 0);
    expect_refusal("theirs", O_WRONLY, "sticky-directory");
    cr_assert_eq(seteuid(0), 0);

    put("secret", OLD, 0200);
    cr_assert_eq(chown("secret", NOBODY, 0) | chmod(".", 0777) | setegid(NOBODY) | seteuid(NOBODY), 0);
    expect_refusal("secret", O_WRONLY, "unreadable");           /* the old content is to stay, and we may only write */
    expect_refusal("secret", O_WRONLY | O_TRUNC, "unreadable"); /* nor can we ask for the inode flags */
    cr_assert_eq(chmod("secret", 0600), 0);
    expect_refusal("secret", O_WRONLY | O_TRUNC, "owner"); /* we can't give a file to a group that we aren't in */
}

Test(stage, is_refused_where_the_path_has_changed)
{
    static const struct {
        const char *from, *to;
    } renames[] = { { "app", "elsewhere" }, { "other", "app" } };
    for (size_t i = 0; i < COUNT(renames); i++) {
        put("app", OLD, 0755);
        put("other", "other", 0755);
        cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
        cr_assert_eq(rename(renames[i].from, renames[i].to), 0);
        cr_expect_eq(create_resolved(O_WRONLY, STAGE_KEEP_ALL), -1);
        cr_expect_str_eq(reason, "path");
        cr_expect_str_eq(stage_in_directory(), "");
    }
}

static void replace_app(void)
{
    cr_assert_eq(rename("other", "app"), 0);
}

/* Its path is read a moment after it was opened, and would be that of a file without a name. */
Test(stage, is_of_the_file_that_has_the_name_when_the_target_is_replaced_while_it_is_looked_for)
{
    struct stat now;
    char expected[PATH_MAX], here[PATH_MAX - 8];
    put("app", OLD, 0755);
    put("other", "other", 0755);
    cr_assert_eq(stat("other", &now), 0);
    surprise.number = SYS_readlinkat;
    surprise.happens = replace_app;
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_null(surprise.happens, "it was never replaced");
    snprintf(expected, sizeof expected, "%s/app", getcwd(here, sizeof here));
    cr_expect_str_eq(target.path, expected);
    cr_expect_eq(target.file.stx_ino, now.st_ino);
}

/* One that has no name at all is what it is: a program may open its own deleted file anew. */
Test(stage, is_looked_for_in_bounded_time_when_the_target_has_no_name)
{
    char link[64];
    put("app", OLD, 0755);
    int fd = open("app", O_RDONLY);
    cr_assert_eq(unlink("app"), 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    cr_expect_eq(stage_resolve(&target, AT_FDCWD, link, 0, 0), 0);
    cr_expect_eq(target.file.stx_nlink, 0);
    close(fd);
}

Test(stage, says_which_machine_is_to_blame)
{
    static const struct {
        long number;
        unsigned nth;
        int error;
        const char *expected;
    } rows[] = {
        { SYS_openat, 1, EMFILE, "descriptors" },
        { SYS_openat, 3, ENFILE, "descriptors" },
        { SYS_linkat, 1, ENOSPC, "no-space" },
        { SYS_linkat, 1, EDQUOT, "quota" },
        { SYS_linkat, 1, EROFS, "read-only" },
        { SYS_linkat, 1, ENOENT, "no-proc" },
        { SYS_linkat, 1, ENAMETOOLONG, "name-too-long" },
        { SYS_renameat2, 1, EPERM, "rename" },
        { SYS_fchmod, 1, EPERM, "attributes" },
        { SYS_fchmod, 1, EDQUOT, "quota" },
        { SYS_copy_file_range, 1, ENOSPC, "no-space" },
        { SYS_copy_file_range, 1, EDQUOT, "quota" },
    };
    no_clone = true;
    for (size_t i = 0; i < COUNT(rows); i++) {
        cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
        fail(rows[i].number, rows[i].nth, rows[i].error);
        int fd = create_resolved(O_WRONLY, STAGE_KEEP_ALL);
        fail_no_more();
        cr_expect_eq(fd, -1, "row %zu", i);
        cr_expect_eq(fault.hit, rows[i].number, "row %zu: the fault was not met", i);
        cr_assert(reason, "row %zu: no reason", i);
        cr_expect_str_eq(reason, rows[i].expected, "row %zu: %s", i, reason);
    }
}

/* ---- resolve ---------------------------------------------------------------------------------------------------------------- */

Test(stage, resolves_as_open_does)
{
    char expected[PATH_MAX];
    int dirfd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    unsigned open_before = descriptors();
    snprintf(expected, sizeof expected, "%s/app", directory);
    cr_assert_eq(symlink("app", "link") | symlink("link", "links") | mkdir("dir", 0755) | symlink("../links", "dir/up"), 0);
    static const char *const names[] = { "app", "./app", "link", "links", "dir/up", "dir/../app" };
    cr_assert_eq(chdir("/"), 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        cr_expect_eq(stage_resolve(&target, dirfd, names[i], O_WRONLY, 0), 0);
        cr_expect_str_eq(target.path, expected, "%s", names[i]);
        cr_expect_eq(target.directory_length, strlen(directory));
    }
    cr_expect_eq(stage_resolve(&target, dirfd, "link", O_NOFOLLOW, 0), 0);
    cr_expect(S_ISLNK(target.file.stx_mode));
    cr_expect_eq(stage_resolve(&target, dirfd, "link", 0, RESOLVE_NO_SYMLINKS), -1);
    cr_expect_eq(errno, ELOOP);
    cr_expect_eq(stage_resolve(&target, dirfd, "nowhere", 0, 0), -1);
    cr_expect_eq(errno, ENOENT);
    cr_expect_eq(stage_resolve(&target, -1, "app", 0, 0), -1);
    cr_expect_eq(errno, EBADF);
    cr_expect_eq(descriptors(), open_before);
    cr_assert_eq(fchdir(dirfd) | unlink("dir/up"), 0);
}

Test(stage, resolves_no_path_to_a_pipe)
{
    int fds[2];
    char link[64];
    cr_assert_eq(pipe(fds), 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fds[1]);
    cr_expect_eq(stage_resolve(&target, AT_FDCWD, link, O_WRONLY, 0), -1);
    cr_expect_eq(errno, ENOENT);
}

/* ---- who holds it ----------------------------------------------------------------------------------------------------------- */

Test(stage, waits_for_a_dup)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), second = dup(fd);
    say(fd, "one");
    cr_expect_eq(let_go(fd), STAGE_HELD);
    stage_release_finish(&release);
    cr_expect_str_eq(content("app"), OLD);
    say(second, "two");
    cr_expect_eq(commit(second), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "onetwo");
}

/* A child that holds the stage until it is told to go on, and then commits it or is killed. */
struct holder {
    pid_t pid;
    int go;
};

static struct holder fork_holder(int fd)
{
    int go[2];
    cr_assert_eq(pipe2(go, O_CLOEXEC), 0);
    struct holder holder = { .pid = fork(), .go = go[1] };
    if (holder.pid == 0) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) != 1 || write(fd, " child", 6) != 6)
            _exit(1);
        if (let_go(fd) != STAGE_READY || report.early)
            _exit(2);
        _exit(stage_commit(&release, STAGE_SYNC_NONE, &report) == STAGE_REPLACED ? 0 : 3);
    }
    close(go[0]);
    return holder;
}

static int holder_goes_on(const struct holder *holder)
{
    int status;
    say(holder->go, "x");
    cr_assert_eq(waitpid(holder->pid, &status, 0), holder->pid);
    return status;
}

Test(stage, waits_for_a_forked_child_which_commits_it)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "parent");
    struct holder holder = fork_holder(fd);

    cr_expect_eq(let_go(fd), STAGE_PENDING);
    cr_expect_eq(stage_release_end(&release, &report), STAGE_PENDING, "may be asked again until it is said");
    stage_set_pending(&release);
    stage_release_finish(&release);
    cr_expect_str_eq(content("app"), OLD);
    release = (struct stage_release){ .asker = -1 };
    cr_assert_not(stage_pending_next(&release), "while it is held");
    cr_expect_eq(stage_known_count, 1);

    cr_expect_eq(holder_goes_on(&holder), 0);
    cr_expect_str_eq(content("app"), "parent child");
    release = (struct stage_release){ .asker = -1 };
    cr_assert_not(stage_pending_next(&release), "when it is committed");
    cr_expect_eq(stage_known_count, 0);
    release = (struct stage_release){ .asker = -1 };
    cr_expect_not(stage_pending_next(&release));
}

/* Two threads let go, a child has it still; the first to ask goes just when the second looks who else is there. */
Test(stage, asked_for_by_another_thread_that_goes_is_pending)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct stage_release other;
    struct holder holder = fork_holder(fd);
    cr_assert(stage_release_begin(&other, copy));
    cr_assert(stage_release_begin(&release, fd));
    close(copy);
    close(fd);
    cr_expect_eq(stage_release_end(&other, &report), STAGE_PENDING);
    goes_when_asked = other.asker;
    cr_expect_eq(stage_release_end(&release, &report), STAGE_PENDING, "taken for a holder");
    cr_expect_eq(goes_when_asked, 0, "never asked");
    stage_release_finish(&release);
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, NULL, 0);
}

Test(stage, of_which_the_holder_was_killed_is_committed_by_its_creator)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), status;
    say(fd, "parent");
    struct holder holder = fork_holder(fd);
    cr_expect_eq(let_go(fd), STAGE_PENDING);
    cr_expect_eq(stage_release_end(&release, &report), STAGE_PENDING, "may be asked again until it is said");
    stage_set_pending(&release);
    stage_release_finish(&release);
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, &status, 0);
    release = (struct stage_release){ .asker = -1 };
    cr_assert(stage_pending_next(&release));
    cr_expect_eq(stage_release_end(&release, &report), STAGE_READY);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "parent");
}

/* The program has gone on without it: what has taken its place since is newer. */
Test(stage, that_is_pending_yields_to_a_new_target)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), status;
    say(fd, "parent");
    struct holder holder = fork_holder(fd);
    cr_expect_eq(let_go(fd), STAGE_PENDING);
    stage_set_pending(&release);
    stage_release_finish(&release);
    put("other", "newer", 0755);
    cr_assert_eq(rename("other", "app"), 0);
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, &status, 0);
    release = (struct stage_release){ .asker = -1 };
    cr_assert(stage_pending_next(&release));
    cr_expect_eq(stage_release_end(&release, &report), STAGE_READY);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_SUPERSEDED);
    cr_expect_str_eq(content("app"), "newer");
    cr_expect_eq(each_name(NULL), 1);
    cr_expect_eq(stage_known_count, 0);
}

Test(stage, is_left_alone_by_a_child_that_lets_go_first)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), status;
    pid_t child = fork();
    if (!child) {
        bool held = let_go(fd) == STAGE_HELD;
        stage_release_finish(&release);
        _exit(held && !release_at(STAGE_AT_EXIT) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_str_eq(content("app"), OLD);
    say(fd, "new");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
}

/* It has the last close, but is a mapping of our own: nobody could see it end. */
Test(stage, held_by_a_mapping_alone_is_ready)
{
    int fd = created("app", O_RDWR | O_TRUNC, 0);
    say(fd, "mapped");
    char *map = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(map, MAP_FAILED);
    cr_expect_eq(let_go(fd), STAGE_READY);
    cr_expect_eq(report.early, mapping_holds_lock("."));
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    map[0] = 'M';
    cr_expect_str_eq(content("app"), "Mapped");
}

Test(stage, held_by_a_mapping_of_another_is_not)
{
    int fd = created("app", O_RDWR | O_TRUNC, 0);
    say(fd, "mapped");
    int other = open("app", O_RDWR | O_CLOEXEC);
    cr_assert_neq(mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0), MAP_FAILED);
    cr_assert_neq(mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), MAP_FAILED);
    struct holder holder = fork_holder(fd);
    cr_expect_eq(let_go(fd), STAGE_PENDING);
    cr_expect_eq(stage_release_end(&release, &report), STAGE_PENDING, "may be asked again until it is said");
    stage_set_pending(&release);
    stage_release_finish(&release);
    kill(holder.pid, SIGKILL);
}

Test(stage, is_no_descriptor_of_another_file)
{
    int fd = created("app", O_WRONLY, 0), other = open("app", O_RDONLY | O_CLOEXEC);
    struct stage_release of_other;
    errno = ETXTBSY;
    cr_expect_not(stage_is(other));
    cr_expect_not(stage_is(-1));
    cr_expect_not(stage_release_begin(&of_other, other));
    cr_expect_not(stage_release_begin(&of_other, 9999));
    int error = errno;
    cr_expect_eq(error, ETXTBSY);
    cr_expect(stage_is(fd));
}

/* ---- exit, exec ------------------------------------------------------------------------------------------------------------- */

Test(stage, is_committed_at_exit_and_later_writes_still_land)
{
    int fd = created("app", O_WRONLY | O_TRUNC | O_CLOEXEC, 0), second = dup(fd);
    say(fd, "before");
    cr_expect_eq(release_at(STAGE_AT_EXIT), 1);
    cr_expect_not(report.early);
    cr_expect_str_eq(content("app"), "before");
    say(fd, " after");
    cr_expect_str_eq(content("app"), "before after", "the offset moved");
    cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_expect_eq(fcntl(second, F_GETFD), 0);
    cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
    cr_expect_eq(release_at(STAGE_AT_EXIT), 0);
}

Test(stage, that_others_hold_is_published_by_its_creator_at_exit)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), status;
    int go[2];
    say(fd, "parent");
    cr_assert_eq(pipe(go), 0);
    pid_t child = fork();
    if (!child) {
        char byte;
        close(go[1]);
        (void)!read(go[0], &byte, 1);
        _exit(write(fd, " child", 6) == 6 ? 0 : 1);
    }
    cr_expect_eq(release_at(STAGE_AT_EXIT), 1);
    cr_expect(report.early);
    cr_expect_str_eq(content("app"), "parent");
    close(go[1]);
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
    cr_expect_str_eq(content("app"), "parent child");
}

Test(stage, at_exec_stays_where_a_descriptor_survives)
{
    put("two", OLD, 0755);
    put("three", OLD, 0755);
    int one = created("app", O_WRONLY | O_TRUNC | O_CLOEXEC, 0), two = created("two", O_WRONLY | O_TRUNC, 0);
    int three = created("three", O_WRONLY | O_TRUNC | O_CLOEXEC, 0), four = dup(three);
    cr_expect_eq(release_at(STAGE_AT_EXEC), 1);
    cr_expect_eq(stage_known_count, 2);
    cr_expect_not(stage_is(one));
    cr_expect(stage_is(two));
    cr_expect(stage_is(three));
    cr_expect_str_eq(content("app"), "");
    cr_expect_str_eq(content("two"), OLD);
    cr_expect_str_eq(content("three"), OLD);
    (void)four;
}

static unsigned publish(enum stage_survivor which, bool unadoptable)
{
    unsigned published = 0;
    struct stage_release all = { .asker = -1 };
    while (stage_publish_next(&all, which, unadoptable)) {
        cr_expect_eq(stage_release_end(&all, &report), STAGE_READY);
        published += stage_commit(&all, STAGE_SYNC_NONE, &report) == STAGE_REPLACED;
    }
    return published;
}

Test(stage, that_a_stranger_would_inherit_is_published)
{
    char name[NAME_MAX + 1];
    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    put(name, OLD, 0755);
    put("kept", OLD, 0755);
    int fd = created("app", O_WRONLY | O_TRUNC, 0), cut = created(name, O_WRONLY | O_TRUNC, 0);
    int kept = created("kept", O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
    say(fd, "half");
    say(cut, "half");
    cr_expect_eq(publish(STAGE_SURVIVES, true), 1, "only the one with a cut name can't be adopted");
    cr_expect(report.early);
    cr_expect_str_eq(content(name), "half");
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(publish(STAGE_SURVIVES, false), 1);
    cr_expect_str_eq(content("app"), "half");
    say(fd, " more");
    cr_expect_str_eq(content("app"), "half more");
    cr_expect(stage_is(kept));
    cr_expect_eq(publish(STAGE_SURVIVES, false), 0);
    cr_expect_eq(publish(STAGE_OURS_OR_SURVIVES, false), 1);
    cr_expect_eq(stage_known_count, 0);
}

/* One that we made counts though it is close-on-exec; one that we only inherited doesn't. */
Test(stage, of_another_is_published_for_a_stranger_only_where_it_survives)
{
    int fd = created("app", O_WRONLY | O_TRUNC | O_CLOEXEC, 0), status;
    pid_t child = fork();
    if (!child) {
        unsigned close_on_exec = publish(STAGE_OURS_OR_SURVIVES, false);
        fcntl(fd, F_SETFD, 0);
        _exit(close_on_exec == 0 && publish(STAGE_OURS_OR_SURVIVES, false) == 1 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
    cr_expect_str_eq(content("app"), "");
}

Test(stage, that_was_not_to_be_written_is_discarded)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    unsigned open_before = descriptors();
    cr_assert(stage_release_begin(&release, fd));
    stage_discard(&release);
    cr_expect_eq(each_name(NULL), 1);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_eq(descriptors(), open_before);
    cr_expect_str_eq(content("app"), OLD);
}

/* A child has finished what it inherited from us: no matter. We have finished what a child knows: its slot is free again. */
Test(stage, of_others_that_is_finished_gives_its_slot_back)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), status;
    pid_t child = fork();
    if (!child) {
        close(fd); /* by an exec, a clone, or whatever the shim doesn't see */
        stage_forget_gone();
        bool kept = stage_known_count == 1;
        unlink(stage_in_directory());
        stage_forget_gone();
        _exit(kept && stage_known_count == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
    stage_forget_gone();
    cr_expect_eq(stage_known_count, 1, "it is ours");
}

/* The memory is the parent's, which has the stage still; its path can't be found any more. */
Test(stage, of_its_parent_isnt_forgotten_by_a_vfork_child)
{
    cr_assert_eq(mkdir("one", 0700), 0);
    put("one/app", OLD, 0700);
    int fd = created("one/app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(rename("one", "two"), 0);
    pid_t child = vfork();
    if (!child) {
        close(fd);
        stage_forget_gone();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    cr_expect_eq(stage_known_count, 1);
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("two/app"), "new");
    unlink("two/app");
}

/* ---- join ------------------------------------------------------------------------------------------------------------------- */

Test(stage, is_joined_by_a_second_open)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "first");
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    int second = stage_join(&target, O_WRONLY | O_APPEND);
    cr_assert_geq(second, 0);
    say(second, " second");
    cr_expect_eq(let_go(fd), STAGE_HELD);
    stage_release_finish(&release);
    sweep(true);
    cr_expect_eq(commit(second), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "first second");
}

/* Somebody else has finished it, and its old target's inode number has come back as another file's. */
Test(stage, isnt_joined_when_it_is_somebody_elses_file)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "first");
    cr_assert_eq(rename(stage_in_directory(), "other"), 0);
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(stage_join(&target, O_WRONLY | O_TRUNC), -1);
    cr_expect_str_eq(content("other"), "first", "emptied");
    unlink("other");
}

Test(stage, is_emptied_by_a_second_open_that_truncates)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "first");
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    int second = stage_join(&target, O_WRONLY | O_CREAT | O_TRUNC);
    say(second, "2");
    cr_expect_str_eq(content(stage_in_directory()), "2");
    cr_expect_str_eq(content("app"), OLD);
}

Test(stage, of_another_target_is_not_joined)
{
    put("other", OLD, 0755);
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(stage_join(&target, O_WRONLY), -1);
    created("other", O_WRONLY, 0);
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(stage_join(&target, O_WRONLY), -1);
}

Test(stage, is_joined_at_the_lowest_free_number)
{
    created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    int hole = lowest_hole(), fd = stage_join(&target, O_WRONLY);
    cr_expect_eq(fd, hole, "%d, and the lowest free number was %d", fd, hole);
}

Test(stage, is_joined_with_the_flags_that_a_plain_open_shows)
{
    created("app", O_WRONLY | O_TRUNC, 0);
    for (size_t i = 0; i < COUNT(open_flags); i++) {
        cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
        int fd = stage_join(&target, open_flags[i].flags);
        cr_assert_geq(fd, 0);
        expect_like_a_plain_open(fd, open_flags[i].flags, open_flags[i].name);
        close(fd);
    }
}

Test(stage, is_joined_by_who_opens_its_own_name)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int second = open(link, O_WRONLY | O_CLOEXEC), judge = open(link, O_RDONLY | O_CLOEXEC);
    stage_join_opened(second);
    close(fd); /* as a program without the shim would */
    cr_expect_eq(flock(judge, LOCK_EX | LOCK_NB), -1, "the second description holds nothing");
    close(second);
    cr_expect_eq(flock(judge, LOCK_EX | LOCK_NB), 0);
}

/* ---- commit ----------------------------------------------------------------------------------------------------------------- */

Test(stage, that_can_not_be_renamed_keeps_its_bytes)
{
    static const int errors[] = { EACCES, EXDEV, ENOSPC, EIO };
    for (size_t i = 0; i < COUNT(errors); i++) {
        unsigned open_before = descriptors();
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        cr_assert_eq(let_go(fd), STAGE_READY);
        fail_often(SYS_renameat2, 1, COMMIT_TRIES, errors[i]);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_FAILED);
        cr_expect_eq(errno, errors[i]);
        fail_no_more();
        cr_expect_str_eq(content("app"), OLD);
        cr_expect_str_eq(content(report.path), "new");
        cr_expect_eq(descriptors(), open_before);
        unlink(report.path);
        forget_all();
    }
}

/* A program that lets go by dup2 or exit can't be told. */
Test(stage, that_can_not_be_renamed_for_a_moment_is_renamed)
{
    static const struct {
        long number;
        unsigned nth;
        int error;
    } rows[] = {
        { SYS_renameat2, 1, EINTR }, { SYS_renameat2, 1, EIO }, { SYS_renameat2, 1, ENOMEM }, { SYS_renameat2, 1, EACCES },
        { SYS_statx, 1, ENOMEM },    { SYS_statx, 2, EIO },     { SYS_fsync, 1, EINTR },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        cr_assert_eq(let_go(fd), STAGE_READY);
        fail(rows[i].number, rows[i].nth, rows[i].error);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_FULL, &report), STAGE_REPLACED, "row %zu", i);
        cr_expect_neq(fault.hit, NOT_MET, "row %zu", i);
        fail_no_more();
        cr_expect_str_eq(content("app"), "new");
        put("app", OLD, 0755);
    }
    cr_expect_eq(each_name(NULL), 1);
}

/* The file system says so once: another sync would succeed. */
Test(stage, that_has_lost_bytes_is_not_synced_again)
{
    static const int errors[] = { EIO, ENOSPC, EDQUOT };
    for (size_t i = 0; i < COUNT(errors); i++) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        cr_assert_eq(let_go(fd), STAGE_READY);
        fail(SYS_fsync, 1, errors[i]);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_FULL, &report), STAGE_FAILED);
        cr_expect_eq(errno, errors[i]);
        fail_no_more();
        cr_expect_str_eq(content("app"), OLD);
        unlink(report.path);
    }
}

Test(stage, that_was_renamed_though_the_answer_was_lost_has_its_name)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(let_go(fd), STAGE_READY);
    do_and_fail(SYS_renameat2, 1, EIO);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    fail_no_more();
    cr_expect_str_eq(content("app"), "new");

    fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "leaked");
    struct holder holder = fork_holder(fd);
    cr_expect_eq(let_go(fd), STAGE_PENDING);
    stage_set_pending(&release);
    stage_release_finish(&release);
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, NULL, 0);
    struct stage_release all = { .asker = -1 };
    cr_assert(stage_pending_next(&all));
    cr_assert_eq(stage_release_end(&all, &report), STAGE_READY);
    do_and_fail(SYS_renameat2, 1, EIO);
    cr_expect_eq(stage_commit(&all, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    fail_no_more();
    cr_expect_str_eq(content("app"), "leaked");
    cr_expect_eq(each_name(NULL), 1);
}

/* A stage that can't be made leaves no name, whatever the file system says of it. */
Test(stage, that_was_named_though_the_answer_was_lost_is_removed)
{
    static const long numbers[] = { SYS_linkat, SYS_renameat2 };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        do_and_fail(numbers[i], 1, EIO);
        cr_expect_eq(create("app", O_WRONLY | O_TRUNC, 0), -1);
        cr_expect_eq(fault.hit, numbers[i]);
        fail_no_more();
        cr_expect_eq(each_name(NULL), 1);
    }
}

/* As VirtualBox's shared folders do. */
Test(stage, that_is_answered_with_busy_can_be_renamed_later)
{
    unsigned open_before = descriptors();
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(let_go(fd), STAGE_READY);
    unsigned open_asking = descriptors();
    for (int i = 0; i < 3; i++) {
        fail(SYS_renameat2, 1, ETXTBSY);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_BUSY);
        cr_expect_eq(errno, ETXTBSY);
        fail_no_more();
        cr_expect_str_eq(content("app"), OLD);
        cr_expect_str_eq(content(stage_in_directory()), "new");
        cr_expect_eq(descriptors(), open_asking);
        cr_expect_eq(stage_known_count, 1);
    }
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
    cr_expect_eq(descriptors(), open_before);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_eq(each_name(NULL), 1, "litter");
}

Test(stage, that_stays_busy_keeps_its_bytes)
{
    unsigned open_before = descriptors();
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(let_go(fd), STAGE_READY);
    fail(SYS_renameat2, 1, ETXTBSY);
    cr_assert_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_BUSY);
    fail_no_more();
    errno = ETXTBSY;
    stage_keep(&release, &report);
    cr_expect_eq(errno, ETXTBSY);
    cr_expect_str_eq(stage_in_directory(), "", "%s would be taken for a stage", found_stage);
    cr_expect_str_eq(content(report.path), "new");
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(descriptors(), open_before);
    cr_expect_eq(stage_known_count, 0);
}

Test(stage, that_could_not_be_renamed_is_no_business_of_ours_any_more)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    fail_often(SYS_renameat2, 1, COMMIT_TRIES, EIO);
    cr_expect_eq(commit(fd), STAGE_FAILED);
    fail_no_more();
    cr_expect_eq(stage_known_count, 0);
    cr_expect_str_eq(stage_in_directory(), "", "%s would be taken for a stage", found_stage);
    cr_expect_str_eq(content(report.path), "new");
    cr_expect_eq(release_at(STAGE_AT_EXIT), 0);
}

/* Its creator killed, or ended: the log has named it as the place where the bytes are, and nobody holds it. */
Test(stage, that_could_not_be_renamed_is_not_swept)
{
    int fds[2], status;
    char path[PATH_MAX] = "";
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (!child) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        if (let_go(fd) != STAGE_READY)
            _exit(1);
        fail_often(SYS_renameat2, 1, COMMIT_TRIES, EACCES);
        bool failed_to = stage_commit(&release, STAGE_SYNC_NONE, &report) == STAGE_FAILED;
        _exit(failed_to && write(fds[1], report.path, strlen(report.path) + 1) > 0 ? 0 : 2);
    }
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0, "%#x", status);
    cr_assert_gt(read(fds[0], path, sizeof path - 1), 0);
    sweep(true);
    cr_expect_str_eq(content(path), "new", "the bytes are gone from %s", path);
}

Test(stage, whose_target_was_unlinked_is_discarded)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    unlink("app");
    cr_expect_eq(commit(fd), STAGE_DISCARDED);
    cr_expect_eq(each_name(NULL), 0);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_eq(report.bytes, 3);
}

Test(stage, whose_target_was_replaced_wins)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    put("other", "other", 0600);
    ino_t other = stat_of("other").st_ino;
    cr_assert_eq(rename("other", "app"), 0);
    cr_expect_eq(commit(fd), STAGE_OVERTAKEN);
    cr_expect_eq(report.target_inode, other);
    cr_expect_str_eq(content("app"), "new");
}

Test(stage, takes_over_a_chmod_of_its_target)
{
    static const struct {
        mode_t by_path, by_descriptor, expected;
    } rows[] = {
        { 0, 0, 0751 },      { 0700, 0, 0700 },    { 0, 0711, 0711 },
        { 04755, 0, 04755 }, { 0700, 0711, 0711 }, /* in doubt, what the writer itself said */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("app", OLD, 0751);
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        if (rows[i].by_path)
            cr_assert_eq(chmod("app", rows[i].by_path), 0);
        if (rows[i].by_descriptor)
            cr_assert_eq(fchmod(fd, rows[i].by_descriptor), 0);
        cr_expect_eq(commit(fd), STAGE_REPLACED);
        cr_expect_eq(stat_of("app").st_mode & 07777, rows[i].expected, "row %zu: %o", i, stat_of("app").st_mode);
    }
}

Test(stage, that_is_another_file_now_is_not_committed)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    put("other", "other", 0600);
    char name[NAME_MAX + 1];
    strcpy(name, stage_in_directory());
    cr_assert_eq(let_go(fd), STAGE_READY);
    cr_assert_eq(rename("other", name), 0);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_GONE);
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_str_eq(content(name), "other");
    cr_expect_eq(stage_known_count, 0);
}

Test(stage, that_somebody_has_renamed_is_no_stage_any_more)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(rename(stage_in_directory(), "mine"), 0);
    cr_expect_eq(let_go(fd), STAGE_NONE);
    stage_release_finish(&release);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_str_eq(content("app"), OLD);
}

/* ---- abort ------------------------------------------------------------------------------------------------------------------ */

/* What the remedy does when a write to `fd` has failed. */
static bool abort_with(int fd, int error)
{
    struct stage_release failed;
    bool aborted = stage_release_begin(&failed, fd) && stage_abort(&failed, error, &report);
    stage_release_finish(&failed);
    return aborted;
}

Test(stage, is_aborted_at_once_and_the_last_close_says_so)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), second = dup(fd);
    unsigned open_before = descriptors();
    uint64_t inode = stat_of(stage_in_directory()).st_ino;
    say(fd, "half");
    errno = EAGAIN;
    cr_expect(abort_with(fd, ENOSPC));
    cr_expect_eq(errno, EAGAIN);
    cr_expect_eq(report.inode, inode);
    cr_expect_eq(report.bytes, 4);
    cr_expect_str_eq(text_base(report.path), found_stage);
    cr_expect_str_eq(text_base(report.target), "app");
    cr_expect_eq(each_name(NULL), 1, "it still has a name");
    cr_expect_not(abort_with(second, EIO), "once only");
    cr_expect_eq(descriptors(), open_before);

    cr_expect_eq(let_go(fd), STAGE_HELD);
    stage_release_finish(&release);
    cr_expect_eq(let_go(second), STAGE_ABORTED);
    cr_expect_eq(errno, ENOSPC, "the first error counts: %d", errno);
    stage_release_finish(&release);
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "a slot is lost");
}

Test(stage, that_is_aborted_stands_for_its_target_still)
{
    struct stage_identity identity;
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect(abort_with(fd, EIO));
    cr_assert(stage_identify(fd, &identity));
    cr_expect_eq(identity.inode, stat_of("app").st_ino);
}

Test(stage, that_is_aborted_is_not_joined_but_followed_by_a_new_one)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect(abort_with(fd, ENOSPC));
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(stage_join(&target, O_WRONLY), -1);
    int next = create_resolved(O_WRONLY | O_TRUNC, 0);
    cr_assert_geq(next, 0);
    int joined = stage_join(&target, O_WRONLY);
    cr_assert_geq(joined, 0, "the new one is joined");
    close(joined);
    say(next, "second attempt");
    cr_expect_eq(commit(next), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "second attempt");
    cr_expect_eq(let_go(fd), STAGE_ABORTED);
    stage_release_finish(&release);
    cr_expect_eq(stage_known_count, 0);
    cr_expect_str_eq(content("app"), "second attempt");
}

Test(stage, is_found_and_aborted_in_a_directory_that_has_moved)
{
    cr_assert_eq(mkdir("dir", 0755), 0);
    put("dir/app", OLD, 0755);
    int fd = created("dir/app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(rename("dir", "moved"), 0);
    cr_assert_eq(mkdir("dir", 0755), 0);
    cr_expect(abort_with(fd, ENOSPC));
    cr_assert_eq(chdir("moved"), 0);
    cr_expect_eq(each_name(NULL), 1, "%s is left", stage_in_directory());
    cr_expect_str_eq(content("app"), OLD);
    unlink("app");
    cr_assert_eq(chdir(".."), 0);
}

Test(stage, is_not_aborted_when_its_name_is_another_files)
{
    char name[NAME_MAX + 1];
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    strcpy(name, stage_in_directory());
    cr_assert_eq(rename(name, "mine"), 0);
    put(name, "innocent", 0644);
    cr_expect_not(abort_with(fd, ENOSPC));
    cr_expect_str_eq(content(name), "innocent");
    cr_expect_str_eq(content("mine"), "");
}

Test(stage, is_aborted_without_memory_for_a_report)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert(stage_release_begin(&release, fd));
    cr_expect(stage_abort(&release, ENOSPC, NULL));
    stage_release_finish(&release);
    cr_expect_eq(each_name(NULL), 1);
    cr_expect_eq(let_go(fd), STAGE_ABORTED);
    stage_release_finish(&release);
}

/* In place, it goes on with what is there. */
Test(stage, that_has_its_targets_name_is_not_aborted)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "published early");
    cr_assert_eq(rename(stage_in_directory(), "app"), 0);
    cr_expect_not(abort_with(fd, ENOSPC));
    cr_expect_str_eq(content("app"), "published early");
    cr_expect_eq(let_go(fd), STAGE_NONE);
    stage_release_finish(&release);
    cr_expect_eq(stage_known_count, 0);
}

/* A fork child's write fails; the parent, which still writes, is told when it lets go. */
Test(stage, that_another_process_has_aborted_is_lost_for_this_one_too)
{
    int status, fd = created("app", O_WRONLY | O_TRUNC, 0);
    pid_t child = fork();
    if (!child)
        _exit(abort_with(fd, ENOSPC) ? 0 : 1);
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    say(fd, "more");
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(stage_join(&target, O_WRONLY), -1);
    cr_expect_eq(let_go(fd), STAGE_ABORTED);
    cr_expect_eq(errno, EIO, "%d", errno);
    stage_release_finish(&release);
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(stage_known_count, 0);
}

Test(stage, that_somebody_has_removed_is_lost_unless_the_target_is_gone_too)
{
    for (int both = 0; both < 2; both++) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        unlink(stage_in_directory());
        if (both)
            unlink("app");
        cr_expect_eq(let_go(fd), both ? STAGE_NONE : STAGE_ABORTED);
        stage_release_finish(&release);
        cr_expect_eq(stage_known_count, 0);
    }
}

/* ---- writers that are killed --------------------------------------------------------------------------------------------------
 */

/* A child that notes that it writes to the stage, does so, and is killed. Not waited for. */
static pid_t killed_writer(int fd, const char *text)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        dup2(fd, STAGE_OUTPUT);
        stage_note_writer();
        say(fd, text);
        close(ready[1]);
        kill(getpid(), SIGKILL);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 0);
    close(ready[0]);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    return child;
}

Test(stage, of_a_killed_child_is_spoilt_when_its_parent_lets_go)
{
    for (int waited = 0; waited < 2; waited++) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        pid_t child = killed_writer(fd, "half");
        if (waited)
            stage_writer_ended(child, true);
        cr_expect_eq(let_go(fd), STAGE_SPOILT, "waited %d", waited);
        cr_expect(stage_abort(&release, EIO, &report));
        cr_expect_eq(stage_release_end(&release, &report), STAGE_ABORTED);
        cr_expect_eq(errno, EIO);
        stage_release_finish(&release);
        waitpid(child, NULL, 0);
        cr_expect_str_eq(content("app"), OLD);
        cr_expect_eq(each_name(NULL), 1);
    }
}

Test(stage, of_a_killed_child_is_whole_when_its_parent_has_written_since)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    pid_t child = killed_writer(fd, "half");
    stage_writer_ended(child, true);
    waitpid(child, NULL, 0);
    say(fd, " and the rest");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "half and the rest");
}

Test(stage, of_a_killed_child_is_no_business_of_its_next_sibling)
{
    int status, fd = created("app", O_WRONLY | O_TRUNC, 0);
    pid_t child = killed_writer(fd, "half");
    stage_writer_ended(child, true);
    waitpid(child, NULL, 0);
    pid_t next = fork();
    if (!next) {
        struct stage_release all = { .asker = -1 };
        _exit(stage_release_next(&all, STAGE_AT_EXIT) && stage_release_end(&all, &report) == STAGE_HELD ? 0 : 1);
    }
    waitpid(next, &status, 0);
    cr_expect_eq(status, 0);
}

Test(stage, of_a_child_that_was_killed_before_its_exec_is_spoilt_only_when_empty)
{
    for (int empty = 0; empty < 2; empty++) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        if (!empty)
            say(fd, "before");
        stage_writer_ended(1, true); /* one that has noted nothing */
        cr_expect_eq(let_go(fd), empty ? STAGE_SPOILT : STAGE_READY);
        stage_release_finish(&release);
        forget_all();
        unlink(stage_in_directory());
    }
}

Test(stage, of_a_child_that_writes_elsewhere_or_ends_well_is_whole)
{
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        int status, fd = created("app", O_WRONLY | O_TRUNC, 0);
        pid_t child = fork();
        if (!child) {
            if (!elsewhere)
                dup2(fd, STAGE_OUTPUT);
            stage_note_writer();
            _exit(0);
        }
        waitpid(child, &status, 0);
        stage_writer_ended(child, elsewhere);
        cr_expect_eq(let_go(fd), STAGE_READY, "elsewhere %d", elsewhere);
        stage_release_finish(&release);
        forget_all();
        unlink(stage_in_directory());
    }
}

/* At exit, and before an exec, it isn't published either. */
Test(stage, that_is_aborted_is_never_published)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "half");
    cr_expect(abort_with(fd, ENOSPC));
    cr_expect_eq(release_at(STAGE_AT_EXIT), 0);
    struct stage_release stranger = { .asker = -1 };
    cr_expect_not(stage_publish_next(&stranger, STAGE_SURVIVES, false));
    cr_expect_eq(each_name(NULL), 1);
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(let_go(fd), STAGE_ABORTED, "an exec that failed doesn't hide it");
    stage_release_finish(&release);
}

static size_t traced(long number, size_t from)
{
    while (from < trace.length && trace.numbers[from] != number)
        from++;
    return from;
}

Test(stage, is_synced_as_the_policy_says)
{
    static const struct {
        enum stage_sync sync;
        unsigned fdatasyncs, fsyncs;
    } rows[] = {
        { STAGE_SYNC_NONE, 0, 0 },
        { STAGE_SYNC_DATA, 1, 0 },
        { STAGE_SYNC_FULL, 0, 2 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("app", "old", 0755);
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        cr_assert_eq(let_go(fd), STAGE_READY);
        trace.length = 0;
        cr_expect_eq(stage_commit(&release, rows[i].sync, &report), STAGE_REPLACED);
        unsigned fsyncs = 0, fdatasyncs = 0;
        for (size_t t = 0; t < trace.length; t++) {
            fsyncs += trace.numbers[t] == SYS_fsync;
            fdatasyncs += trace.numbers[t] == SYS_fdatasync;
        }
        cr_expect_eq(fdatasyncs, rows[i].fdatasyncs, "row %zu", i);
        cr_expect_eq(fsyncs, rows[i].fsyncs, "row %zu", i);
    }
    /* the file before it gets the name, the directory after */
    size_t renamed = traced(SYS_renameat2, 0), synced = traced(SYS_fsync, 0);
    cr_expect_lt(synced, renamed);
    cr_expect_lt(renamed, traced(SYS_fsync, synced + 1));
}

Test(stage, that_can_not_be_synced_is_not_committed)
{
    static const struct {
        int error;
        enum stage_outcome outcome;
    } rows[] = {
        { EIO, STAGE_FAILED },
        { ENOSPC, STAGE_FAILED },
        { EINVAL, STAGE_REPLACED },
        { EROFS, STAGE_REPLACED },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("app", OLD, 0755);
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        cr_assert_eq(let_go(fd), STAGE_READY);
        fail(SYS_fsync, 1, rows[i].error);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_FULL, &report), rows[i].outcome, "row %zu", i);
        int error = errno;
        fail_no_more();
        if (rows[i].outcome == STAGE_FAILED)
            cr_expect_eq(error, rows[i].error);
        cr_expect_str_eq(content("app"), rows[i].outcome == STAGE_FAILED ? OLD : "new");
        cr_expect_str_eq(content(rows[i].outcome == STAGE_FAILED ? report.path : "app"), "new");
        unlink(report.path);
        forget_all();
    }
}

/* ---- the table of known stages ---------------------------------------------------------------------------------------------- */

static void fill_table(int *fds)
{
    for (int i = 0; i < STAGES_KNOWN_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        put(name, OLD, 0755);
        fds[i] = created(name, O_WRONLY | O_TRUNC, 0);
        cr_assert(stage_is(fds[i]));
    }
}

Test(stage, that_finds_no_slot_is_published_at_once)
{
    int fds[STAGES_KNOWN_MAX];
    fill_table(fds);
    cr_expect_eq(stage_known_count, STAGES_KNOWN_MAX);
    unsigned names = each_name(NULL);
    struct stat before = stat_of("app");
    int hole = lowest_hole(), fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect_eq(fd, hole);
    cr_expect_not(stage_is(fd));
    cr_expect_neq(stat_of("app").st_ino, before.st_ino);
    cr_expect_eq(stat_of("app").st_mode, before.st_mode);
    cr_expect_str_eq(content("app"), "");
    say(fd, "new");
    cr_expect_str_eq(content("app"), "new");
    cr_expect_eq(each_name(NULL), names, "litter");
    close(fd);

    /* A slot that is free again is used again. */
    cr_expect_eq(commit(fds[17]), STAGE_REPLACED);
    fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect(stage_is(fd));
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_eq(release_at(STAGE_AT_EXIT), STAGES_KNOWN_MAX - 1);
    cr_expect_eq(stage_known_count, 0);
}

/* Asked of the file system, whose name says nothing: without a lock that excludes nobody could see the last close. */
Test(stage, is_published_at_once_where_flock_does_not_exclude)
{
    static const enum flock_fault faults[] = { FLOCK_LETS_ALL, FLOCK_WANTS_WRITERS };
    static const int ways[] = { O_WRONLY | O_TRUNC, O_RDWR | O_TRUNC };
    for (size_t i = 0; i < COUNT(faults); i++)
        for (size_t way = 0; way < COUNT(ways); way++) {
            put("app", OLD, 0751);
            flock_fault = FLOCK_WORKS;
            unsigned names = each_name(NULL), open_before = descriptors();
            struct stat before = stat_of("app");
            flock_fault = faults[i];
            int fd = created("app", ways[way], 0);
            cr_expect_not(stage_is(fd), "fault %d", faults[i]);
            cr_expect_neq(stat_of("app").st_ino, before.st_ino);
            cr_expect_eq(stat_of("app").st_mode, before.st_mode);
            say(fd, "new");
            cr_expect_str_eq(content("app"), "new");
            close(fd);
            cr_expect_eq(each_name(NULL), names, "fault %d: litter", faults[i]);
            cr_expect_eq(descriptors(), open_before, "fault %d: a descriptor is left", faults[i]);
            cr_expect_eq(stage_known_count, 0);
        }
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "slots are lost");
}

/* Before the program has written a byte. */
Test(stage, is_refused_where_nothing_can_be_renamed)
{
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        fail(SYS_renameat2, 1, EPERM);
        expect_refusal("app", O_WRONLY | O_TRUNC, "rename");
        fail_no_more();
        cr_expect_str_eq(content("app"), OLD);
    }
}

Test(stage, can_be_ended_once_only)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    struct known_use first = known_next(NULL);
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    int again = created("app", O_WRONLY | O_TRUNC, 0);
    struct known_use second = known_next(NULL);
    cr_expect_eq(first.slot, second.slot);
    known_forget(first); /* somebody who was late */
    cr_expect_eq(stage_known_count, 1);
    cr_expect(stage_is(again));
}

/* ---- adopt ------------------------------------------------------------------------------------------------------------------ */

/* Makes a stage and forgets it, as an exec does. */
static int inherited(const char *name)
{
    int fd = created(name, O_WRONLY | O_TRUNC, 0);
    say(fd, "before");
    forget_all();
    cr_expect_not(stage_is(fd));
    return fd;
}

Test(stage, is_adopted_after_an_exec)
{
    int fd = inherited("app"), second = dup(fd);
    unsigned open_before = descriptors();
    errno = ETXTBSY;
    stage_adopt();
    cr_expect_eq(errno, ETXTBSY);
    cr_expect_eq(descriptors(), open_before);
    cr_expect_eq(stage_known_count, 1, "%d", stage_known_count);
    cr_expect(stage_is(fd));
    stage_adopt();
    cr_expect_eq(stage_known_count, 1, "adopted twice");
    say(fd, " after");
    cr_expect_eq(let_go(second), STAGE_HELD);
    stage_release_finish(&release);
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_null(report.op);
    cr_expect_str_eq(content("app"), "before after");
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "a slot is lost");
}

Test(stage, is_joined_after_it_was_adopted)
{
    inherited("app");
    stage_adopt();
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    int second = stage_join(&target, O_WRONLY | O_APPEND);
    cr_assert_geq(second, 0);
    say(second, " joined");
    cr_expect_str_eq(content(stage_in_directory()), "before joined");
}

/* Of a creator that can't be alive: no pid is as large. */
#define DEAD "2147483647"
static const char forged[] = ".app.etxtbsy-" DEAD "-012345678000";

static void expect_not_adopted(const char *what)
{
    stage_adopt();
    cr_expect_eq(stage_known_count, 0, "adopted %s", what);
    forget_all();
}

Test(stage, is_adopted_only_where_everything_agrees)
{
    int fd = open("app", O_WRONLY | O_CLOEXEC);
    expect_not_adopted("a file of another name");
    close(fd);

    fd = inherited("app");
    cr_assert_eq(link(stage_in_directory(), "second"), 0);
    expect_not_adopted("a file with two names");
    unlink("second");
    cr_assert_eq(rename(stage_in_directory(), "second"), 0);
    expect_not_adopted("a file that has another name now");
    cr_assert_eq(rename("second", forged), 0);
    stage_adopt();
    cr_expect_eq(stage_known_count, 1, "whatever its past: now everything agrees");
    forget_all();
    unlink(forged);
    for (int other = 0; other < 2; other++) { /* what is written to it is lost: this image is to be told, and no more */
        stage_adopt();
        cr_expect_eq(stage_known_count, 1);
        cr_expect_eq(let_go(dup(fd)), STAGE_HELD);
        stage_release_finish(&release);
        forget_all();
        put(forged, "another", 0755);
    }
    stage_adopt();
    cr_expect_eq(let_go(fd), STAGE_ABORTED);
    stage_release_finish(&release);
    cr_expect_str_eq(content(forged), "another");
    unlink(forged);
    fd = inherited("app");
    unlink(stage_in_directory());
    unlink("app");
    expect_not_adopted("a file that went with its target");
    close(fd);

    cr_assert_eq(mkdir(forged, 0700), 0);
    fd = open(forged, O_RDONLY | O_DIRECTORY);
    expect_not_adopted("a directory");
    close(fd);
    rmdir(forged);

    cr_assert_eq(mkfifo(forged, 0600), 0);
    fd = open(forged, O_RDWR);
    expect_not_adopted("a FIFO");
    close(fd);
    unlink(forged);

    put(".app.etxtbsy-" DEAD "+012345678000", "x", 0600);
    fd = open(".app.etxtbsy-" DEAD "+012345678000", O_WRONLY);
    expect_not_adopted("one whose target nobody knows");
    close(fd);
}

Test(stage, is_not_adopted_from_a_stranger)
{
    static const struct {
        uid_t stage, target;
        bool adopted;
    } rows[] = {
        { NOBODY, NOBODY, true }, { NOBODY, 0, true }, { 0, NOBODY, false }, { 1, 1, true }, { 1, NOBODY, false }, { 0, 1, false },
    };
    if (geteuid())
        skip("needs root");
    cr_assert_eq(chmod(".", 0777), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        put(forged, "forged", 0666);
        cr_assert_eq(chown(forged, rows[i].stage, 0) | chown("app", rows[i].target, 0), 0);
        int fd = open(forged, O_WRONLY);
        cr_assert_eq(seteuid(NOBODY), 0);
        stage_adopt();
        cr_expect_eq(stage_known_count, rows[i].adopted, "row %zu", i);
        cr_assert_eq(seteuid(0), 0);
        forget_all();
        close(fd);
    }
}

/* What isn't found is never committed. */
Test(stage, is_found_among_the_descriptors_where_they_can_not_be_listed)
{
    static const struct {
        long number;
        int error;
    } rows[] = { { MMAP, ENOMEM }, { SYS_openat, EMFILE }, { SYS_getdents64, EIO }, { FCNTL, EPERM } };
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert(scratch_map(1) && scratch_map(1)); /* what is kept is in use, as in a handler that comes between */
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned open_before = descriptors();
        struct stage_release all = { .asker = -1 };
        fail(rows[i].number, 1, rows[i].error);
        cr_expect(stage_publish_next(&all, STAGE_SURVIVES, false), "row %zu: not found", i);
        cr_expect_eq(fault.hit, rows[i].number);
        fail_no_more();
        stage_release_finish(&all);
        cr_expect_eq(descriptors(), open_before);
    }
    close(fd);
}

Test(stage, beyond_the_table_is_not_adopted)
{
    int fds[STAGES_KNOWN_MAX];
    fill_table(fds);
    put(forged, "x", 0755);
    int fd = open(forged, O_WRONLY | O_CLOEXEC);
    stage_adopt();
    cr_expect_not(stage_is(fd));
    cr_expect_eq(stage_known_count, STAGES_KNOWN_MAX);
}

/* ---- sweep ------------------------------------------------------------------------------------------------------------------ */

/* Makes a stage in a process that is killed, with or without a copy of the descriptor that lives on. */
static int killed_creator(const char *name, bool leaves_holder)
{
    int sockets[2], status, fd = -1;
    char control[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8))) = { 0 }, byte = 'x';
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    pid_t child = fork();
    if (!child) {
        fd = created(name, O_WRONLY | O_TRUNC, 0);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        sendmsg(sockets[1], &message, 0);
        raise(SIGKILL);
    }
    waitpid(child, &status, 0);
    cr_assert_eq(recvmsg(sockets[0], &message, MSG_CMSG_CLOEXEC), 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    if (!leaves_holder)
        close(fd);
    close(sockets[0]);
    close(sockets[1]);
    return fd;
}

Test(stage, that_nobody_holds_is_swept)
{
    int fd = killed_creator("app", true);
    char name[NAME_MAX + 1];
    strcpy(name, stage_in_directory());
    unsigned open_before = descriptors();
    errno = ETXTBSY;
    sweep(true);
    int error = errno;
    cr_expect_eq(error, ETXTBSY);
    cr_expect_eq(access(name, F_OK), 0, "swept while it was held");
    cr_expect_eq(descriptors(), open_before);
    close(fd);
    sweep(true);
    cr_expect_eq(access(name, F_OK), -1, "kept though nobody holds it");
    cr_expect_str_eq(content("app"), OLD);
}

/* It may have to commit a stage that it doesn't hold. */
Test(stage, of_a_creator_that_lives_is_not_swept)
{
    close(created("app", O_WRONLY | O_TRUNC, 0)); /* behind the shim's back */
    sweep(true);
    cr_expect_str_neq(stage_in_directory(), "");
    cr_expect_eq(release_at(STAGE_AT_EXIT), 1);
    cr_expect_str_eq(content("app"), "");
}

/* Of its parent's making: it can commit nothing any more. */
Test(stage, of_a_zombie_is_swept)
{
    siginfo_t info;
    pid_t child = fork();
    if (!child) {
        created("app", O_WRONLY | O_TRUNC, 0);
        raise(SIGKILL);
    }
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(kill(child, 0), 0);
    cr_assert_str_neq(stage_in_directory(), "");
    sweep(true);
    cr_expect_str_eq(stage_in_directory(), "");
    waitpid(child, NULL, 0);
}

static void *wait_for_the_end(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

/* ps shows it as a zombie, too. */
Test(stage, of_a_creator_whose_main_thread_has_ended_is_not_swept)
{
    char path[64], *state;
    pid_t child = fork();
    if (!child) {
        pthread_t thread;
        close(created("app", O_WRONLY | O_TRUNC, 0)); /* behind the shim's back */
        pthread_create(&thread, NULL, wait_for_the_end, NULL);
        pthread_exit(NULL);
    }
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    for (int tries = 0; tries < 500; tries++, usleep(10000))
        if ((state = strchr(content(path), ')')) && state[2] == 'Z')
            break;
    cr_assert_eq(state[2], 'Z');
    sweep(true);
    cr_expect_str_neq(stage_in_directory(), "");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    sweep(true);
    cr_expect_str_eq(stage_in_directory(), "");
}

static struct {
    enum stage_litter what;
    int error;
    char name[NAME_MAX + 1];
} heard[16];
static unsigned heard_count;

static void hear(void *context, const struct stage_finding *finding)
{
    cr_expect_eq(context, (void *)heard);
    cr_assert_lt(heard_count, COUNT(heard));
    heard[heard_count].what = finding->what;
    heard[heard_count].error = finding->error;
    strcpy(heard[heard_count++].name, finding->name);
}

static enum stage_litter heard_of(const char *name)
{
    for (unsigned i = 0; i < heard_count; i++)
        if (!strcmp(heard[i].name, name))
            return heard[i].what;
    return LITTER_GONE;
}

static int sweep_and_listen(bool born_locked, bool dry_run)
{
    const struct stage_listener listener = { .dry_run = dry_run, .found = hear, .context = heard };
    int dirfd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    heard_count = 0;
    int result = stage_sweep(dirfd, born_locked, &listener);
    close(dirfd);
    return result;
}

Test(stage, is_reported_by_a_sweep_that_somebody_listens_to)
{
    static const char kept[] = ".app.etxtbsy-kept-" DEAD "-012345678000", directory_of_name[] = ".b.etxtbsy-" DEAD "-012345678000";
    char held[NAME_MAX + 1], awaited[NAME_MAX + 1];
    int fd = killed_creator("app", true);
    strcpy(held, stage_in_directory());
    put(kept, "x", 0600);
    put("ordinary", "x", 0600);
    put(".app.etxtbsy-was-1", "x", 0600);
    cr_assert_eq(mkdir(directory_of_name, 0700), 0);
    stage_name_make(awaited, "app", STAGE_OF_BUSY, getpid(), 1);
    put(awaited, "x", 0600);
    put(forged, "x", 0600);

    for (int dry_run = 1; dry_run >= 0; dry_run--) {
        cr_expect_eq(sweep_and_listen(true, dry_run), 0);
        cr_expect_eq(heard_count, 5);
        cr_expect_eq(heard_of(held), LITTER_HELD);
        cr_expect_eq(heard_of(kept), LITTER_KEPT);
        cr_expect_eq(heard_of(directory_of_name), LITTER_FOREIGN);
        cr_expect_eq(heard_of(awaited), LITTER_AWAITED);
        cr_expect_eq(heard_of(forged), LITTER_REMOVED);
        cr_expect_eq(access(forged, F_OK), dry_run ? 0 : -1);
        cr_expect_eq(access(held, F_OK), 0);
        cr_expect_eq(access(kept, F_OK), 0);
        cr_expect_eq(access(awaited, F_OK), 0);
    }
    close(fd);
    put(forged, "x", 0600);
    cr_expect_eq(sweep_and_listen(false, false), 0);
    cr_expect_eq(heard_of(forged), LITTER_YOUNG);
    fail(SYS_unlinkat, 1, EACCES);
    cr_expect_eq(sweep_and_listen(true, false), 0);
    fail_no_more();
    bool one_failed = heard_of(forged) == LITTER_FAILED || heard_of(held) == LITTER_FAILED;
    cr_expect(one_failed);
    /* What can't be listed is said; an empty directory isn't the same. */
    fail(SYS_openat, 1, EACCES);
    cr_expect_eq(sweep_and_listen(true, false), -1);
    cr_expect_eq(errno, EACCES);
    fail_no_more();
}

Test(stage, is_swept_by_the_next_one_in_the_directory)
{
    put("other", OLD, 0755);
    killed_creator("app", false);
    cr_expect_eq(each_name(NULL), 3);
    int fd = created("other", O_WRONLY | O_TRUNC, 0);
    cr_expect_eq(each_name(NULL), 3);
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_eq(each_name(NULL), 2);
}

Test(stage, that_is_young_is_not_swept_where_it_may_still_be_born)
{
    put(forged, "x", 0755);
    sweep(false);
    cr_expect_eq(access(forged, F_OK), 0);
    years_later = 1;
    sweep(false);
    cr_expect_eq(access(forged, F_OK), -1);
}

Test(stage, sweeps_nothing_else)
{
    static const char *const others[] = {
        ".app.etxtbsy-" DEAD "-0123456789a", "app.etxtbsy-" DEAD "-012345678000",       ".app.swp",
        ".etxtbsy-" DEAD "-012345678000",    ".app.etxtbsy-kept-" DEAD "-012345678000",
    };
    for (size_t i = 0; i < COUNT(others); i++)
        put(others[i], "x", 0600);
    put(".a.etxtbsy-" DEAD "-012345678000", "x", 0600);
    cr_assert_eq(link(".a.etxtbsy-" DEAD "-012345678000", "second"), 0);
    cr_assert_eq(mkdir(".b.etxtbsy-" DEAD "-012345678000", 0700), 0);
    cr_assert_eq(mkfifo(".c.etxtbsy-" DEAD "-012345678000", 0600), 0);
    cr_assert_eq(symlink("app", ".d.etxtbsy-" DEAD "-012345678000"), 0);
    unsigned before = each_name(NULL);
    sweep(true);
    cr_expect_eq(each_name(NULL), before);
    put(forged, "x", 0600);
    sweep(true);
    cr_expect_eq(each_name(NULL), before);
    cr_expect_eq(access(forged, F_OK), -1);
}

/* Between the close and the question nobody but us holds it, and we aren't its creator. */
Test(stage, is_not_swept_between_the_close_and_the_question)
{
    int fd = killed_creator("app", true);
    stage_adopt();
    say(fd, "new");
    cr_assert(stage_release_begin(&release, fd));
    close(fd);
    sweep(true);
    cr_assert_eq(stage_release_end(&release, &report), STAGE_READY);
    sweep(true);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
}

Test(stage, of_two_that_let_go_at_once_is_committed_by_the_second)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0), second = dup(fd);
    struct stage_release other;
    static struct stage_report other_report;
    say(fd, "new");
    cr_assert(stage_release_begin(&release, fd));
    cr_assert(stage_release_begin(&other, second));
    close(fd);
    close(second);
    cr_expect_neq(stage_release_end(&release, &report), STAGE_READY, "the other one has joined the holders");
    stage_release_finish(&release);
    cr_expect_eq(stage_release_end(&other, &other_report), STAGE_READY);
    cr_expect_eq(stage_commit(&other, STAGE_SYNC_NONE, &other_report), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "new");
}

/*
 * The creator exits while the last holder lets go. Whichever of them commits, while the other stands at each of its steps, the
 * target has the new content at the end: nobody renames what the other has exchanged.
 */
Test(stage, of_a_creator_and_a_holder_that_let_go_at_once_is_committed_once)
{
    static const struct {
        long parent, child; /* the parent goes as far as that; then the child as far as that; then the parent to its end.
                               -1: the parent begins when the child has got there */
    } rows[] = {
        { SYS_renameat2, SYS_unlinkat }, { SYS_renameat2, SYS_renameat2 }, { -1, SYS_renameat2 }, { -1, SYS_unlinkat },
        { SYS_statx, SYS_unlinkat },
    };
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int to_child[2], to_parent[2], status;
        put("app", OLD, 0755);
        cr_assert_eq(pipe2(to_child, O_CLOEXEC), 0);
        cr_assert_eq(pipe2(to_parent, O_CLOEXEC), 0);
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        pid_t child = fork();
        if (!child) {
            char byte;
            close(to_child[1]);
            close(to_parent[0]);
            if (read(to_child[0], &byte, 1) != 1)
                _exit(1);
            meeting.number = rows[i].child;
            meeting.say = to_parent[1];
            meeting.answer = to_child[0];
            if (let_go(fd) == STAGE_READY)
                stage_commit(&release, STAGE_SYNC_NONE, &report);
            _exit(0);
        }
        close(to_child[0]);
        close(to_parent[1]);
        if (rows[i].parent == -1) {
            char byte;
            close(fd); /* behind the shim's back */
            fd = -1;
            say(to_child[1], "x");
            cr_assert_eq(read(to_parent[0], &byte, 1), 1);
        }
        meeting.number = rows[i].parent;
        meeting.say = to_child[1];
        meeting.answer = to_parent[0]; /* also when the child has ended without getting there */
        release_at(STAGE_AT_EXIT);
        meeting.number = -1;
        close(to_child[1]);
        waitpid(child, &status, 0);
        cr_expect_eq(status, 0);
        cr_expect_str_eq(content("app"), "new", "row %zu: the new bytes are gone", i);
        cr_expect_str_eq(stage_in_directory(), "", "row %zu", i);
        close(to_parent[0]);
        if (fd >= 0)
            close(fd);
        forget_all();
    }
}

/* ---- generations ------------------------------------------------------------------------------------------------------------ */

static const char *was(uint64_t number)
{
    static char name[NAME_MAX + 1];
    cr_assert(generation_name_make(name, "app", number));
    return name;
}

/* Replaces what `name` leads to, and keeps so many. */
static enum stage_outcome replace_and_keep(const char *name, const char *text, uint64_t wanted)
{
    int fd = created(name, O_WRONLY | O_TRUNC, 0);
    say(fd, text);
    report.generation.wanted = wanted;
    return commit(fd);
}

Test(stage, keeps_what_it_replaces_as_often_as_asked)
{
    struct stat before = stat_of("app");
    unsigned open_before = descriptors();
    cr_expect_eq(replace_and_keep("app", "one", 3), STAGE_REPLACED);
    cr_expect_str_eq(text_base(report.generation.path), was(1));
    cr_expect_null(report.generation.reason);
    cr_expect_str_eq(content(report.generation.path), OLD);
    struct stat kept = stat_of(was(1));
    cr_expect_eq(kept.st_ino, before.st_ino, "a copy");
    cr_expect_eq(kept.st_mode, before.st_mode);
    cr_expect_eq(kept.st_nlink, 1);
    cr_expect_eq(stat_of("app").st_nlink, 1);

    static const char *const texts[] = { "two", "three", "four", "five" };
    for (size_t i = 0; i < COUNT(texts); i++)
        cr_expect_eq(replace_and_keep("app", texts[i], 3), STAGE_REPLACED);
    cr_expect_eq(each_name(NULL), 4);
    cr_expect_str_eq(content(was(5)), "four");
    cr_expect_str_eq(content(was(4)), "three");
    cr_expect_str_eq(content(was(3)), "two");

    /* Fewer; then none, which leaves those that there are. */
    cr_expect_eq(replace_and_keep("app", "six", 1), STAGE_REPLACED);
    cr_expect_eq(each_name(NULL), 2);
    cr_expect_str_eq(content(was(6)), "five");
    cr_expect_eq(replace_and_keep("app", "seven", 0), STAGE_REPLACED);
    cr_expect_str_empty(report.generation.path);
    cr_expect_eq(each_name(NULL), 2);
    cr_expect_eq(descriptors(), open_before);
}

/* Of a program that is started, or not; and of whoever joins meanwhile, whom nobody may take it from. */
Test(stage, made_for_a_program_is_nobodys_until_it_is_used)
{
    unused = true;
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_expect_eq(release_at(STAGE_AT_EXIT), 0, "an exit puts it in place");
    struct stage_release others = { .asker = -1 };
    cr_expect_not(stage_publish_next(&others, STAGE_OURS_OR_SURVIVES, false), "who gives up rights puts it in place");
    cr_expect(stage_withdraw(fd));
    cr_expect_not(stage_withdraw(fd));
    cr_expect_eq(stage_join(&target, O_WRONLY), -1, "what is to be discarded is joined");
    cr_assert(stage_release_begin(&release, fd));
    close(fd);
    stage_discard(&release);
    cr_expect_str_eq(content("app"), OLD);
    cr_expect_eq(each_name(NULL), 1);

    fd = created("app", O_WRONLY | O_TRUNC, 0);
    int joined = stage_join(&target, O_WRONLY);
    cr_assert_geq(joined, 0);
    say(joined, "joined");
    cr_expect_not(stage_withdraw(fd), "somebody writes to it");
    close(fd);
    cr_expect_eq(release_at(STAGE_AT_EXIT), 1);
    close(joined);
    cr_expect_str_eq(content("app"), "joined");

    fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "used");
    stage_set_used(fd);
    cr_expect_not(stage_withdraw(fd));
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "used");
}

/* Each costs a microsecond or more, of a redirect that has to be worth its time for a small file, too. */
Test(stage, is_made_in_few_calls)
{
    commit(created("app", O_WRONLY | O_TRUNC, 0)); /* what is mapped is kept */
    trace.length = 0;
    cr_assert_geq(created("app", O_WRONLY | O_TRUNC, 0), 0);
    cr_expect_leq(trace.length, 58, "%zu calls", trace.length);
    cr_expect_eq(traced(MMAP, 0), trace.length);
    cr_expect_eq(traced(SYS_munmap, 0), trace.length);
    cr_expect_eq(traced(SYS_ftruncate, 0), trace.length, "there is nothing that a truncation takes away");
}

Test(stage, that_keeps_nothing_makes_no_call_for_it)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(let_go(fd), STAGE_READY);
    report.generation.wanted = 0;
    trace.length = 0;
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    cr_expect_eq(traced(SYS_linkat, 0), trace.length);
    cr_expect_eq(traced(SYS_getdents64, 0), trace.length);
    cr_expect_eq(traced(MMAP, 0), trace.length);
}

Test(stage, keeps_before_it_renames_and_syncs_behind_both)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(let_go(fd), STAGE_READY);
    report.generation.wanted = 1;
    put(was(1), "old", 0600);
    trace.length = 0;
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_FULL, &report), STAGE_REPLACED);
    size_t linked = traced(SYS_linkat, 0), renamed = traced(SYS_renameat2, 0), pruned = traced(SYS_unlinkat, 0);
    cr_expect_lt(linked, renamed);
    cr_expect_lt(renamed, pruned);
    cr_expect_lt(pruned, trace.length);
    cr_expect_lt(traced(SYS_fsync, pruned), trace.length, "the new names aren't synced");
}

Test(stage, keeps_nothing_where_nothing_is_replaced)
{
    cr_expect_eq(replace_and_keep("app", OLD, 3), STAGE_UNCHANGED);
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    unlink("app");
    report.generation.wanted = 3;
    cr_expect_eq(commit(fd), STAGE_DISCARDED);
    cr_expect_eq(each_name(NULL), 0);
}

Test(stage, keeps_by_the_highest_number_that_there_is)
{
    put(was(41), "x", 0600);
    put(".app.etxtbsy-was-07", "not one", 0600);
    put(".other.etxtbsy-was-99", "another's", 0600);
    cr_assert_eq(mkdir(was(50), 0700), 0);
    cr_expect_eq(replace_and_keep("app", "new", 9), STAGE_REPLACED);
    cr_expect_str_eq(content(was(51)), OLD);
    /* Where there is no higher one, the file is replaced all the same. */
    put(was(GENERATION_MAX), "x", 0600);
    cr_expect_eq(replace_and_keep("app", "newer", 9), STAGE_REPLACED);
    cr_expect_str_eq(report.generation.reason, "generation-name");
    cr_expect_str_empty(report.generation.path);
    cr_expect_str_eq(content("app"), "newer");
}

Test(stage, prunes_nothing_but_generations_of_its_target)
{
    static const char *const others[] = {
        ".app.etxtbsy-was-01",
        ".app.etxtbsy-was-",
        ".other.etxtbsy-was-1",
        "app.etxtbsy-was-1",
        ".app.etxtbsy-kept-1-012345678000",
        ".app.x.etxtbsy-was-1",
    };
    for (size_t i = 0; i < COUNT(others); i++)
        put(others[i], "x", 0600);
    cr_assert_eq(mkdir(was(1), 0700), 0);
    cr_assert_eq(symlink("app", was(2)), 0);
    cr_assert_eq(mkfifo(was(3), 0600), 0);
    put(was(4), "x", 0600);
    put(was(5), "x", 0600);
    unsigned before = each_name(NULL);
    cr_expect_eq(replace_and_keep("app", "new", 1), STAGE_REPLACED);
    cr_expect_eq(each_name(NULL), before - 1, "one more, two less");
    cr_expect_str_eq(content(was(6)), OLD);
    cr_expect_str_eq(content("app"), "new");
}

Test(stage, prunes_many)
{
    for (uint64_t number = 1; number <= 100; number++)
        put(was(number), "x", 0600);
    cr_expect_eq(replace_and_keep("app", "one", 2), STAGE_REPLACED);
    cr_expect_eq(access(was(64), F_OK), -1, "the oldest first");
    cr_expect_eq(access(was(65), F_OK), 0, "as many as one commit has time for");
    cr_expect_eq(replace_and_keep("app", "two", 2), STAGE_REPLACED);
    cr_expect_eq(each_name(NULL), 3);
    cr_expect_str_eq(content(was(102)), "one");
    cr_expect_str_eq(content(was(101)), OLD);
}

Test(stage, does_not_keep_under_a_name_that_would_be_too_long)
{
    for (size_t length = NAME_MAX - 16; length <= NAME_MAX; length++) {
        char base[NAME_MAX + 1];
        memset(base, 'b', length);
        base[length] = '\0';
        put(base, OLD, 0755);
        bool fits = length + strlen(".") + strlen(".etxtbsy-was-1") <= NAME_MAX;
        cr_expect_eq(replace_and_keep(base, "new", 2), STAGE_REPLACED);
        if (fits)
            cr_expect_str_eq(content(report.generation.path), OLD, "%zu", length);
        else
            cr_expect_str_eq(report.generation.reason, "generation-name", "%zu", length);
        cr_expect_eq(report.generation.path[0] != 0, fits, "%zu", length);
        cr_expect_str_eq(content(base), "new");
        each_name(remove_name);
    }
}

/* Somebody was killed between the link and the rename: the target has a generation that is itself. */
Test(stage, of_a_target_that_is_its_own_generation_is_not_refused)
{
    cr_assert_eq(link("app", was(7)), 0);
    cr_expect_eq(replace_and_keep("app", "new", 3), STAGE_REPLACED);
    cr_expect_str_eq(text_base(report.generation.path), was(7));
    cr_expect_str_eq(content(was(7)), OLD);
    cr_expect_eq(each_name(NULL), 2);
    cr_expect_eq(stat_of(was(7)).st_nlink, 1);

    /* A link that is none is one. */
    cr_assert_eq(link("app", was(8)), 0);
    cr_assert_eq(link("app", "second"), 0);
    expect_refusal("app", O_WRONLY | O_TRUNC, "hard-links");
}

/* In place, the bytes would be gone: nobody but the library knows that name. */
Test(stage, whose_target_is_a_generation_by_now_is_discarded)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(rename("app", was(1)), 0);
    cr_expect_eq(commit(fd), STAGE_DISCARDED);
    cr_expect_str_eq(content(was(1)), OLD);
    cr_expect_eq(each_name(NULL), 1);
}

Test(stage, whose_target_has_moved_is_kept_beside_its_new_name)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(rename("app", "app.bak"), 0);
    report.generation.wanted = 1;
    cr_expect_eq(commit(fd), STAGE_OVERTAKEN);
    cr_expect_str_eq(content("app.bak"), "new");
    cr_expect_str_eq(text_base(report.generation.path), ".app.bak.etxtbsy-was-1");
    cr_expect_str_eq(content(report.generation.path), OLD);
}

Test(stage, that_is_published_at_its_birth_keeps_too)
{
    struct stage_generation generation = { .wanted = 1 };
    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    const struct stage_request request = {
        .target = &target, .flags = O_WRONLY | O_TRUNC, .op = "open", .generation = &generation
    };
    no_flock = true;
    int fd = stage_create(&request, &reason);
    no_flock = false;
    cr_assert_geq(fd, 0, "%s", reason);
    say(fd, "new");
    close(fd);
    cr_expect_str_eq(content("app"), "new");
    cr_expect_str_eq(content(was(1)), OLD);
    cr_expect_str_eq(text_base(generation.path), was(1));
}

/* File systems without hard links, a directory that is full, a name that others take all the time. */
Test(stage, that_can_not_be_kept_is_replaced_all_the_same)
{
    static const int errors[] = { EPERM, EMLINK, EOPNOTSUPP, EXDEV, ENOSPC, EACCES, EIO };
    for (size_t i = 0; i < COUNT(errors); i++) {
        put("app", OLD, 0755);
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "new");
        cr_assert_eq(let_go(fd), STAGE_READY);
        report.generation.wanted = 2;
        fail(SYS_linkat, 1, errors[i]);
        cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
        fail_no_more();
        cr_expect_str_eq(report.generation.reason, "generation-link", "%s", strerrorname_np(errors[i]));
        cr_expect_str_empty(report.generation.path);
        cr_expect_str_eq(content("app"), "new");
        cr_expect_eq(each_name(NULL), 1);
    }
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    cr_assert_eq(let_go(fd), STAGE_READY);
    fail(SYS_linkat, 1, EEXIST);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED);
    fail_no_more();
    cr_expect_str_eq(text_base(report.generation.path), was(2), "somebody else has taken 1");

    /* What is replaced by now is no regular file. */
    fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "newest");
    cr_assert_eq(symlink("elsewhere", "link"), 0);
    cr_assert_eq(rename("link", "app"), 0);
    cr_expect_eq(commit(fd), STAGE_OVERTAKEN);
    cr_expect_str_eq(report.generation.reason, "generation-link");
    cr_expect_str_eq(content("app"), "newest");
}

Test(stage, of_a_new_file_keeps_nothing)
{
    const struct stage_request request = {
        .target = &target, .kind = STAGE_OF_NEW, .flags = O_WRONLY | O_CREAT | O_TRUNC, .mode = 0644, .op = "creat"
    };
    cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, "fresh", 0), 0);
    int fd = stage_create(&request, &reason);
    cr_assert_geq(fd, 0, "%s", reason);
    report.generation.wanted = 2;
    cr_expect_eq(commit(fd), STAGE_CREATED);
    cr_expect_str_empty(report.generation.path);
    cr_expect_null(report.generation.reason);
    cr_expect_eq(each_name(NULL), 2);
}

Test(stage, that_yields_or_fails_keeps_nothing)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "new");
    cr_assert_eq(let_go(fd), STAGE_READY);
    report.generation.wanted = 2;
    fail_often(SYS_renameat2, 1, COMMIT_TRIES, EACCES);
    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_FAILED);
    cr_expect_eq(errno, EACCES);
    fail_no_more();
    cr_expect_str_empty(report.generation.path);
    cr_expect_eq(access(was(1), F_OK), -1);
    cr_expect_eq(stat_of("app").st_nlink, 1);

    /* A leftover that meets another file when they change places. */
    fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "leaked");
    struct holder holder = fork_holder(fd);
    cr_expect_eq(let_go(fd), STAGE_PENDING);
    stage_set_pending(&release);
    stage_release_finish(&release);
    put("other", "other", 0755);
    cr_assert_eq(rename("other", "app"), 0);
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, NULL, 0);
    struct stage_release all = { .asker = -1 };
    cr_assert(stage_pending_next(&all));
    cr_assert_eq(stage_release_end(&all, &report), STAGE_READY);
    cr_expect_eq(stage_commit(&all, STAGE_SYNC_NONE, &report), STAGE_SUPERSEDED);
    cr_expect_str_empty(report.generation.path);
    cr_expect_eq(access(was(1), F_OK), -1);
    cr_expect_str_eq(content("app"), "other");
}

/*
 * Killed before the nth call of a commit that keeps, for each n: the target is the whole old or the whole new file, the old one
 * isn't lost when the new one has the name, and the next one isn't refused for what was left.
 */
Test(stage, that_keeps_is_killed_at_any_call)
{
    unsigned killed = 0, left_a_link = 0;
    for (unsigned n = 1;; n++) {
        int status;
        put("app", OLD, 0755);
        put(was(1), "oldest", 0755);
        pid_t child = fork();
        if (!child) {
            int fd = created("app", O_WRONLY | O_TRUNC, 0);
            say(fd, "new");
            if (let_go(fd) != STAGE_READY)
                _exit(1);
            report.generation.wanted = 2;
            kill_at = n;
            _exit(stage_commit(&release, STAGE_SYNC_FULL, &report) == STAGE_REPLACED ? 0 : 2);
        }
        waitpid(child, &status, 0);
        bool old = !strcmp(content("app"), OLD);
        left_a_link += stat_of("app").st_nlink > 1;
        if (!old) {
            cr_expect_str_eq(content("app"), "new", "call %u", n);
            cr_expect_str_eq(content(was(2)), OLD, "call %u", n);
        }
        cr_expect_eq(replace_and_keep("app", "next", 2), STAGE_REPLACED, "call %u", n);
        cr_expect_str_eq(content(was(old ? 2 : 3)), old ? OLD : "new", "call %u", n);
        cr_expect_eq(each_name(NULL), 3, "call %u: litter", n);
        each_name(remove_name);
        if (WIFEXITED(status)) {
            cr_expect_eq(WEXITSTATUS(status), 0);
            break;
        }
        killed++;
    }
    cr_expect_gt(killed, 10);
    cr_expect_gt(left_a_link, 0, "nobody was killed between the two steps");
}

/* ---- each call fails in turn ------------------------------------------------------------------------------------------------ */

static const int walk_errors[] = { EMFILE, ENOSPC, EIO, ENOENT, EACCES, EOPNOTSUPP };

/*
 * Creates with the nth call failing, for each n. Either it is refused, says why, and nothing has changed; or all that is
 * written arrives, whatever a sweeper does meanwhile.
 */
static void walk_create(const char *what, int flags, int64_t keep, const char *expected)
{
    unsigned names = each_name(NULL), n = 0;
    int known = stage_known_count;
    for (size_t e = 0; e < COUNT(walk_errors); e++)
        for (n = 1;; n++) {
            put("app", OLD, 0751);
            struct stat before = stat_of("app");
            unsigned open_before = descriptors();
            cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
            fail(0, n, walk_errors[e]);
            int fd = create_resolved(flags, keep);
            fail_no_more();

            char at[128];
            snprintf(at, sizeof at, "%s: call %u (number %ld) fails with %s", what, n, fault.hit, strerrorname_np(walk_errors[e]));
            if (fd < 0) {
                cr_expect(reason, "%s: no reason", at);
                cr_expect_str_eq(content("app"), OLD, "%s: refused, and the target is \"%s\" now", at, content("app"));
                cr_expect_eq(stat_of("app").st_ino, before.st_ino, "%s: refused, and the target is another file", at);
            } else {
                cr_expect_null(reason, "%s", at);
                say(fd, "NEW");
                sweep(!no_tmpfile);
                if (let_go(fd) == STAGE_READY)
                    cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_REPLACED, "%s", at);
                else
                    stage_release_finish(&release);
                cr_expect_str_eq(content("app"), expected, "%s: what was written isn't there: \"%s\"", at, content("app"));
                cr_expect_eq(stat_of("app").st_mode, before.st_mode, "%s: mode %o", at, stat_of("app").st_mode);
            }
            if (each_name(NULL) != names) {
                cr_expect(false, "%s: %s is left", at, stage_in_directory());
                unlink(found_stage);
            }
            cr_expect_eq(descriptors(), open_before, "%s: descriptors are left", at);
            cr_expect_eq(stage_known_count, known, "%s: still known", at);
            if (fault.hit == NOT_MET)
                break;
        }
    cr_assert_gt(n, 8, "%s: only %u calls were seen", what, n);
}

Test(stage_fault, while_it_is_made)
{
    walk_create("nameless", O_WRONLY | O_TRUNC, 0, "NEW");
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "slots are lost");
}

Test(stage_fault, while_a_new_file_is_made)
{
    unsigned names = each_name(NULL), n;
    for (int named = 0; named < 2; named++)
        for (size_t e = 0; e < COUNT(walk_errors); e++)
            for (n = 1;; n++) {
                char at[128];
                unsigned open_before = descriptors();
                no_tmpfile = named;
                umask(0277); /* the owner may not write: opened by its name all the same */
                kind = STAGE_OF_NEW;
                cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, "fresh", 0), 0);
                fail(0, n, walk_errors[e]);
                int fd = create_resolved(O_WRONLY | O_TRUNC | O_CREAT, 0);
                fail_no_more();
                snprintf(at, sizeof at, "call %u (number %ld) fails with %s", n, fault.hit, strerrorname_np(walk_errors[e]));
                if (fd < 0) {
                    cr_expect(reason, "%s: no reason", at);
                } else {
                    say(fd, "NEW");
                    if (let_go(fd) == STAGE_READY) /* else it couldn't be locked, and has its name already */
                        cr_expect_eq(stage_commit(&release, STAGE_SYNC_NONE, &report), STAGE_CREATED, "%s", at);
                    cr_expect_str_eq(content("fresh"), "NEW", "%s", at);
                    cr_expect_eq(stat_of("fresh").st_mode & 07777, 0400, "%s: mode %o", at, stat_of("fresh").st_mode);
                    unlink("fresh");
                }
                cr_expect_eq(each_name(NULL), names, "%s: %s is left", at, stage_in_directory());
                cr_expect_eq(descriptors(), open_before, "%s: descriptors are left", at);
                cr_expect_eq(stage_known_count, 0, "%s: still known", at);
                if (fault.hit == NOT_MET)
                    break;
            }
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "slots are lost");
}

Test(stage_fault, while_it_is_made_with_the_old_content)
{
    walk_create("copied", O_RDWR, STAGE_KEEP_ALL, "NEW content");
}

Test(stage_fault, while_it_is_made_under_a_name)
{
    no_tmpfile = true;
    walk_create("named", O_WRONLY | O_TRUNC, 0, "NEW");
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "slots are lost");
}

Test(stage_fault, while_it_is_made_without_flock)
{
    no_flock = true;
    walk_create("without flock", O_WRONLY | O_TRUNC, 0, "NEW");
}

Test(stage_fault, while_it_is_made_and_the_table_is_full)
{
    int fds[STAGES_KNOWN_MAX];
    fill_table(fds);
    walk_create("full table", O_WRONLY | O_TRUNC, 0, "NEW");
}

/*
 * Lets go with the nth call failing, for each n. What was written takes the target's name, at the latest at exit, or the
 * program is told and the file that has it is left.
 */
Test(stage_fault, while_it_is_let_go)
{
    unsigned n = 0;
    for (size_t e = 0; e < COUNT(walk_errors); e++)
        for (n = 1;; n++) {
            put("app", OLD, 0755);
            unsigned open_before = descriptors();
            int fd = created("app", O_WRONLY | O_TRUNC, 0);
            say(fd, "NEW");
            report.generation.wanted = 1;
            fail(0, n, walk_errors[e]);
            enum stage_end end = let_go(fd);
            enum stage_outcome outcome = STAGE_REPLACED;
            if (end == STAGE_READY)
                outcome = stage_commit(&release, STAGE_SYNC_FULL, &report);
            else
                stage_release_finish(&release);
            int error = errno;
            fail_no_more();

            char at[128];
            snprintf(at, sizeof at, "call %u (number %ld) fails with %s", n, fault.hit, strerrorname_np(walk_errors[e]));
            cr_expect_eq(descriptors(), open_before, "%s: descriptors are left", at);
            if (walk_errors[e] == ENOENT && (fault.hit == SYS_statx || fault.hit == SYS_fsync || fault.hit == SYS_renameat2)) {
                ; /* the kernel says that the file is gone: that is believed */
            } else if (end == STAGE_READY && outcome == STAGE_FAILED) {
                cr_expect_eq(error, walk_errors[e], "%s: errno %d", at, error);
                cr_expect_str_eq(content("app"), OLD, "%s", at);
                cr_expect_str_eq(content(report.path), "NEW", "%s: the program is told, and the bytes are gone", at);
            } else if (strcmp(content("app"), "NEW")) {
                cr_expect_str_eq(content("app"), OLD, "%s: half a file", at);
                cr_expect_eq(stage_known_count, 1, "%s: nobody is told, and nobody will ask again", at);
                release_at(STAGE_AT_EXIT);
                cr_expect_str_eq(content("app"), "NEW", "%s: the bytes don't arrive at exit either", at);
            }
            forget_all();
            each_name(remove_name);
            if (fault.hit == NOT_MET)
                break;
        }
    cr_assert_gt(n, 8, "only %u calls were seen", n);
}

/* Aborts with the nth call failing, for each n: this process publishes nothing, whatever becomes of the name. */
Test(stage_fault, while_it_is_aborted)
{
    unsigned n = 0;
    for (size_t e = 0; e < COUNT(walk_errors); e++)
        for (n = 1;; n++) {
            put("app", OLD, 0755);
            unsigned open_before = descriptors();
            int fd = created("app", O_WRONLY | O_TRUNC, 0);
            say(fd, "half");
            fail(0, n, walk_errors[e]);
            errno = EAGAIN;
            bool aborted = abort_with(fd, ENOSPC);
            int error = errno;
            fail_no_more();

            char at[128];
            snprintf(at, sizeof at, "call %u (number %ld) fails with %s", n, fault.hit, strerrorname_np(walk_errors[e]));
            cr_expect_eq(error, EAGAIN, "%s: errno %d", at, error);
            cr_expect(aborted || fault.hit == SYS_statx, "%s: not aborted", at); /* not to be known for a stage */
            if (aborted) {
                cr_expect_eq(let_go(fd), STAGE_ABORTED, "%s", at);
                stage_release_finish(&release);
                cr_expect_eq(stage_known_count, 0, "%s: still known", at);
                cr_expect(!*stage_in_directory() || fault.hit == SYS_unlinkat || fault.hit == SYS_statx, "%s: the name is left",
                          at);
            } else {
                close(fd);
            }
            cr_expect_str_eq(content("app"), OLD, "%s: half a file", at);
            cr_expect_eq(descriptors(), open_before, "%s: descriptors are left", at);
            forget_all();
            each_name(remove_name);
            if (fault.hit == NOT_MET)
                break;
        }
    cr_assert_gt(n, 8, "only %u calls were seen", n);
}

/* A daemon that opens its files, then locks itself in: no name leads to the stage any more, but the program can be told. */
Test(stage_fault, in_a_root_without_proc_is_said)
{
    int status;
    if (geteuid())
        skip("needs root");
    pid_t child = fork();
    if (!child) {
        int fd = created("app", O_WRONLY | O_TRUNC, 0);
        say(fd, "NEW");
        if (chroot(".") < 0)
            _exit(2);
        _exit(let_go(fd) == STAGE_READY || stage_known_count ? 0 : 1);
    }
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0, "the stage was forgotten without a word: %#x", status);
}

Test(stage_fault, while_others_are_adopted)
{
    for (unsigned n = 1;; n++) {
        int fd = inherited("app");
        unsigned open_before = descriptors();
        fail(0, n, EIO);
        errno = ETXTBSY;
        stage_adopt();
        cr_expect_eq(errno, ETXTBSY, "call %u", n);
        fail_no_more();
        cr_expect_eq(stage_known_count, 1, "call %u (number %ld): it is lost", n, fault.hit);
        cr_expect_eq(descriptors(), open_before, "call %u (number %ld)", n, fault.hit);
        forget_all();
        close(fd);
        if (fault.hit == NOT_MET)
            break;
    }
    cr_expect_eq(free_slots(), STAGES_KNOWN_MAX, "slots are lost");
}

Test(stage_fault, while_others_are_swept)
{
    for (unsigned n = 1;; n++) {
        put(forged, "x", 0600);
        unsigned open_before = descriptors();
        fail(0, n, EIO);
        errno = ETXTBSY;
        sweep(true);
        int error = errno;
        fail_no_more();
        cr_expect_eq(error, ETXTBSY, "call %u (number %ld): errno %d", n, fault.hit, error);
        cr_expect_eq(descriptors(), open_before, "call %u (number %ld)", n, fault.hit);
        cr_expect_str_eq(content("app"), OLD);
        if (fault.hit == NOT_MET)
            break;
    }
}

/* ---- others ----------------------------------------------------------------------------------------------------------------- */

/* A child with a stage, or a lock, of its own, until it is told to let go. */
static struct holder fork_other(int (*take)(void))
{
    int go[2], ready[2];
    char byte;
    cr_assert_eq(pipe2(go, O_CLOEXEC) + pipe2(ready, O_CLOEXEC), 0);
    struct holder holder = { .pid = fork(), .go = go[1] };
    if (holder.pid == 0) {
        close(go[1]);
        int fd = take();
        if (fd < 0 || write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        if (stage_is(fd))
            _exit(commit(fd) <= STAGE_OVERTAKEN ? 0 : 2);
        _exit(0);
    }
    close(go[0]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return holder;
}

static int take_stage(void)
{
    int fd = created("app", O_WRONLY | O_TRUNC, 0);
    say(fd, "other");
    return fd;
}

static int take_new_stage(void)
{
    return created_new("brand-new", O_WRONLY | O_TRUNC);
}

static int take_flock(void)
{
    int fd = open("app", O_RDONLY | O_CLOEXEC);
    return flock(fd, LOCK_SH) == 0 ? fd : -1;
}

static void expect_refused(const char *expected)
{
    unsigned open_before = descriptors(), names = each_name(NULL), slots = (unsigned)stage_known_count;
    cr_expect_eq(create("app", O_WRONLY | O_TRUNC, 0), -1, "while another is at work");
    cr_expect_str_eq(reason, expected, "%s", reason);
    cr_expect_eq(descriptors(), open_before);
    cr_expect_eq(each_name(NULL), names);
    cr_expect_eq((unsigned)stage_known_count, slots);
}

static void expect_not_locked(const char *name)
{
    int judge = open(name, O_RDONLY | O_CLOEXEC);
    cr_expect_eq(flock(judge, LOCK_EX | LOCK_NB), 0, "%s is left locked", name);
    close(judge);
}

Test(stage, that_is_to_be_alone_is_refused_while_another_is_held)
{
    struct holder other = fork_other(take_stage);
    close(created("app", O_WRONLY | O_TRUNC, 0)); /* which doesn't ask */
    forget_all();
    alone = true;
    expect_refused(STAGE_SERIALISED);
    expect_not_locked("app");
    put("apple", OLD, 0755); /* a stage of app is none of apple, nor of ap */
    put("ap", OLD, 0755);
    close(created("apple", O_WRONLY | O_TRUNC, 0));
    close(created("ap", O_WRONLY | O_TRUNC, 0));
    forget_all();

    cr_assert_eq(stage_resolve(&target, AT_FDCWD, "app", 0, 0), 0);
    cr_expect_eq(holder_goes_on(&other), 0);
    cr_expect_str_eq(content("app"), "other");
    cr_expect_eq(create_resolved(O_WRONLY | O_TRUNC, 0), -1, "the target was resolved before that");
    cr_expect_str_eq(reason, STAGE_SERIALISED);
    int fd = created("app", O_WRONLY | O_APPEND, STAGE_KEEP_ALL);
    say(fd, " one");
    cr_expect_eq(commit(fd), STAGE_REPLACED);
    cr_expect_str_eq(content("app"), "other one");
}

Test(stage, that_is_to_be_alone_ignores_its_own_process_and_the_dead)
{
    struct holder other = fork_other(take_stage);
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    alone = true;
    int fd = created("app", O_WRONLY | O_TRUNC, 0), second = created("app", O_WRONLY | O_TRUNC, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(create("app", O_WRONLY | O_TRUNC, 0) >= 0 ? 0 : 1);
    int status;
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0, "a child waits for its parent");
    close(fd);
    close(second);
}

Test(stage, of_a_new_file_is_alone_as_well)
{
    struct holder other = fork_other(take_new_stage);
    alone = true;
    kind = STAGE_OF_NEW;
    cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, "brand-new", 0), 0);
    cr_expect_eq(create_resolved(O_WRONLY | O_TRUNC, 0), -1);
    cr_expect_str_eq(reason, STAGE_SERIALISED, "%s", reason);
    cr_expect_eq(holder_goes_on(&other), 0);
    cr_expect_eq(create_resolved(O_WRONLY | O_TRUNC, 0), -1, "it isn't new any more");
    cr_expect_str_eq(reason, STAGE_SERIALISED, "%s", reason);
    cr_expect_eq(each_name(NULL), 2, "litter");
}

Test(stage, of_a_locked_target_is_refused_where_locks_are_respected)
{
    struct holder other = fork_other(take_flock);
    close(created("app", O_WRONLY | O_TRUNC, 0));
    forget_all();
    respects_locks = true;
    expect_refused(STAGE_LOCKED);
    cr_expect_eq(holder_goes_on(&other), 0);
    close(created("app", O_WRONLY | O_TRUNC, 0));
    expect_not_locked("app");
}

static struct holder intruder;

static void somebody_has_made_it(void)
{
    intruder = fork_other(take_new_stage);
}

static void somebody_has_finished_it(void)
{
    intruder = fork_other(take_new_stage);
    cr_expect_eq(holder_goes_on(&intruder), 0);
}

/* Both have looked, and seen nothing, before the other had its name. */
Test(stage, of_a_new_file_makes_room_for_one_that_came_at_the_same_time)
{
    static void (*const others[])(void) = { somebody_has_made_it, somebody_has_finished_it };
    for (size_t i = 0; i < COUNT(others); i++) {
        unsigned open_before = descriptors();
        unlink("brand-new");
        kind = STAGE_OF_NEW;
        cr_assert_eq(stage_resolve_new(&target, AT_FDCWD, "brand-new", 0), 0);
        alone = true;
        surprise.number = SYS_linkat;
        surprise.happens = others[i];
        cr_expect_eq(create_resolved(O_WRONLY | O_TRUNC, 0), -1);
        cr_expect_str_eq(reason, STAGE_SERIALISED, "%s", reason);
        cr_expect_null(surprise.happens);
        cr_expect_eq(each_name(NULL), 2, "its own name is left");
        if (others[i] == somebody_has_made_it)
            cr_expect_eq(holder_goes_on(&intruder), 0);
        close(intruder.go);
        cr_expect_eq(descriptors(), open_before);
    }
}

/* Each of many appends to what the one before left: none of the lines is lost, whoever is how fast. */
static void append_lines(const char *name, int count, bool make)
{
    for (int i = 0; i < count;) {
        bool found = stage_resolve(&target, AT_FDCWD, name, 0, 0) == 0;
        if (!found && (!make || stage_resolve_new(&target, AT_FDCWD, name, 0) < 0))
            continue;
        kind = found ? STAGE_OF_BUSY : STAGE_OF_NEW;
        int fd = create_resolved(O_WRONLY | O_APPEND | O_CLOEXEC, found ? STAGE_KEEP_ALL : 0);
        if (fd < 0 && !strcmp(reason, STAGE_SERIALISED)) {
            usleep(200 + (useconds_t)(getpid() * 7919 + i * 104729) % 2000);
            continue;
        }
        if (fd < 0 || write(fd, "line\n", 5) != 5 || commit(fd) > STAGE_CREATED)
            _exit(1);
        if (++i % 4 == 0)
            usleep(100);
    }
}

enum { CHILDREN = 8, LINES = 12 };

/* Runs that in as many processes. */
static void append_at_once(void (*append)(void))
{
    pid_t children[CHILDREN];
    alone = true;
    for (int i = 0; i < CHILDREN; i++)
        if ((children[i] = fork()) == 0) {
            append();
            _exit(0);
        }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_expect_eq(status, 0, "%#x", status);
    }
    cr_expect_str_eq(stage_in_directory(), "");
}

static void append_to_one(void)
{
    append_lines("app", LINES, false);
}

Test(stage, of_many_that_are_each_to_be_alone_loses_nothing, .timeout = 60)
{
    append_at_once(append_to_one);
    cr_expect_eq(stat_of("app").st_size, strlen(OLD) + CHILDREN * LINES * 5, "%ld bytes", (long)stat_of("app").st_size);
}

enum { NEW_FILES = 50 };

static void append_to_new_ones(void)
{
    for (int i = 0; i < NEW_FILES; i++) {
        char name[20];
        snprintf(name, sizeof name, "new-%d", i);
        append_lines(name, 1, true);
    }
}

Test(stage, of_a_new_file_of_many_loses_nothing, .timeout = 60)
{
    append_at_once(append_to_new_ones);
    for (int i = 0; i < NEW_FILES; i++) {
        char name[20];
        snprintf(name, sizeof name, "new-%d", i);
        cr_expect_eq(stat_of(name).st_size, CHILDREN * 5, "%s: %ld of %d lines", name, (long)stat_of(name).st_size / 5, CHILDREN);
    }
}

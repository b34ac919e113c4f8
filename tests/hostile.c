/*
 * A directory of somebody else's, who changes it while root replaces a file in it: once before each single system call of a
 * redirect, and from a process of another user that does nothing else. Nothing outside the directory may change: no byte, mode,
 * owner, time or attribute, and no name. Needs root.
 *
 * The walk begins when the target is known. Before, whoever swaps its name for a link decides what is opened, with the library as
 * without (`cp` follows it as well); from then on the redirect is to have to do with that file and that name alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../shim/stage/stage.h"
#include "../shim/sys/text.h"
#include "harness.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ATTACKER 65534

static char root[PATH_MAX / 4]; /* has yard, which is the attacker's, and outside */
static char yard[PATH_MAX / 2], outside[PATH_MAX / 2];

/* A short path's file in root. */
static const char *in(const char *directory, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

/* ---- what the attacker does ------------------------------------------------------------------------------------------------- */

/* Puts the name of something else over the target's, in one step. */
static void swap_target(const char *other)
{
    (void)!rename(in(yard, other), in(yard, "app"));
}

static void target_by_symlink(void)
{
    (void)!symlink(in(outside, "victim"), in(yard, "other"));
    swap_target("other");
}

static void target_by_dangling_symlink(void)
{
    (void)!symlink(in(outside, "new"), in(yard, "other"));
    swap_target("other");
}

static void target_by_hard_link(void)
{
    (void)!link(in(outside, "victim"), in(yard, "other"));
    swap_target("other");
}

static void target_by_fifo(void)
{
    (void)!mkfifo(in(yard, "other"), 0666);
    swap_target("other");
}

static void target_by_device(void)
{
    (void)!mknod(in(yard, "other"), S_IFCHR | 0666, makedev(1, 7));
    swap_target("other");
}

static void target_by_directory(void)
{
    (void)!unlink(in(yard, "app"));
    (void)!mkdir(in(yard, "app"), 0777);
}

static void target_away(void)
{
    (void)!unlink(in(yard, "app"));
}

/* The directory itself: another one, with files of the same names, under its name. */
static void parent_by_symlink(void)
{
    (void)!rename(yard, in(root, "away"));
    (void)!symlink(outside, yard);
}

static void parent_by_another(void)
{
    (void)!rename(yard, in(root, "away"));
    (void)!mkdir(yard, 0777);
    (void)!symlink(in(outside, "app"), in(yard, "app"));
}

/* The stage, wherever it is by then. Returns false when there is none. */
static bool find_stage(char path[PATH_MAX])
{
    static const char *const places[] = { "yard", "away" };
    for (size_t i = 0; i < COUNT(places); i++) {
        DIR *names = opendir(in(root, places[i]));
        for (struct dirent *entry = names ? readdir(names) : NULL; entry; entry = readdir(names))
            if (strstr(entry->d_name, ".etxtbsy-")) {
                snprintf(path, PATH_MAX, "%s/%s/%s", root, places[i], entry->d_name);
                closedir(names);
                return true;
            }
        if (names)
            closedir(names);
    }
    return false;
}

static void stage_by_symlink(void)
{
    char stage[PATH_MAX];
    if (find_stage(stage) && unlink(stage) == 0)
        (void)!symlink(in(outside, "victim"), stage);
}

static void stage_by_hard_link(void)
{
    char stage[PATH_MAX];
    if (find_stage(stage) && unlink(stage) == 0)
        (void)!link(in(outside, "victim"), stage);
}

static void stage_by_fifo(void)
{
    char stage[PATH_MAX];
    if (find_stage(stage) && unlink(stage) == 0)
        (void)!mkfifo(stage, 0666);
}

static void stage_by_file(void)
{
    char stage[PATH_MAX];
    if (find_stage(stage) && unlink(stage) == 0)
        write_file(stage, "the attacker's", 0666);
}

static void stage_and_target_by_symlink(void)
{
    stage_by_symlink();
    target_by_symlink();
}

static const struct attack {
    const char *name;
    void (*happens)(void);
    bool links; /* gives the victim another name: its number of links and its change time are the attacker's doing */
} attacks[] = {
    { "the target becomes a symbolic link", target_by_symlink, false },
    { "the target becomes a symbolic link to a file that isn't there", target_by_dangling_symlink, false },
    { "the target becomes a hard link", target_by_hard_link, true },
    { "the target becomes a FIFO", target_by_fifo, false },
    { "the target becomes a device", target_by_device, false },
    { "the target becomes a directory", target_by_directory, false },
    { "the target goes", target_away, false },
    { "the directory becomes a symbolic link", parent_by_symlink, false },
    { "the directory becomes another one", parent_by_another, false },
    { "the stage becomes a symbolic link", stage_by_symlink, false },
    { "the stage becomes a hard link", stage_by_hard_link, true },
    { "the stage becomes a FIFO", stage_by_fifo, false },
    { "the stage becomes another file", stage_by_file, false },
    { "the stage and the target become symbolic links", stage_and_target_by_symlink, false },
};

/* ---- what must not change --------------------------------------------------------------------------------------------------- */

static void add(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t length = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
}

/* Everything about the files outside. Changes of the inode that the attacker's own link makes are left out. */
static void describe(char *text, size_t size, bool links)
{
    struct dirent **entries;
    int count = scandir(outside, &entries, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const char *path = in(outside, entries[i]->d_name);
        struct stat file;
        char mark[64] = "", *content = read_file(path, NULL);
        if (strcmp(entries[i]->d_name, "..") && lstat(path, &file) == 0) {
            (void)!lgetxattr(path, "user.mark", mark, sizeof mark - 1);
            add(text, size, "%s %o %u %u %s %s %lld.%ld", entries[i]->d_name, file.st_mode, file.st_uid, file.st_gid, mark,
                S_ISREG(file.st_mode) ? content : "", (long long)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
            if (!links)
                add(text, size, " %lu %lld.%ld", (unsigned long)file.st_nlink, (long long)file.st_ctim.tv_sec,
                    file.st_ctim.tv_nsec);
            add(text, size, "\n");
        }
        free(content);
        free(entries[i]);
    }
    free(entries);
}

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *place)
{
    (void)file;
    (void)type;
    (void)(place->level && remove(path)); /* all but the root itself; what another process has removed is gone as well */
    return 0;
}

static void remove_below(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void lay_out(void)
{
    remove_below();
    cr_assert(mkdir(yard, 0777) == 0 && chmod(yard, 0777) == 0 && chown(yard, ATTACKER, ATTACKER) == 0);
    cr_assert(mkdir(outside, 0755) == 0);
    write_file(in(yard, "app"), "old", 0755);
    cr_assert_eq(chown(in(yard, "app"), ATTACKER, ATTACKER), 0);
    write_file(in(outside, "victim"), "precious", 0640);
    write_file(in(outside, "app"), "precious as well", 0600);
    cr_assert_eq(chown(in(outside, "victim"), 1, 1), 0);
    (void)!setxattr(in(outside, "victim"), "user.mark", "kept", 4, 0);
}

static void enter(void)
{
    const char *base = getenv("TMPDIR");
    if (geteuid() != 0)
        cr_skip_test("needs root");
    snprintf(root, sizeof root, "%s/etxtbsy-hostile-XXXXXX", base ? base : "/tmp");
    cr_assert(mkdtemp(root));
    chmod(root, 0777);
    snprintf(yard, sizeof yard, "%s/yard", root);
    snprintf(outside, sizeof outside, "%s/outside", root);
    lay_out();
}

static void leave(void)
{
    remove_below();
    rmdir(root);
}

TestSuite(hostile, .init = enter, .fini = leave, .timeout = 300);

/* ---- before every system call ----------------------------------------------------------------------------------------------- */

static unsigned calls, strikes_at;
static void (*strike)(void);
static bool is_predictable; /* the random part of a stage's name */

static long watched_call(long number, long a, long b, long c, long d, long e, long f)
{
    if (++calls == strikes_at)
        strike();
    if (is_predictable && number == SYS_getrandom) {
        memset((void *)a, 0x5a, (size_t)b);
        return b;
    }
    return syscall(number, a, b, c, d, e, f);
}

static struct stage_target target;
static struct stage_report report;

/* One redirect from the moment that its target is known; what fails is the attacker's success in annoying, and no more. */
static void redirect_resolved(int64_t keep)
{
    struct stage_request request = {
        .target = &target, .kind = STAGE_OF_IDLE, .flags = O_WRONLY | (keep ? 0 : O_TRUNC), .keep = keep, .op = "open"
    };
    struct stage_generation generation = { .wanted = 1 };
    struct stage_release release;
    const char *reason;
    request.generation = &generation;
    calls = 0;
    sys_entry = watched_call;
    int fd = stage_create(&request, &reason);
    if (fd >= 0) {
        (void)!write(fd, "the new content", 15);
        bool is = stage_release_begin(&release, fd);
        close(fd);
        report.generation.wanted = 1;
        if (is && stage_release_end(&release, &report) == STAGE_READY)
            stage_commit(&release, STAGE_SYNC_FULL, &report);
        else if (is)
            stage_release_finish(&release);
    }
}

static void redirect(int64_t keep)
{
    sys_entry = (sys_function *)syscall;
    if (stage_resolve(&target, AT_FDCWD, in(yard, "app"), 0, 0) < 0)
        _exit(3);
    redirect_resolved(keep);
}

/* In a child, so that each starts from nothing. Returns how many system calls it made, or -1 when it didn't come to its end. */
static int redirect_apart(int64_t keep, unsigned at, void (*attack)(void))
{
    int status, ends[2];
    unsigned made = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(20); /* a FIFO that is opened keeps one for ever */
        strikes_at = at;
        strike = attack;
        redirect(keep);
        _exit(write(ends[1], &calls, sizeof calls) == sizeof calls ? 0 : 1);
    }
    close(ends[1]);
    bool ended = read(ends[0], &made, sizeof made) == sizeof made;
    close(ends[0]);
    return waitpid(pid, &status, 0) == pid && ended && status == 0 ? (int)made : -1;
}

static unsigned step(void)
{
    const char *given = getenv("ETXTBSY_HOSTILE_STEP");
    return given ? (unsigned)atoi(given) : 8;
}

static unsigned walk(const struct attack *attack, int64_t keep, unsigned first)
{
    static char before[1 << 14], after[1 << 14];
    unsigned points = 0;
    for (unsigned at = first;; at += step()) {
        lay_out();
        describe(before, sizeof before, attack->links);
        int made = redirect_apart(keep, at, attack->happens);
        describe(after, sizeof after, attack->links);
        cr_expect_gt(made, 0, "%s, before call %u: it doesn't come to its end", attack->name, at);
        cr_expect_str_eq(after, before, "%s, before call %u", attack->name, at);
        if (made < (int)at)
            return points;
        points++;
    }
}

Test(hostile, the_outside_is_out_of_reach_before_every_system_call)
{
    static char before[1 << 14], after[1 << 14];
    unsigned points = 0;
    lay_out();
    describe(before, sizeof before, false);
    target_by_symlink();
    write_file(in(yard, "app"), "in place", 0600);
    describe(after, sizeof after, false);
    cr_assert_str_neq(after, before, "a change outside isn't noticed");

    lay_out();
    int made = redirect_apart(0, 0, NULL);
    char *content = read_file(in(yard, "app"), NULL);
    cr_assert_gt(made, 30, "%d calls", made);
    cr_assert_str_eq(content, "the new content", "there is nothing to attack: %s", content);
    for (size_t i = 0; i < COUNT(attacks); i++)
        for (int keeps = 0; keeps < 2; keeps++)
            points += walk(&attacks[i], keeps ? STAGE_KEEP_ALL : 0, 1 + (unsigned)i % step());
    printf("hostile: %zu attacks, %u points\n", COUNT(attacks), points);
}

/* ---- a name that is known before -------------------------------------------------------------------------------------------- */

static char expected_name[PATH_MAX];

static void note_name(void)
{
    find_stage(expected_name);
}

/* Twice in one process with the same random number: what the second stage will be called has been made by the attacker. */
static void redirect_to_a_known_name(void (*premake)(void))
{
    is_predictable = true;
    strike = note_name;
    for (strikes_at = 1; !*expected_name && strikes_at < 200; strikes_at++) {
        strike = note_name;
        redirect(0);
    }
    strikes_at = 0;
    if (!*expected_name)
        _exit(4);
    premake();
    redirect(0);
    _exit(0);
}

static void premake_symlink(void)
{
    (void)!symlink(in(outside, "victim"), expected_name);
}

static void premake_dangling_symlink(void)
{
    (void)!symlink(in(outside, "new"), expected_name);
}

static void premake_hard_link(void)
{
    (void)!link(in(outside, "victim"), expected_name);
}

static void premake_fifo(void)
{
    (void)!mkfifo(expected_name, 0666);
}

static void premake_file(void)
{
    write_file(expected_name, "the attacker's", 0666);
}

Test(hostile, a_stage_is_never_something_that_was_there)
{
    static const struct attack premade[] = {
        { "a symbolic link", premake_symlink, false },
        { "a symbolic link to a file that isn't there", premake_dangling_symlink, false },
        { "a hard link", premake_hard_link, true },
        { "a FIFO", premake_fifo, false },
        { "a file", premake_file, false },
    };
    static char before[1 << 14], after[1 << 14];
    for (size_t i = 0; i < COUNT(premade); i++) {
        int status;
        lay_out();
        describe(before, sizeof before, premade[i].links);
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            alarm(60);
            redirect_to_a_known_name(premade[i].happens);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect_eq(status, 0, "%s: status %d", premade[i].name, status);
        describe(after, sizeof after, premade[i].links);
        cr_expect_str_eq(after, before, "%s", premade[i].name);
        char *content = read_file(in(yard, "app"), NULL);
        cr_expect_str_eq(content, "the new content", "%s: %s", premade[i].name, content);
        free(content);
    }
}

/* ---- at any moment ---------------------------------------------------------------------------------------------------------- */

/* What somebody who isn't root can do, in a loop; and the way back. */
static void attack_for_ever(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setresgid(ATTACKER, ATTACKER, ATTACKER) || setresuid(ATTACKER, ATTACKER, ATTACKER))
        _exit(1);
    umask(0);
    for (unsigned round = 0;; round++) {
        attacks[round % COUNT(attacks)].happens();
        usleep(round * 37 % 400);
        (void)!unlink(yard); /* if it is a symbolic link */
        if (rename(in(root, "away"), yard) < 0 && errno != ENOENT) {
            (void)!unlink(in(yard, "app"));
            (void)!rmdir(yard);
            (void)!rename(in(root, "away"), yard);
        }
        (void)!unlink(in(yard, "other"));
        (void)!rmdir(in(yard, "app"));
        write_file(in(yard, "other"), "old", 0755);
        swap_target("other");
    }
}

Test(hostile, the_outside_is_out_of_reach_at_any_moment)
{
    static char before[1 << 14], after[1 << 14];
    const unsigned rounds = step() == 1 ? 5000 : 500;
    unsigned made = 0, elsewhere = 0, gone = 0;
    char real_yard[PATH_MAX];
    cr_assert(realpath(root, real_yard));
    strcat(real_yard, "/yard/");
    cr_assert_eq(chown(in(yard, "app"), ATTACKER, ATTACKER), 0);
    describe(before, sizeof before, true);
    pid_t attacker = fork();
    if (attacker == 0)
        attack_for_ever();
    for (unsigned round = 0; round < rounds; round++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            alarm(20);
            /* A link that was there when the name was looked up is followed, as always. */
            if (stage_resolve(&target, AT_FDCWD, in(yard, "app"), 0, 0) < 0 || !S_ISREG(target.file.stx_mode))
                _exit(3);
            if (strncmp(target.path, real_yard, strlen(real_yard)) != 0)
                _exit(4);
            redirect_resolved(round % 2 ? STAGE_KEEP_ALL : 0);
            _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFEXITED(status), "round %u: signal %d", round, WTERMSIG(status));
        made += status_code(status) == 0;
        gone += status_code(status) == 3;
        elsewhere += status_code(status) == 4;
    }
    stop(attacker);
    describe(after, sizeof after, true);
    cr_expect_str_eq(after, before);
    cr_expect_gt(made, rounds / 20, "only %u of %u were begun", made, rounds);
    printf("hostile: %u redirects beside an attacker, %u times there was no file, %u times a link led elsewhere\n", made, gone,
           elsewhere);
}

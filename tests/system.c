/*
 * The library in /etc/ld.so.preload, where set-id programs get it, too: in a mount namespace with an /etc of its own. Needs root.
 * `make prove-system` does the same with a whole installation of Debian.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define NOBODY 65534
#define FORGED ".target.etxtbsy-%d-012345678000"

static struct place place;
static char victim[PATH_MAX], tame[PATH_MAX], evil[PATH_MAX], library[PATH_MAX];

enum everywhere { PLAIN, PRELOADED };

static void shell(const char *format, const char *a, const char *b)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, format, a, b);
    cr_assert_eq(system(command), 0, "%s", command);
}

/* Ends as 77 where such a namespace can't be had. */
static void enter_namespace(enum everywhere how)
{
    char layers[PATH_MAX];
    snprintf(layers, sizeof layers, "lowerdir=%s/etc-%d:/etc", place.root, how);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("overlay", "/etc", "overlay", MS_RDONLY, layers))
        _exit(77);
}

static int run_everywhere(enum everywhere how, uid_t uid, char *const environment[], const char *const argv[])
{
    int status;
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY), out = open(place.out, O_WRONLY | O_CREAT | O_TRUNC, 0666),
            err = open(place.err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        enter_namespace(how);
        if (dup2(null, 0) || dup2(out, 1) != 1 || dup2(err, 2) != 2 || chdir(place.directory))
            _exit(126);
        close_range(3, 49, 0); /* the test runner's own; 50 is what a test passes on */
        if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
            _exit(126);
        execve(argv[0], (char *const *)argv, environment);
        _exit(127);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status_code(status);
}

static char *hostile[] = { (char *)"PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL, NULL, NULL, NULL, NULL, NULL, NULL };

static void begin(void)
{
    struct statvfs file_system;
    if (geteuid() != 0)
        cr_skip_test("needs root");
    place_make(&place);
    if (statvfs(place.root, &file_system) || file_system.f_flag & ST_NOSUID) {
        place_remove(&place);
        cr_skip_test("the file system knows no set-id programs");
    }
    snprintf(library, sizeof library, "%s/libetxtbsy.so", place.root);
    snprintf(victim, sizeof victim, "%s/setid", place.root);
    snprintf(tame, sizeof tame, "%s/tame", place.root);
    snprintf(evil, sizeof evil, "%s/evil", place.root);
    shell("cp %s %s", LIBRARY, library);
    shell("cp %s %s", BUILD_DIR "/tests/setid", victim);
    shell("cp %s %s", victim, tame);
    shell("chmod 4755 %s; chmod 755 %s", victim, library);
    shell("mkdir %s/etc-0 %s/etc-1", place.root, place.root);
    shell("echo %s > %s/etc-1/ld.so.preload", library, place.root);
    shell(": > %s/etc-0/ld.so.preload; : > %s/etc-0/etxtbsy.conf", place.root, place.root);
    shell(": > %s/etc-1/etxtbsy.conf%s", place.root, "");
    shell("chown -R 65534:65534 %s%s", place.directory, "");

    /* What whoever starts a set-id program may set: a log and a configuration, where only the victim can write. */
    static char log[PATH_MAX], configuration[PATH_MAX];
    char path[PATH_MAX], text[PATH_MAX];
    snprintf(path, sizeof path, "%s/hostile.conf", place.directory);
    snprintf(text, sizeof text, "log = %s.log\n[write]\naction = atomic\n", evil);
    write_file(path, text, 0644);
    snprintf(log, sizeof log, "ETXTBSY_LOG=%s", evil);
    snprintf(configuration, sizeof configuration, "ETXTBSY_CONF=%s", path);
    hostile[1] = log;
    hostile[2] = configuration;
    hostile[3] = (char *)"ETXTBSY_LINE={\"a\":\" hostile \"}\n";
    hostile[4] = (char *)"ETXTBSY_WRITE=atomic";
    if (run_everywhere(PRELOADED, 0, hostile, (const char *const[]){ "/bin/true", NULL }) == 77) {
        place_remove(&place);
        cr_skip_test("there is no mount namespace to be had");
    }
    shell("rm -f %s %s.log", evil, evil); /* root itself may have them */
}

static void finish(void)
{
    place_remove(&place);
}

TestSuite(system, .init = begin, .fini = finish, .timeout = 120);

static void expect_nothing_evil(const char *what)
{
    char path[PATH_MAX + 8];
    char *out = read_file(place.out, NULL), *err = read_file(place.err, NULL);
    snprintf(path, sizeof path, "%s.log", evil);
    cr_expect_neq(access(evil, F_OK), 0, "%s: a log that the environment names", what);
    cr_expect_neq(access(path, F_OK), 0, "%s: a log that the environment's configuration names", what);
    cr_expect_null(strstr(err, "hostile"), "%s: a line from the environment: %s", what, err);
    cr_expect_null(strstr(out, "hostile"), "%s: %s", what, out);
    free(out);
    free(err);
}

Test(system, a_set_id_program_takes_no_log_and_no_configuration)
{
    /* The set-up works: a program that isn't set-id does as it is told. */
    const char *const plain[] = { tame, "end", NULL };
    char *log;
    shell("touch %s; chmod 666 %s", evil, evil);
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, plain), 0);
    log = read_file(evil, NULL);
    cr_expect_not_null(strstr(log, "hostile"));
    shell("rm -f %s%s", evil, "");

    const char *const end[] = { victim, "end", NULL };
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, end), 0);
    char *out = read_file(place.out, NULL);
    cr_assert_str_eq(out, "secure\n", "not set-id: %s", out);
    expect_nothing_evil("at its start");

    run_busy(place.target);
    const char *const write[] = { victim, "write", place.target, NULL };
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, write), 0);
    expect_nothing_evil("writing");
    char *content = read_file(place.target, NULL), *err = read_file(place.err, NULL);
    cr_expect_str_eq(content, "written");
    cr_expect_not_null(strstr(err, "\"rule\":\"built-in\""), "the library isn't there: %s", err);
    cr_expect_eq(litter_count(&place), 0);
}

Test(system, what_a_set_id_program_starts_takes_nothing_either)
{
    const char *const show[] = { victim, "start", "/usr/bin/env", NULL };
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, show), 0);
    char *out = read_file(place.out, NULL);
    cr_expect_not_null(strstr(out, "PATH="));
    cr_expect_null(strstr(out, "ETXTBSY"), "%s", out);
    expect_nothing_evil("in a program that it starts");

    run_busy(place.target);
    const char *const copy[] = { victim, "start", "/bin/cp", place.new, place.target, NULL };
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, copy), 0);
    cr_expect(same_content(place.new, place.target));
    expect_nothing_evil("in a program that it starts, which writes");
}

/* A file with a stage's name, in its directory, as a descriptor: the program that isn't set-id finishes it. */
static void expect_adoption(const char *program, bool adopts)
{
    char stage[PATH_MAX];
    place_reset_files(&place);
    snprintf(stage, sizeof stage, "%s/" FORGED, place.directory, 99999999);
    write_file(stage, "forged", 0755);
    shell("chown -R 65534:65534 %s%s", place.directory, "");
    int fd = open(stage, O_RDWR | O_CLOEXEC);
    cr_assert_eq(dup2(fd, 50), 50);
    close(fd);
    hostile[5] = (char *)"ETXTBSY_STAGES=1";
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, (const char *const[]){ program, "end", NULL }), 0);
    close(50);
    char *content = read_file(place.target, NULL);
    cr_expect_eq(!strcmp(content, "forged"), adopts, "%s: %.6s", program, content);
    free(content);
}

Test(system, a_set_id_program_adopts_no_stage)
{
    expect_adoption(tame, true);
    expect_adoption(victim, false);
}

/* Writes to a file that nobody executes: who asks for it by the environment gets a new file in place of the old, and keeps that
 * one. */
static void expect_stage(const char *program, bool stages)
{
    struct stat before, after;
    place_reset_files(&place);
    shell("chown -R 65534:65534 %s%s", place.directory, "");
    cr_assert_eq(stat(place.target, &before), 0);
    hostile[5] = (char *)"ETXTBSY_TRUNCATE=atomic";
    hostile[6] = (char *)"ETXTBSY_KEEP=3";
    cr_expect_eq(run_everywhere(PRELOADED, NOBODY, hostile, (const char *const[]){ program, "write", place.target, NULL }), 0);
    cr_assert_eq(stat(place.target, &after), 0);
    char *content = read_file(place.target, NULL);
    cr_expect_str_eq(content, "written", "%s", program);
    cr_expect_eq(after.st_ino != before.st_ino, stages, "%s: another file", program);
    cr_expect_eq(litter_count(&place), stages, "%s: the old one", program);
    free(content);
}

Test(system, a_set_id_program_stages_nothing_that_the_environment_asks_for)
{
    expect_stage(tame, true);
    expect_stage(victim, false);
    expect_nothing_evil("writing to an idle file");
}

/* ---- as without ---- */

Test(system, programs_do_and_say_the_same)
{
    static const char *const commands[] = {
        "echo a > f; cat f; (exit 3); echo $?; wc -l < f",
        "su nobody -s /bin/sh -c 'id -un; echo $HOME'",
        "passwd -S root; chage -l root | head -n 1; getent passwd nobody",
        "echo 'int main(){return 7;}' > m.c && cc -o m m.c && ./m; echo $?; rm -f m m.c",
        "python3 -c 'import subprocess; print(subprocess.run([\"echo\", \"x\"])); open(\"g\", \"w\").write(\"y\")'",
        "perl -e 'open(F, \">h\"); print F 1; close F; system(\"cat h\"); exit 4'; echo $?",
        "mkdir -p jobs && printf '#!/bin/sh\\necho job\\n' > jobs/daily && chmod +x jobs/daily && run-parts jobs",
        "tar cf t.tar f && tar tf t.tar; dpkg --version | head -n 1; env -i /bin/echo empty",
        "test -d /etc && ls /etc | grep -c .; cat /nowhere; kill -9 $$",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char *const environment[] = { (char *)"PATH=/usr/bin:/bin:/usr/sbin:/sbin", (char *)"HOME=/", NULL };
        const char *const argv[] = { "/bin/sh", "-c", commands[i], NULL };
        char *out[2], *err[2], *tree[2];
        int status[2];
        for (int how = PLAIN; how <= PRELOADED; how++) {
            place_reset_files(&place);
            status[how] = run_everywhere((enum everywhere)how, 0, environment, argv);
            out[how] = read_file(place.out, NULL);
            err[how] = read_file(place.err, NULL);
            shell("rm -f %s/*.tar%s", place.directory, "");
            tree[how] = tree_text(place.directory);
        }
        cr_expect_eq(status[1], status[0], "%s: status %d instead of %d", commands[i], status[1], status[0]);
        cr_expect_str_eq(out[1], out[0], "%s", commands[i]);
        cr_expect_str_eq(err[1], err[0], "%s", commands[i]);
        cr_expect_str_eq(tree[1], tree[0], "%s", commands[i]);
    }
}

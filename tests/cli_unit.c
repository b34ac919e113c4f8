/*
 * `etxtbsy enable`, `disable` and `status`, as an administrator meets them: on the file system of an image (--root), for a user's
 * own services, and with a service manager that is played by a script. A real one is in scripts/prove_systemd.sh.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static char root[64], out[128];

/* An image with two services, a template, and what else a unit may be. */
static void make_root(void)
{
    strcpy(root, "/tmp/etxtbsy-units-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    snprintf(out, sizeof out, "%s.out", root);
    setenv("R", root, 1);
    setenv("UNITS", "etc/systemd/system", 1);
    setenv("E", BUILD_DIR "/etxtbsy", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_RUNTIME_DIR");
    cr_assert_eq(system("mkdir -p $R/$UNITS $R/usr/lib/systemd/system $R/run/systemd/generator && cd $R/$UNITS && touch "
                        "app.service other.service && "
                        "touch $R/usr/lib/systemd/system/worker@.service $R/run/systemd/generator/made.service && ln -s /usr/lib/x "
                        "alias.service"),
                 0);
    cr_assert_eq(chdir(root), 0);
}

static void remove_root(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s", root, out);
    cr_assert_eq(system(command), 0);
}

TestSuite(units, .init = make_root, .fini = remove_root);

static int sh(const char *format, ...)
{
    char command[4096], line[4300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "exec >%s 2>&1 </dev/null\n%s", out, command);
    return status_code(system(line));
}

static const char *said(void)
{
    return read_file(out, NULL);
}

#define EXPECT_STATUS(status, ...) cr_expect_eq(sh(__VA_ARGS__), status, "said: %s", said())
#define EXPECT_SAID(part) cr_expect_not_null(strstr(said(), part), "no \"%s\" in: %s", part, said())
#define EXPECT_NOT_SAID(part) cr_expect_null(strstr(said(), part), "\"%s\" in: %s", part, said())
#define DROP_IN "$R/$UNITS/app.service.d/etxtbsy.conf"

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

#define APP_DROP_IN "etc/systemd/system/app.service.d/etxtbsy.conf"

Test(units, enable_writes_a_drop_in_and_disable_takes_it_away)
{
    char *before = tree_text(root);
    EXPECT_STATUS(0, "$E enable --root $R app");
    EXPECT_SAID("wrote ");
    EXPECT_SAID(APP_DROP_IN);
    char *text = read_file(APP_DROP_IN, NULL);
    cr_expect_not_null(strstr(text, "\n[Service]\nEnvironment=\"LD_PRELOAD="), "%s", text);
    cr_expect_not_null(strstr(text, "/$LIB/libetxtbsy.so\"\n"), "%s", text);
    EXPECT_STATUS(0, "stat -c %%a " DROP_IN);
    EXPECT_SAID("644");
    EXPECT_STATUS(0, "$E disable --root $R app.service");
    EXPECT_SAID("removed ");
    cr_expect_str_eq(tree_text(root), before);
}

Test(units, both_may_be_repeated)
{
    EXPECT_STATUS(0, "$E enable -R $R app && stat -c '%%i %%Z' " DROP_IN " >first && $E enable -R $R app");
    EXPECT_SAID("app.service is enabled already");
    EXPECT_STATUS(0, "stat -c '%%i %%Z' " DROP_IN " | cmp - first");
    EXPECT_STATUS(0, "$E disable -R $R app && $E disable -R $R app");
    EXPECT_SAID("app.service is not enabled");
}

Test(units, dry_run_changes_nothing)
{
    char *before = tree_text(root);
    EXPECT_STATUS(0, "$E enable -n -R $R app other");
    EXPECT_SAID("would write");
    EXPECT_SAID("other.service.d/etxtbsy.conf");
    EXPECT_SAID("LD_PRELOAD=");
    cr_expect_str_eq(tree_text(root), before);
    EXPECT_STATUS(0, "$E enable -R $R app");
    before = tree_text(root);
    EXPECT_STATUS(0, "$E disable --dry-run -R $R app");
    EXPECT_SAID("would remove");
    EXPECT_STATUS(0, "$E disable --dry-run --all -R $R");
    EXPECT_SAID("would remove");
    cr_expect_str_eq(tree_text(root), before);
}

/* What somebody else wrote or changed: every byte counts, and what is there need not be a file. */
Test(units, what_it_did_not_write_is_left_alone)
{
    static const char *const makes[] = {
        "echo '[Service]' >" DROP_IN,
        "$E enable -R $R app && echo >>" DROP_IN,
        "$E enable -R $R app && sed -i 's/LIB/lib/' " DROP_IN,
        "$E enable -R $R app && sed -i '1s/it/IT/' " DROP_IN,
        "$E enable -R $R app && printf '\\0' >>" DROP_IN,
        ": >" DROP_IN,
        "ln -s /dev/null " DROP_IN,
        "$E enable -R $R other && ln -s ../other.service.d/etxtbsy.conf " DROP_IN,
        "mkfifo " DROP_IN,
        "mkdir " DROP_IN,
        "$E enable -R $R other && rm -rf $R/$UNITS/app.service.d && ln -s other.service.d $R/$UNITS/app.service.d",
        "head -c 100000 /dev/zero >" DROP_IN,
    };
    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        cr_assert_eq(sh("rm -rf $R/$UNITS/*.d && mkdir $R/$UNITS/app.service.d && %s", makes[i]), 0, "%s", said());
        char *before = tree_text(root);
        EXPECT_STATUS(1, "timeout 10 $E enable -R $R app");
        EXPECT_SAID("stays as it is");
        EXPECT_STATUS(1, "timeout 10 $E disable -R $R app");
        EXPECT_SAID("stays as it is");
        EXPECT_STATUS(1, "timeout 10 $E status -R $R app");
        EXPECT_SAID("foreign");
        cr_expect_str_eq(tree_text(root), before, "%s", makes[i]);
    }
}

Test(units, a_directory_with_more_in_it_stays)
{
    EXPECT_STATUS(
        0,
        "mkdir $R/$UNITS/app.service.d && touch $R/$UNITS/app.service.d/mine.conf && $E enable -R $R app && $E disable -R $R app");
    cr_expect(is_there("etc/systemd/system/app.service.d/mine.conf"));
    cr_expect(!is_there(APP_DROP_IN));
}

/* The library has moved: what an earlier version wrote is known by its sum, and is written anew. */
Test(units, a_drop_in_for_another_place_is_renewed)
{
    static const char rest[] = "[Service]\nEnvironment=\"LD_PRELOAD=/old/libetxtbsy.so\"\n";
    char text[512];
    uint64_t sum = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *at = rest; *at; at++)
        sum = (sum ^ (unsigned char)*at) * 0x100000001b3;
    snprintf(text, sizeof text,
             "# Written by `etxtbsy enable` (%016jx). `etxtbsy disable` removes it; once it is edited, both leave it alone.\n%s",
             (uintmax_t)sum, rest);
    cr_assert_eq(mkdir("etc/systemd/system/app.service.d", 0755), 0);
    write_file(APP_DROP_IN, text, 0644);
    EXPECT_STATUS(0, "$E status -R $R app");
    EXPECT_STATUS(0, "$E enable -R $R app && grep 'LIB' " DROP_IN " && ! grep old " DROP_IN);
    EXPECT_STATUS(0, "ls -A $R/$UNITS/app.service.d");
    cr_expect_str_eq(said(), "etxtbsy.conf\n");
}

Test(units, runtime_goes_with_the_boot)
{
    EXPECT_STATUS(0, "$E enable --runtime -R $R app && $E status -R $R app");
    EXPECT_SAID("runtime");
    cr_expect(is_there("run/systemd/system/app.service.d/etxtbsy.conf"));
    cr_expect(!is_there(APP_DROP_IN));
    EXPECT_STATUS(0, "$E enable -R $R app && $E disable --runtime -R $R app && $E status -R $R app");
    EXPECT_SAID("enabled");
    cr_expect(!is_there("run/systemd/system/app.service.d"));
    EXPECT_STATUS(0, "$E enable --runtime -R $R app && $E disable -R $R app");
    cr_expect(!is_there("run/systemd/system/app.service.d"));
    cr_expect(!is_there(APP_DROP_IN));
}

Test(units, templates_and_their_instances)
{
    EXPECT_STATUS(0, "$E enable -R $R worker@ worker@one 'worker@a-b\\x2dc.service' && ls $R/$UNITS");
    EXPECT_SAID("worker@.service.d\n");
    EXPECT_SAID("worker@one.service.d\n");
    EXPECT_SAID("worker@a-b\\x2dc.service.d\n");
    EXPECT_STATUS(1, "$E enable -R $R nobody@one");
    EXPECT_SAID("there is no such unit");
}

Test(units, names_are_looked_at)
{
    static const char *const bad[] = {
        "../app",   "a/b",        "/srv/app",         "", "@", "@x", "a b", "app;", "caf\xc3\xa9", "a*",
        ".service", "app.socket", "multi-user.target"
    };
    char *before = tree_text(root);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT_STATUS(2, "$E enable -R $R '%s'", bad[i]);
        EXPECT_STATUS(2, "$E disable -R $R '%s'", bad[i]);
        EXPECT_STATUS(2, "$E status -R $R '%s'", bad[i]);
    }
    EXPECT_STATUS(2, "$E enable -R $R $(printf '%%0250d' 0)");
    EXPECT_SAID("255");
    EXPECT_STATUS(2, "$E enable -R $R \"$(printf 'a\\033[31m')\"");
    EXPECT_SAID("a\\x1b[31m");
    EXPECT_STATUS(1, "$E enable -R $R typo");
    EXPECT_SAID("typo.service: there is no such unit; `systemctl list-unit-files` lists those that there are");
    cr_expect_str_eq(tree_text(root), before);
    /* One that is wrong doesn't keep the others from it. */
    EXPECT_STATUS(1, "$E enable -R $R typo app made alias");
    cr_expect(is_there(APP_DROP_IN));
    EXPECT_STATUS(0, "$E status -R $R app made alias");
}

Test(units, usage)
{
    EXPECT_STATUS(2, "$E enable");
    EXPECT_SAID("enable wants the name of a service");
    EXPECT_STATUS(2, "$E disable -R $R");
    EXPECT_SAID("--all");
    EXPECT_STATUS(2, "$E disable -R $R --all app");
    EXPECT_STATUS(2, "$E enable -R $R --all");
    EXPECT_STATUS(2, "$E enable --user --root $R app");
    EXPECT_SAID("exclude");
    EXPECT_STATUS(2, "$E status --frob");
    EXPECT_STATUS(0, "$E enable --help && $E disable --help && $E status --help");
    EXPECT_SAID("usage: etxtbsy status");
    EXPECT_STATUS(2, "env -u HOME $E enable --user app; env -u HOME $E disable --user app");
    EXPECT_SAID("HOME isn't set");
}

Test(units, status_of_all)
{
    EXPECT_STATUS(0, "$E status -R $R");
    EXPECT_SAID("no service is enabled");
    EXPECT_STATUS(0, "$E enable -R $R other app && $E enable -r -R $R app worker@x");
    EXPECT_STATUS(0, "$E status -R $R");
    const char *text = said();
    cr_expect_lt(strstr(text, "app.service"), strstr(text, "other.service"));
    cr_expect_null(strstr(strstr(text, "app.service") + 1, "app.service"), "%s", text);
    EXPECT_SAID("worker@x.service                 runtime   unknown\n");
    EXPECT_STATUS(0, "$E status --json -R $R");
    struct json_object *array = json_tokener_parse(said());
    cr_assert(json_object_is_type(array, json_type_array), "%s", said());
    cr_expect_eq(json_object_array_length(array), 3);
    cr_expect_str_eq(line_string(json_object_array_get_idx(array, 1), "unit"), "other.service");
    cr_expect_str_eq(line_string(json_object_array_get_idx(array, 1), "state"), "enabled");
    EXPECT_STATUS(1, "$E status -R $R made");
    EXPECT_SAID("disabled");
    EXPECT_STATUS(0, "$E status -R $R --json /nowhere; $E disable --all -R $R && $E status --json -R $R");
    EXPECT_SAID("[]");
    cr_expect(!is_there(APP_DROP_IN));
}

Test(units, what_cannot_be_written_is_said)
{
    if (geteuid() != 0) {
        EXPECT_STATUS(2, "chmod 555 $R/$UNITS; $E enable -R $R app");
        EXPECT_SAID("Permission denied");
        EXPECT_SAID("--user is for your own");
        EXPECT_STATUS(0, "chmod 755 $R/$UNITS");
    }
    EXPECT_STATUS(0, "(trap '' XFSZ; ulimit -f 0; exec $E enable -R $R app 2>&1) | cat");
    EXPECT_SAID(APP_DROP_IN ": File too large");
    EXPECT_STATUS(0, "ls -A $R/$UNITS/app.service.d");
    cr_expect_str_empty(said(), "left: %s", said());
    EXPECT_STATUS(1, "LD_PRELOAD= $E enable nosuchunit.service");
}

/*
 * A service manager that answers from files: `systemctl` on PATH, which notes what it was asked, and the sign that a user's one
 * runs.
 */
static void play_manager(void)
{
    setenv("HOME", root, 1);
    setenv("XDG_RUNTIME_DIR", root, 1);
    cr_assert_eq(
        sh("mkdir -p bin systemd .config/systemd/user && touch systemd/private .config/systemd/user/app.service && "
           "printf '#!/bin/sh\\necho \"$*\" >>%s/asked\\ncase $* in *MainPID*) cat %s/pid ;; *Environment*) cat %s/environment ;; "
           "*daemon-reload*) exit $(cat %s/reload) ;; esac\\n' >bin/systemctl && chmod 755 bin/systemctl && "
           "echo 0 >pid && echo 0 >reload && echo >environment && : >asked",
           root, root, root, root),
        0, "%s", said());
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/bin:%s", root, getenv("PATH"));
    setenv("PATH", path, 1);
}

Test(units, the_manager_is_told_of_changes_only)
{
    play_manager();
    EXPECT_STATUS(0, "$E enable --user -n app && ! grep reload asked");
    EXPECT_STATUS(0, "$E enable --user app");
    EXPECT_SAID("it counts when the service is restarted: systemctl --user restart UNIT");
    EXPECT_STATUS(0, "grep -c -- '--user daemon-reload' asked");
    cr_expect_str_eq(said(), "1\n");
    EXPECT_STATUS(
        0, "[ -e .config/systemd/user/app.service.d/etxtbsy.conf ] && : >asked && $E enable --user app && ! grep reload asked");
    EXPECT_STATUS(0, "$E enable --user --runtime app && [ -e systemd/user/app.service.d/etxtbsy.conf ]");
    EXPECT_STATUS(0, ": >asked && $E disable --user app && grep -c -- '--user daemon-reload' asked");
    EXPECT_SAID("\n1\n");
    EXPECT_STATUS(0, ": >asked && $E disable --user app && ! grep reload asked");
    EXPECT_STATUS(2, "echo 1 >reload; $E enable --user app");
    EXPECT_SAID("`systemctl --user daemon-reload` makes it");
}

Test(units, status_looks_at_the_process)
{
    play_manager();
    EXPECT_STATUS(0, "$E enable --user app && LD_PRELOAD=" LIBRARY
                     " sleep 60 & echo $! >loaded; sleep 60 & echo $! >plain; sleep 0.5");
    EXPECT_STATUS(0, "cp loaded pid && $E status --user app");
    EXPECT_SAID("enabled   loaded (");
    EXPECT_STATUS(1, "cp plain pid && $E status --user app");
    EXPECT_SAID("enabled   not-loaded (");
    EXPECT_STATUS(1, "$E status --user --json app");
    EXPECT_SAID("\"state\":\"enabled\",\"process\":\"not-loaded\",\"pid\":");
    EXPECT_STATUS(0, "kill $(cat loaded plain); echo 0 >pid; $E status --user app");
    EXPECT_SAID("enabled   stopped");
    EXPECT_STATUS(0, "echo nonsense >pid; $E status --user app");
    EXPECT_SAID("enabled   unknown");
}

Test(units, an_LD_PRELOAD_of_its_own_is_kept)
{
    play_manager();
    EXPECT_STATUS(1, "echo 'A=1 \"LD_PRELOAD=/usr/\\$LIB/jemalloc.so\" B=2' >environment; $E enable --user app");
    EXPECT_SAID("app.service sets LD_PRELOAD itself, to /usr/$LIB/jemalloc.so;");
    EXPECT_SAID("Environment=\"LD_PRELOAD=/usr/$LIB/jemalloc.so:/");
    EXPECT_STATUS(1, "echo LD_PRELOAD=/x.so >environment; $E enable --user app");
    EXPECT_SAID("LD_PRELOAD=/x.so:/");
    EXPECT_STATUS(1, "ls .config/systemd/user | grep app.service.d");
    EXPECT_STATUS(0, "echo 'NOT_LD_PRELOAD=/x.so' >environment; $E enable --user app");
}

/* systemd itself reads what is written, and the example in scripts/systemd. */
Test(units, systemd_analyze_verify)
{
    char missing[100];
    if (!have_programs("systemd-analyze", missing)) {
        fprintf(stderr, "skipped: there is no %s here\n", missing);
        cr_skip_test("no systemd-analyze");
    }
    cr_assert_eq(sh("printf '[Service]\\nExecStart=/bin/true\\n' | tee $R/$UNITS/app.service >$R/$UNITS/other.service && $E enable "
                    "-R $R app && "
                    "mkdir $R/$UNITS/other.service.d && cp " SOURCE_DIR "/scripts/systemd/etxtbsy.conf $R/$UNITS/other.service.d"),
                 0, "%s", said());
#define VERIFY                                                                                                                     \
    "SYSTEMD_UNIT_PATH=$R/$UNITS: systemd-analyze verify --recursive-errors=no $R/$UNITS/app.service $R/$UNITS/other.service"
    EXPECT_STATUS(0, VERIFY);
    EXPECT_NOT_SAID("etxtbsy.conf");
    /* It does look at drop-ins. */
    EXPECT_STATUS(0, "echo 'Environment=\"LD_PRELOAD=%%%%?' >>" DROP_IN "; " VERIFY "; true");
    EXPECT_SAID("app.service.d/etxtbsy.conf");
}

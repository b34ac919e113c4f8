/*
 * The record, on whole programs: who held the file, what was done about it, and whether it will happen again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static struct place place;

static void make(void)
{
    place_make(&place);
}

static void drop(void)
{
    place_remove(&place);
}

TestSuite(record, .init = make, .fini = drop, .timeout = 120);
TestSuite(journal, .init = make, .fini = drop, .timeout = 60);

static struct json_object *lines(void)
{
    return log_lines(&place);
}

static struct json_object *last_line(void)
{
    struct json_object *all = lines();
    size_t count = json_object_array_length(all);
    cr_assert_gt(count, 0, "nothing was logged");
    return json_object_array_get_idx(all, count - 1);
}

/* The first line with that outcome; the test fails when there is none. */
static struct json_object *line_with(const char *outcome)
{
    struct json_object *all = lines();
    for (size_t i = 0; i < json_object_array_length(all); i++)
        if (!strcmp(line_string(json_object_array_get_idx(all, i), "outcome"), outcome))
            return json_object_array_get_idx(all, i);
    cr_assert_fail("no %s in %s", outcome, json_object_to_json_string(all));
    return NULL;
}

static struct json_object *field(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    cr_assert(json_object_object_get_ex(object, name, &value), "no %s in %s", name, json_object_to_json_string(object));
    return value;
}

static bool has(struct json_object *object, const char *name)
{
    return json_object_object_get_ex(object, name, NULL);
}

static struct json_object *holder(struct json_object *line, pid_t pid)
{
    struct json_object *holders = field(line, "holders");
    for (size_t i = 0; i < json_object_array_length(holders); i++)
        if (line_number(json_object_array_get_idx(holders, i), "pid") == pid)
            return json_object_array_get_idx(holders, i);
    cr_assert_fail("process %d isn't named in %s", pid, json_object_to_json_string(line));
    return NULL;
}

static void expect_verdict(struct json_object *line, const char *outcome, const char *verdict)
{
    cr_expect_str_eq(line_string(line, "outcome"), outcome, "%s", json_object_to_json_string(line));
    cr_expect_str_eq(line_string(line, "verdict"), verdict, "%s", json_object_to_json_string(line));
}

static int shell(const char *environment, const char *command)
{
    return status_code(run_shell(&place, WITH_SHIM, environment, command));
}

/* Seconds since 1970 of a stamp in a line. */
static time_t seconds_of(const char *stamp)
{
    struct tm utc = { 0 };
    cr_assert_not_null(strptime(stamp, "%Y-%m-%dT%H:%M:%S", &utc), "%s", stamp);
    return timegm(&utc);
}

/* ---- holders ------------------------------------------------------------------------------------------------------------------
 */

Test(record, names_who_runs_the_old_version_after_a_redirect)
{
    pid_t first = run_busy(place.target), second = run_busy(place.target);
    cr_expect_eq(shell(NULL, "cp $NEW $TARGET"), 0);
    struct json_object *line = last_line();
    expect_verdict(line, "replaced", "replaced");
    cr_expect_eq(json_object_array_length(field(line, "holders")), 2);
    struct json_object *one = holder(line, first);
    char expected[PATH_MAX];
    snprintf(expected, sizeof expected, "%s (deleted)", place.target);
    cr_expect_str_eq(line_string(one, "exe"), expected);
    cr_expect_str_eq(line_string(one, "comm"), "target");
    cr_expect_str_eq(line_string(one, "how"), "exec");
    cr_expect_eq(line_number(one, "uid"), geteuid());
    cr_expect_not(has(one, "fd"));
    cr_expect_not(has(one, "cmdline"), "command lines may carry secrets");
    time_t age = time(NULL) - seconds_of(line_string(one, "started"));
    cr_expect(age >= 0 && age < 30, "%ld s old", (long)age);
    holder(line, second);
    char named[64];
    snprintf(named, sizeof named, "held by target (pid %d) and 1 more", second);
    cr_expect_not_null(strstr(line_string(line, "message"), named), "%s", line_string(line, "message"));
}

Test(record, names_who_writes_when_a_start_has_to_wait)
{
    pid_t writer = hold_until_tried(place.target, 400);
    cr_expect_eq(shell(NULL, "$TARGET x"), 0);
    struct json_object *line = last_line();
    expect_verdict(line, "succeeded", "transient");
    struct json_object *one = holder(line, writer);
    cr_expect_str_eq(line_string(one, "how"), "write");
    cr_expect_geq(line_number(one, "fd"), 3);
}

Test(record, names_who_maps)
{
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(place.target, O_RDWR);
        void *mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (mapping == MAP_FAILED || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    /* Mappings are looked at last, and on a machine that has much of them the time for that may be over. */
    struct json_object *line;
    int tries = 0;
    do {
        cr_expect_neq(shell("ETXTBSY_EXEC_MAX_WAIT=300ms", "$TARGET x"), 0);
        line = last_line();
        expect_verdict(line, "gave-up", "persistent");
    } while (!json_object_array_length(field(line, "holders")) && has(line, "holders_truncated") && ++tries < 20);
    cr_expect_str_eq(line_string(holder(line, pid), "how"), "map");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A script is busy, too, when somebody writes to what interprets it. */
Test(record, names_who_writes_to_the_interpreter)
{
    char script[PATH_MAX + 8];
    snprintf(script, sizeof script, "#!%s\n", place.target);
    write_file(place.new, script, 0755);
    pid_t writer = hold_open(place.target, -1);
    cr_expect_neq(shell("ETXTBSY_EXEC_MAX_WAIT=300ms", "exec $NEW"), 0);
    cr_expect_str_eq(line_string(holder(last_line(), writer), "how"), "write");
}

Test(record, names_who_runs_it_when_a_write_waits)
{
    pid_t runner = run_busy(place.target);
    cr_expect_neq(shell("ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=300ms", "echo >> $TARGET"), 0);
    struct json_object *line = last_line();
    expect_verdict(line, "gave-up", "persistent");
    cr_expect_str_eq(line_string(holder(line, runner), "how"), "exec");
}

Test(record, names_who_keeps_a_stage_open)
{
    run_busy(place.target);
    cr_expect_eq(shell(NULL, "python3 -c 'import os,subprocess,sys\n"
                             "f=os.open(os.environ[\"TARGET\"],os.O_WRONLY|os.O_TRUNC)\n"
                             "os.set_inheritable(f,True)\n"
                             "p=subprocess.Popen([\"sleep\",\"1\"],close_fds=False)\n"
                             "os.write(f,b\"x\")\nos.close(f)\nopen(os.environ[\"NEW\"],\"w\").write(str(p.pid))\np.wait()\n'"),
                 0);
    struct json_object *line = line_with("pending");
    char *pid = read_file(place.new, NULL);
    cr_expect_str_eq(line_string(holder(line, (pid_t)strtol(pid, NULL, 10)), "how"), "write");
    cr_expect_eq(json_object_array_length(field(line, "holders")), 1, "itself isn't one: %s", json_object_to_json_string(line));
}

Test(record, has_command_lines_when_told_so)
{
    run_busy(place.target);
    cr_expect_eq(shell("ETXTBSY_CMDLINE=on", "cp $NEW $TARGET"), 0);
    struct json_object *one = json_object_array_get_idx(field(last_line(), "holders"), 0);
    cr_expect_str_eq(line_string(one, "cmdline"), place.target);
}

Test(record, looks_for_holders_when_the_policy_says_so)
{
    static const struct {
        const char *environment, *command;
        bool named;
    } rows[] = {
        { "ETXTBSY_HOLDERS=always", "cp $NEW $TARGET", true },
        { "ETXTBSY_HOLDERS=give-up", "cp $NEW $TARGET", false },
        { "ETXTBSY_HOLDERS=never", "cp $NEW $TARGET", false },
        { "ETXTBSY_HOLDERS=always ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=10ms", "cp $NEW $TARGET", true },
        { "ETXTBSY_HOLDERS=give-up ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=10ms", "cp $NEW $TARGET", true },
        { "ETXTBSY_HOLDERS=never ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=10ms", "cp $NEW $TARGET", false },
        { "ETXTBSY_HOLDERS=never ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=300ms", "cp $NEW $TARGET", false },
        { "ETXTBSY_WRITE=observe", "cp $NEW $TARGET", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        place_reset(&place);
        pid_t runner = run_busy(place.target);
        shell(rows[i].environment, rows[i].command);
        struct json_object *line = last_line();
        cr_expect_eq(has(line, "holders"), rows[i].named, "row %zu: %s", i, json_object_to_json_string(line));
        if (rows[i].named)
            holder(line, runner);
        stop(runner);
    }
}

/* Holders are for waits that last: one under 100 ms costs no look. How long it lasts is for the machine to say. */
Test(record, looks_for_nobody_in_a_short_wait)
{
    int is_short = 0;
    for (int i = 0; i < 20 && !is_short; i++) {
        place_reset(&place);
        pid_t writer = hold_until_tried(place.target, 10);
        cr_expect_eq(shell("ETXTBSY_HOLDERS=always", "$TARGET x"), 0);
        struct json_object *line = last_line();
        expect_verdict(line, "succeeded", "transient");
        bool under = json_object_get_double(field(line, "waited_ms")) < 100;
        is_short += under;
        cr_expect(!under || !has(line, "holders"), "%s", json_object_to_json_string(line));
        stop(writer);
    }
    if (!is_short)
        fprintf(stderr, "skipped: no wait was under 100 ms here\n");
}

/* A name that isn't UTF-8 is readable, and exact. */
Test(record, has_the_exact_bytes_of_names)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/\xff", place.directory);
    cr_assert_eq(rename(place.target, path), 0);
    run_busy(path);
    cr_expect_eq(shell(NULL, "cp $NEW $(printf '\\377')"), 0);
    struct json_object *line = last_line(), *one = json_object_array_get_idx(field(line, "holders"), 0);
    cr_expect_not_null(strstr(line_string(line, "path"), "\\xff"));
    cr_expect(has(line, "path_b64"));
    cr_expect_str_eq(line_string(one, "comm"), "\\xff", "%s", json_object_to_json_string(line));
    cr_expect_str_eq(line_string(one, "comm_b64"), "/w==");
    cr_expect(has(one, "exe_b64"));
}

/* ---- verdicts -----------------------------------------------------------------------------------------------------------------
 */

Test(record, knows_when_nobody_runs_the_old_version_any_more)
{
    pid_t runner = run_busy(place.target);
    char command[200];
    /* The program ends while its successor is being written. */
    snprintf(command, sizeof command,
             "{ cat $NEW; kill -9 %d; while kill -0 %d 2>/dev/null && ! grep -q Z /proc/%d/stat; do :; done; } > $TARGET", runner,
             runner, runner);
    cr_expect_eq(shell(NULL, command), 0);
    struct json_object *line = last_line();
    expect_verdict(line, "replaced", "transient");
    cr_expect_eq(json_object_array_length(field(line, "holders")), 0);
    cr_expect_not_null(strstr(line_string(line, "message"), "nobody runs it any more"));
}

Test(record, has_a_verdict_for_each_end)
{
    static const struct {
        const char *environment, *command, *outcome, *verdict, *reason, *message;
    } rows[] = {
        { NULL, "cp $NEW $TARGET", "replaced", "replaced", "", "the old one lives on for those who run it" },
        { NULL, "cp $TARGET copy; cp copy $TARGET", "unchanged", "transient", "", "it was left as it is" },
        { "ETXTBSY_MAX_WAIT=20ms", "ln $TARGET other; cp $NEW $TARGET", "gave-up", "refused", "hard-links",
          "until the wait ended, and could not be replaced (hard-links)" },
        { "ETXTBSY_WRITE=observe", "cp $NEW $TARGET", "observed", "refused", "policy", "nothing was done" },
        { "ETXTBSY_WRITE=retry ETXTBSY_MAX_WAIT=20ms", "cp $NEW $TARGET", "gave-up", "persistent", "",
          "was busy until the wait ended; held by target" },
        { "ETXTBSY_WRITE=nonsense", "cp $NEW $TARGET", "ignored", "failed", "configuration", "found \"ETXTBSY_WRITE=nonsense\"" },
        { "ETXTBSY_WRITE=retry", "(sleep 0.3; rm $TARGET) & exec 3<>$TARGET", "succeeded", "transient", "", "no longer is" },
        { "ETXTBSY_WRITE=retry", "(sleep 0.3; rm $TARGET) & dd if=$NEW of=$TARGET conv=notrunc,nocreat", "gave-up", "failed", "",
          "and then the call failed with another error" },
        { NULL, "exec 7>>$NEW; exec $NEW", "gave-up", "self-held", "self-held",
          "is busy, and no wait helps; this process itself has it open for writing, as descriptor 7" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        place_reset(&place);
        pid_t runner = run_busy(place.target);
        shell(rows[i].environment, rows[i].command);
        struct json_object *line = line_with(rows[i].outcome);
        cr_expect_str_eq(line_string(line, "verdict"), rows[i].verdict, "row %zu: %s", i, json_object_to_json_string(line));
        cr_expect_str_eq(line_string(line, "reason"), rows[i].reason, "row %zu", i);
        cr_expect_not_null(strstr(line_string(line, "message"), rows[i].message), "row %zu: %s", i, line_string(line, "message"));
        cr_expect_eq(line_number(line, "errno") == ETXTBSY, strcmp(rows[i].verdict, "failed") != 0, "row %zu", i);
        stop(runner);
    }
}

/* ---- waits --------------------------------------------------------------------------------------------------------------------
 */

Test(record, says_how_the_wait_went)
{
    hold_until_tried(place.target, 100);
    cr_expect_eq(shell(NULL, "$TARGET x"), 0);
    struct json_object *line = last_line(), *delays = field(line, "delays");
    cr_expect_eq(line_number(delays, "attempts"), line_number(line, "attempts"));
    cr_expect_gt(line_number(line, "attempts"), 3);
    double first = json_object_get_double(field(delays, "first_ms")), last = json_object_get_double(field(delays, "last_ms"));
    cr_expect_gt(first, 0);
    cr_expect_gt(last, 0);
    cr_expect_geq(json_object_get_double(field(line, "waited_ms")), last);
}

/* On either side; a hang then has a cause on record. */
Test(record, says_that_it_waits_after_a_second)
{
    pid_t writer = hold_open(place.target, -1);
    cr_expect_neq(shell("ETXTBSY_MAX_WAIT=1200ms", "exec $TARGET x"), 0);
    struct json_object *line = line_with("waiting");
    cr_expect_geq(json_object_get_double(field(line, "waited_ms")), 1000.0);
    cr_expect_str_eq(line_string(line, "event"), "wait");
    holder(line, writer);
    cr_expect_eq(log_count(&place, "outcome", "waiting"), 1);
    expect_verdict(last_line(), "gave-up", "persistent");

    /* Also when the program is killed in the middle, and when a single pause would be longer. */
    place_reset(&place);
    stop(writer);
    pid_t runner = run_busy(place.target);
    cr_expect_eq(
        shell("ETXTBSY_WRITE=retry ETXTBSY_FIRST=20s ETXTBSY_CAP=20s ETXTBSY_MAX_WAIT=20s", "timeout -s KILL 2 cp $NEW $TARGET"),
        137);
    line = last_line();
    expect_verdict(line, "waiting", "transient");
    cr_expect_eq(line_number(line, "attempts"), 1, "the line costs no attempt");
    holder(line, runner);
    cr_expect_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "$BUILD/etxtbsy report ../log")), 0);
    char *report = read_file(place.out, NULL);
    cr_expect_not_null(strstr(report, "-> 1 waited for a second or longer, and no line says how it ended"), "%s", report);
    cr_expect_not_null(strstr(report, ". target (/"), "it names who held the file: %s", report);
}

Test(record, says_nothing_of_shorter_waits)
{
    hold_until_tried(place.target, 300);
    cr_expect_eq(shell(NULL, "$TARGET x"), 0);
    cr_expect_eq(log_count(&place, "outcome", "waiting"), 0);
}

/* ---- where it ran -------------------------------------------------------------------------------------------------------------
 */

Test(record, says_which_boot_and_which_ancestors)
{
    run_busy(place.target);
    cr_expect_eq(shell(NULL, "sh -c 'sh -c \"cp $NEW $TARGET; :\"; :'"), 0);
    struct json_object *line = last_line(), *ancestry = field(line, "ancestry");
    char *boot = read_file("/proc/sys/kernel/random/boot_id", NULL);
    boot[strcspn(boot, "\n")] = '\0';
    cr_expect_str_eq(line_string(line, "boot_id"), boot);
    cr_expect_leq(json_object_array_length(ancestry), 4);
    for (size_t i = 0; i < 3; i++)
        cr_expect_str_eq(json_object_get_string(json_object_array_get_idx(ancestry, i)), "sh", "%s",
                         json_object_to_json_string(ancestry));
}

Test(record, says_which_invocation)
{
    static const char id[] = "0123456789abcdef0123456789abcdef";
    static const struct {
        const char *value, *said;
    } rows[] = { { id, id }, { "0123456789abcdef0123456789abcdeX", "" }, { "0123", "" }, { "", "" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char environment[100];
        place_reset(&place);
        pid_t runner = run_busy(place.target);
        snprintf(environment, sizeof environment, "INVOCATION_ID=%s", rows[i].value);
        cr_expect_eq(shell(environment, "cp $NEW $TARGET"), 0);
        cr_expect_str_eq(line_string(last_line(), "invocation_id"), rows[i].said, "row %zu", i);
        stop(runner);
    }
}

/* A cgroup hierarchy of systemd's is mounted here, or can be; a process is put where systemd would have it. */
static const char *cgroup_root(void)
{
    static const char *const roots[] = { "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
    for (size_t i = 0; i < 3; i++) {
        char procs[100];
        snprintf(procs, sizeof procs, "%s/cgroup.procs", roots[i]);
        if (access(procs, W_OK) == 0)
            return roots[i];
    }
    return NULL;
}

static void make_path(const char *root, const char *path, bool makes)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    size_t base = strlen(root) + 1;
    if (makes) {
        for (size_t i = base; whole[i]; i++)
            if (whole[i] == '/') {
                whole[i] = '\0';
                mkdir(whole, 0755);
                whole[i] = '/';
            }
        mkdir(whole, 0755);
    } else {
        while (strlen(whole) > base) {
            rmdir(whole);
            *strrchr(whole, '/') = '\0';
        }
    }
}

#define DIGITS_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Test(record, says_which_unit_and_container)
{
    static const struct {
        const char *path, *unit, *container;
    } rows[] = {
        { "etxtbsy-test.slice/app.service", "app.service", "" },
        { "etxtbsy-test.slice/app@one.service/payload", "app@one.service", "" },
        { "etxtbsy-test.slice/user@1000.service/app.slice/editor.scope", "editor.scope", "" },
        { "etxtbsy-test.slice/user@1000.service/init.scope", "init.scope", "" },
        { "etxtbsy-test.slice/docker-" DIGITS_64 ".scope", "docker-" DIGITS_64 ".scope", DIGITS_64 },
        { "etxtbsy-test/docker/" DIGITS_64, "", DIGITS_64 },
        { "etxtbsy-test/kubepods/pod1/cri-containerd-" DIGITS_64, "", DIGITS_64 },
        { "etxtbsy-test/docker/" DIGITS_64 "0", "", "" },
        { "etxtbsy-test.slice", "", "" },
    };
    const char *root = cgroup_root();
    if (!root) {
        fprintf(stderr, "skipped: no cgroup that can be written to\n");
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[2 * PATH_MAX];
        make_path(root, rows[i].path, true);
        place_reset(&place);
        pid_t runner = run_busy(place.target);
        snprintf(command, sizeof command, "(echo 0 > %s/%s/cgroup.procs && exec cp $NEW $TARGET)", root, rows[i].path);
        int status = shell(NULL, command);
        cr_expect_eq(status, 0, "row %zu", i);
        struct json_object *line = last_line();
        cr_expect_str_eq(line_string(line, "unit"), rows[i].unit, "row %zu", i);
        cr_expect_str_eq(line_string(line, "container_id"), rows[i].container, "row %zu", i);
        stop(runner);
        make_path(root, rows[i].path, false);
    }
}

/* In a container with a cgroup namespace of its own the id is seen in what the engine has mounted. */
Test(record, says_which_container_by_its_mounts)
{
    if (geteuid() != 0 || system("unshare -m true 2>/dev/null") != 0) {
        fprintf(stderr, "skipped: can't mount here\n");
        return;
    }
    run_busy(place.target);
    cr_expect_eq(shell(NULL,
                       "mkdir -p ../containers/" DIGITS_64 " && cp /etc/hostname ../containers/" DIGITS_64 "/hostname &&"
                       "unshare -m -C sh -c 'mount --bind ../containers/" DIGITS_64 "/hostname /etc/hostname && cp $NEW $TARGET'"),
                 0);
    cr_expect_str_eq(line_string(last_line(), "container_id"), DIGITS_64);
}

/* ---- redirects ----------------------------------------------------------------------------------------------------------------
 */

Test(record, says_what_became_of_the_file)
{
    struct stat old, new;
    cr_assert_eq(stat(place.target, &old), 0);
    run_busy(place.target);
    cr_expect_eq(shell("ETXTBSY_SYNC=data", "cp $NEW $TARGET"), 0);
    cr_assert_eq(stat(place.target, &new), 0);
    struct json_object *line = last_line();
    cr_expect_eq(line_number(line, "old_inode"), (int64_t)old.st_ino);
    cr_expect_eq(line_number(line, "new_inode"), (int64_t) new.st_ino);
    cr_expect_eq(line_number(line, "bytes"), (int64_t) new.st_size);
    cr_expect_eq(line_number(line, "hard_links"), 1);
    cr_expect_str_eq(line_string(line, "sync"), "data");
    cr_expect_not(json_object_get_boolean(field(line, "published_early")));
    cr_expect_not_null(strstr(line_string(line, "stage"), "/.target.etxtbsy-"));

    place_reset(&place);
    run_busy(place.target);
    cr_expect_eq(shell("ETXTBSY_HARD_LINKS=break", "ln $TARGET other; cp $NEW $TARGET"), 0);
    line = last_line();
    cr_expect_eq(line_number(line, "hard_links"), 2);
    expect_verdict(line, "replaced", "replaced");

    place_reset(&place);
    run_busy(place.target);
    shell(NULL, "$BUILD/tests/target-static x > $TARGET");
    line = line_with("published-early");
    cr_expect(json_object_get_boolean(field(line, "published_early")));
}

/* ---- many at once -------------------------------------------------------------------------------------------------------------
 */

/* 64 processes, each with conflicts of its own, one log: every line is whole, however long, and every process's are there. */
Test(record, lines_of_64_processes_do_not_mix)
{
    enum { WRITERS = 64, LINES = 5 };
    run_busy(place.target);
    cr_expect_eq(
        shell("ETXTBSY_WRITE=observe",
              "way=.; for i in $(seq 1000); do way=$way/.; done;" /* a line of more than PIPE_BUF bytes */
              "for i in $(seq 64); do sh -c 'for j in 1 2 3 4 5; do true >> $0; done 2>/dev/null' $way/target & done; wait; :"),
        0);
    struct json_object *all = lines(); /* examines each */
    struct {
        int64_t pid;
        int count;
    } seen[WRITERS] = { 0 };
    cr_expect_eq(json_object_array_length(all), WRITERS * LINES);
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        struct json_object *line = json_object_array_get_idx(all, i);
        size_t writer = 0;
        cr_expect_geq(strlen(line_string(line, "path")), 2000);
        while (writer < WRITERS && seen[writer].count && seen[writer].pid != line_number(line, "pid"))
            writer++;
        cr_assert_lt(writer, WRITERS, "a line of nobody");
        seen[writer].pid = line_number(line, "pid");
        seen[writer].count++;
    }
    for (size_t i = 0; i < WRITERS; i++)
        cr_expect_eq(seen[i].count, LINES, "process %lld has %d lines", (long long)seen[i].pid, seen[i].count);
}

/* A log that is rotated away meanwhile: the next line makes a new one. */
Test(record, goes_on_in_a_new_file_when_the_log_is_rotated)
{
    run_busy(place.target);
    cr_expect_eq(shell("ETXTBSY_WRITE=observe",
                       "sh -c 'echo x >> $TARGET' 2>/dev/null; mv ../log ../log.1; sh -c 'echo x >> $TARGET' 2>/dev/null; :"),
                 0);
    cr_expect_eq(json_object_array_length(lines()), 1);
    struct stat file;
    cr_assert_eq(stat(place.log, &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0640);
}

/* ---- the journal --------------------------------------------------------------------------------------------------------------
 */

/* A real systemd-journald, started by hand in a /run of its own, so that the machine's isn't touched. */
Test(journal, has_the_record)
{
    static const char daemon[] = "/lib/systemd/systemd-journald";
    if (geteuid() != 0 || access(daemon, X_OK) < 0 ||
        system("command -v journalctl >/dev/null && unshare -m true 2>/dev/null") != 0) {
        fprintf(stderr, "skipped: there is no systemd-journald that could be started here\n");
        return;
    }
    run_busy(place.target);
    char command[PATH_MAX];
    snprintf(
        command, sizeof command,
        "unshare -m sh -c 'mount -t tmpfs none /run && mkdir -p /run/systemd && { %s & j=$!;"
        "n=0; until [ -S /run/systemd/journal/socket ] || [ $n = 100 ]; do sleep 0.05; n=$((n+1)); done;"
        "LD_PRELOAD=%s ETXTBSY_LOG=journal,$PWD/../log cp $NEW $TARGET;"
        "n=0; until journalctl --no-pager -q -o json SYSLOG_IDENTIFIER=etxtbsy > ../entries && [ -s ../entries ] || [ $n = 100 ];"
        "do sleep 0.05; n=$((n+1)); done; kill $j; wait $j; :; }'",
        daemon, LIBRARY);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, command)), 0, "%s", read_file(place.err, NULL));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/entries", place.root);
    struct json_object *entry = json_tokener_parse(read_file(path, NULL)), *line = last_line();
    if (!entry) {
        fprintf(stderr, "skipped: systemd-journald doesn't run here: %s\n", read_file(place.err, NULL));
        return;
    }
    cr_expect_str_eq(line_string(entry, "ETXTBSY_OP"), line_string(line, "op"));
    cr_expect_str_eq(line_string(entry, "ETXTBSY_VERDICT"), "replaced");
    cr_expect_str_eq(line_string(entry, "ETXTBSY_TARGET"), place.target);
    cr_expect_str_eq(line_string(entry, "MESSAGE"), line_string(line, "message"));
    cr_expect_str_eq(line_string(entry, "PRIORITY"), "5");
    struct json_object *holders = json_tokener_parse(line_string(entry, "ETXTBSY_HOLDERS"));
    cr_expect(json_object_equal(holders, field(line, "holders")));
}

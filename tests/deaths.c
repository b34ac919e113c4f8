/*
 * Writers that die. Each row of `trees` is run again and again on a busy target, and each time one of its processes gets a signal
 * just before one of its system calls: the first of the tree, the second, and so on. Whatever is left is then the whole old file or
 * the whole new one, and the next redirect in the directory leaves no second name.
 *
 * The full walk is long (`make prove-kill`); by default some points are taken, evenly spread. ETXTBSY_KILL_STEP=N takes each
 * Nth.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracer.h"

#include <criterion/parameterized.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How many points of a tree are taken when nobody asks for more. */
#define POINTS 15

static const struct tree {
    const char *name, *needs, *command; /* for /bin/sh, behind "exec" */
    int hangs_at;                       /* a signal that it may not survive without the library either; 0: none */
} trees[] = {
    { "cp", "cp", "cp $NEW $TARGET" },
    { "node", "node",
      "node -e 'const fs = require(\"fs\"); fs.writeFileSync(process.env.TARGET, fs.readFileSync(process.env.NEW))'" },
    { "node: a child", "node",
      "node -e 'const fs = require(\"fs\"), out = fs.openSync(process.env.TARGET, \"w\");\n"
      "require(\"child_process\").spawnSync(\"cat\", [process.env.NEW], { stdio: [0, out, 2] }); fs.closeSync(out)'" },
    { "dd", "dd", "dd if=$NEW of=$TARGET bs=64k" },
    { "tee", "tee", "tee $TARGET < $NEW" },
    { "bash: >", "bash", "bash -c 'cat $NEW > $TARGET'" },
    /*
     * bash 5.2 sends itself SIGINT for ever when one arrives after it has set its handler for the wait and before it has noted the
     * old one: `strace -f -e inject=rt_sigaction:signal=INT:when=15 bash -c '{ cat /etc/passwd; } > /tmp/x; :'`.
     */
    { "bash: { } >, and more", "bash", "bash -c '{ cat $NEW; } > $TARGET; :'", .hangs_at = SIGINT },
    { "bash: ( ) >, and more", "bash", "bash -c '(cat $NEW; :) > $TARGET; :'" },
    { "bash: exec 3>", "bash", "bash -c 'exec 3> $TARGET; cat $NEW >&3; exec 3>&-'" },
    { "bash: a shell in it", "bash", "bash -c 'sh -c \"cat $NEW; :\" > $TARGET; :'" },
    { "dash: >", "dash", "dash -c 'cat $NEW > $TARGET'" },
    { "dash: exec 3>", "dash", "dash -c 'exec 3> $TARGET; cat $NEW >&3; exec 3>&-'" },
    { "dash: a shell in it", "dash", "dash -c 'sh -c \"cat $NEW; :\" > $TARGET; :'" },
    { "dash: &", "dash", "dash -c 'cat $NEW > $TARGET & wait'" },
    { "mksh: >", "mksh", "mksh -c 'cat $NEW > $TARGET; :'" },
    { "zsh: >", "zsh", "zsh -f -c 'cat $NEW > $TARGET; :'" },
    { "busybox sh: >", "busybox", "busybox sh -c 'cat $NEW > $TARGET; :'" },
    { "fish: >", "fish", "fish -N -c 'cat $NEW > $TARGET'" },
    { "python", "python3",
      "$PYTHON -I -S -c 'import os; out = open(os.environ[\"TARGET\"], \"wb\", 4096)\n"
      "out.write(open(os.environ[\"NEW\"], \"rb\").read())\nout.close()'" },
    { "python: subprocess", "python3",
      "$PYTHON -I -S -c 'import os, subprocess; out = open(os.environ[\"TARGET\"], \"wb\")\n"
      "subprocess.run([\"cat\", os.environ[\"NEW\"]], stdout=out)\nout.close()'" },
};

/* ---- one process of a tree gets a signal --------------------------------------------------------------------------------------
 */

struct death {
    struct tracer tracer;
    unsigned long point; /* before which system call of the whole tree, from 1 on; 0: nobody dies */
    int signal;
    char call[64]; /* what it would have been */
};

static void kill_before(struct tracer *tracer, const struct traced_call *call)
{
    struct death *death = (struct death *)tracer;
    if (call->which != death->point)
        return;
    snprintf(death->call, sizeof death->call, "system call %d of process %d", (int)call->info.entry.nr, call->pid);
    kill(call->pid, death->signal);
    tracer->seen_enough = true;
}

/*
 * Runs it to the end of its last process. Returns how many system calls were made. The look for holders is a walk through /proc
 * when all is done, as long as there are processes: one tree does it for all.
 */
static unsigned long run_tree(const struct place *place, const struct tree *tree, struct death *death)
{
    death->call[0] = '\0';
    death->tracer.entered = kill_before;
    trace_tree(&death->tracer, place, WITH_SHIM, tree == trees ? NULL : "ETXTBSY_HOLDERS=never", tree->command);
    cr_expect(!death->tracer.hung || (death->point && tree->hangs_at == death->signal), "%s: before call %lu: it hangs", tree->name,
              death->point);
    return death->tracer.calls;
}

/* ---- what is left -------------------------------------------------------------------------------------------------------------
 */

static struct place place;
static pid_t running;

/* A target that is being executed, and a new file that takes more than one write. */
static void prepare(void)
{
    char command[PATH_MAX];
    if (running)
        stop(running);
    place_reset(&place);
    snprintf(command, sizeof command, "head -c 1000000 /dev/urandom >> %s", place.new);
    cr_assert_eq(system(command), 0);
    running = run_busy(place.target);
}

static unsigned names_in_directory(void)
{
    char *tree = tree_text(place.directory);
    unsigned count = 0;
    for (const char *at = tree; (at = strchr(at, '\n')); at++)
        count++;
    free(tree);
    return count;
}

/* The next redirect in the directory, of another busy file. */
static void redirect_another(void)
{
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s/other", place.directory);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL, "cp -p $BUILD/tests/target other")), 0);
    pid_t busy = run_busy(other);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, NULL, "cp $BUILD/tests/cases other")), 0);
    stop(busy);
    unlink(other);
}

static void expect_whole(const struct tree *tree, const struct death *death)
{
    struct stat file;
    bool old = same_content(place.target, TARGET_PROGRAM), new = !old &&same_content(place.target, place.new);
    stat(place.target, &file);
    cr_expect(old || new, "%s: %s before call %lu (%s): the target is neither old nor new: %ld bytes", tree->name,
              strsignal(death->signal), death->point, death->call, (long)file.st_size);
    cr_expect_eq(file.st_mode & 07777, 0755, "%s: call %lu: mode %o", tree->name, death->point, file.st_mode);
    if (litter_count(&place))
        redirect_another();
    cr_expect_eq(names_in_directory(), 1, "%s: call %lu (%s): a second name is left", tree->name, death->point, death->call);
    if (!old || names_in_directory() != 1)
        prepare();
}

static unsigned long step_of(unsigned long calls, unsigned long points)
{
    const char *step = getenv("ETXTBSY_KILL_STEP");
    unsigned long number = step ? strtoul(step, NULL, 10) : calls / points;
    return number ? number : 1;
}

/* Returns at how many points. */
static unsigned long walk(const struct tree *tree, int signal, unsigned long points)
{
    struct death death = { .signal = signal };
    prepare();
    const unsigned long calls = run_tree(&place, tree, &death);
    cr_assert(same_content(place.target, place.new), "%s doesn't write $NEW", tree->name);
    prepare();
    unsigned long step = step_of(calls, points), taken = 0;
    for (death.point = 1 + step / 2; run_tree(&place, tree, &death) >= death.point; death.point += step) {
        expect_whole(tree, &death);
        taken++;
    }
    fprintf(stderr, "deaths: %s: %s before %lu of %lu system calls\n", tree->name, strsignal(signal), taken, calls);
    return taken;
}

static void enter(void)
{
    /* What lies behind the wrappers that version managers put on PATH. */
    setenv("PYTHON", access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3", 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    place_make(&place);
    prepare();
}

ParameterizedTestParameters(deaths, before_any_system_call_leave_a_whole_file)
{
    static int numbers[COUNT(trees)];
    for (size_t i = 0; i < COUNT(trees); i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, COUNT(trees));
}

ParameterizedTest(int *number, deaths, before_any_system_call_leave_a_whole_file, .timeout = 3600)
{
    const struct tree *tree = &trees[*number];
    char missing[100];
    if (!have_programs(tree->needs, missing)) {
        fprintf(stderr, "skipped: %s (there is no %s here)\n", tree->name, missing);
        return;
    }
    enter();
    cr_expect_gt(walk(tree, SIGKILL, POINTS), 10);
    place_remove(&place);
}

Test(deaths, on_tmpfs_as_well, .timeout = 3600)
{
    struct statfs file_system;
    if (statfs("/dev/shm", &file_system) < 0 || file_system.f_type != TMPFS_MAGIC || access("/dev/shm", W_OK) < 0)
        cr_skip_test("/dev/shm isn't a tmpfs that we may use");
    setenv("TMPDIR", "/dev/shm", 1);
    enter();
    cr_expect_gt(walk(&trees[0], SIGKILL, POINTS), 10);
    for (size_t i = 0; i < COUNT(trees); i++)
        if (!strcmp(trees[i].name, "bash: >") || !strcmp(trees[i].name, "dash: >"))
            cr_expect_gt(walk(&trees[i], SIGKILL, POINTS), 10);
    place_remove(&place);
}

/* Python makes an exception of SIGINT, and then closes its files in good order: not a death. */
Test(deaths, by_other_signals_as_well, .timeout = 3600)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGABRT, SIGSEGV };
    enter();
    for (size_t i = 0; i < COUNT(trees); i++)
        if (!strcmp(trees[i].name, "cp") || !strcmp(trees[i].name, "bash: { } >, and more") || !strcmp(trees[i].name, "dash: >"))
            for (size_t s = 0; s < COUNT(signals); s++)
                cr_expect_gt(walk(&trees[i], signals[s], 5), 3);
    place_remove(&place);
}

/* Programs that end themselves, with half a file written. */
Test(deaths, by_ones_own_hand_leave_the_old_file)
{
    static const struct {
        const char *scene;
        int signal;
    } rows[] = { { "abort", SIGABRT }, { "crash", SIGSEGV }, { "file-size", SIGXFSZ }, { "bus", SIGBUS } };
    enter();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *const argv[] = { BUILD_DIR "/tests/failures", rows[i].scene, place.target, NULL };
        int status = run_program_with(&place, WITH_SHIM, NULL, argv);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == rows[i].signal, "%s: %#x", rows[i].scene, status);
        cr_expect_eq(litter_count(&place), 1, "%s", rows[i].scene);
        struct death death = { .signal = rows[i].signal };
        expect_whole(&(struct tree){ .name = rows[i].scene }, &death);
        cr_expect(same_content(place.target, TARGET_PROGRAM), "%s", rows[i].scene);
    }
    place_remove(&place);
}

/* ---- a parent that sees a writing child die -----------------------------------------------------------------------------------
 */

static void expect_end(const char *command, const char *content, const char *reason)
{
    prepare();
    run_shell(&place, WITH_SHIM, NULL, command);
    char *now = read_file(place.target, NULL);
    if (content)
        cr_expect_str_eq(now, content, "%s: %s", command, now);
    else
        cr_expect(same_content(place.target, TARGET_PROGRAM), "%s: the target has changed", command);
    cr_expect_eq(litter_count(&place), 0, "%s: litter", command);
    cr_expect_eq(log_count(&place, "reason", "writer-killed"), reason != NULL, "%s", command);
    free(now);
}

Test(deaths, of_a_child_are_seen_by_its_parent, .timeout = 60)
{
    enter();
    expect_end("sh -c 'echo half; kill -9 $$' > $TARGET; :", NULL, "writer-killed");
    expect_end("{ echo begin; sh -c 'echo half; kill -9 $$'; } > $TARGET; :", NULL, "writer-killed");
    expect_end("sh -c 'kill -9 $$' > $TARGET; :", NULL, "writer-killed");
    expect_end("$BUILD/tests/cases killed_writer_is_waited_for_by_number x > $TARGET; :", NULL, "writer-killed");
    expect_end("$BUILD/tests/cases killed_writer_is_told_of_by_number x > $TARGET; :", NULL, "writer-killed");
    expect_end("$BUILD/tests/cases spawned_writer_is_killed $TARGET; :", NULL, "writer-killed");
    /* Who goes on writing has taken note of it. */
    expect_end("{ sh -c 'echo half; kill -9 $$'; echo end; } > $TARGET; :", "half\nend\n", NULL);
    expect_end("{ sh -c 'kill -9 $$'; echo all; } > $TARGET; :", "all\n", NULL);
    expect_end("{ sh -c 'echo half; kill -9 $$'; (:); echo end; } > $TARGET; :", "half\nend\n", NULL);
    /* Who writes elsewhere, fails without a signal, or only happens to have the descriptor, is no writer that was killed. */
    expect_end("{ echo all; sh -c 'kill -9 $$' > /dev/null; } > $TARGET; :", "all\n", NULL);
    expect_end("sh -c 'echo all; exit 3' > $TARGET; :", "all\n", NULL);
    expect_end("exec 3> $TARGET; echo all >&3; sh -c 'kill -9 $$'; exec 3>&-", "all\n", NULL);
    /* Whom the writer ends itself is a helper if nothing was written since it came; else one that was killed. */
    expect_end("{ echo all; sleep 60 & sleep .2; kill $!; wait; } > $TARGET; :", "all\n", NULL);
    expect_end("{ sleep 60 & sleep .2; echo all; kill -9 $!; wait; } > $TARGET; :", NULL, "writer-killed");
    expect_end("{ echo all; sleep 60 & sleep .2; LD_PRELOAD= sh -c \"kill $!\" > /dev/null; wait; } > $TARGET; :", NULL,
               "writer-killed");
    expect_end("{ echo begin; { echo half; exec sleep 60; } & sleep .2; kill $!; wait; } > $TARGET; :", NULL, "writer-killed");
    expect_end("timeout .2 sleep 60 > $TARGET; :", NULL, "writer-killed");
    expect_end("timeout .2 sh -c 'echo half; sleep 60' > $TARGET; :", NULL, "writer-killed");
    expect_end("timeout .2 sh -c 'sh -c \"echo half; sleep 60\"; :' > $TARGET; :", NULL, "writer-killed");
    place_remove(&place);
}

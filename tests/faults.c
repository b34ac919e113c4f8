/*
 * Writers whose system calls fail. Each row of `trees` is run again and again on a busy target, and each time one system call of
 * one of its processes gives an error: the first, the second, and so on, each with each error that is plausible for it
 * (faults.def). The program then either succeeds, and the new file is there, or reports a failure, and the old one is whole (or the
 * new one, if the program had done its work by then). Nothing is left behind that a sweep doesn't remove, and the log tells what is
 * true.
 *
 * What a failed call of the program's own makes of it (a read that it takes for the end of the file) is no matter of the shim's:
 * there the same failure of the same program on an idle target, without the shim, says what may be.
 *
 * The full walk is long (`make prove-fail`); by default some runs are made, evenly spread. ETXTBSY_FAIL_STEP=N makes each Nth.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracer.h"

#include <criterion/parameterized.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How many runs a tree gets when nobody asks for more. */
#define RUNS 20

/* More than one write of cat's, and less than a pipe or a buffer makes a difference to. */
#define NEW_LENGTH 300000

static const struct tree {
    const char *name, *needs, *environment, *command; /* for /bin/sh, behind "exec" */
} trees[] = {
    { "node", "node", "",
      "node -e 'const fs = require(\"fs\"); fs.writeFileSync(process.env.TARGET, fs.readFileSync(process.env.NEW))'" },
    { "cp", "cp", "", "cp $NEW $TARGET" },
    { "cp, all of it said and synced", "cp", "ETXTBSY_HOLDERS=always ETXTBSY_SYNC=full ETXTBSY_KEEP=2", "cp $NEW $TARGET" },
    { "cp, every open redirected", "cp", ATOMIC, "cp $NEW $TARGET" },
    { "dd, without truncation", "dd", "", "dd if=$NEW of=$TARGET bs=128k conv=notrunc" },
    { "tee", "tee", "", "tee $TARGET < $NEW" },
    { "bash: >", "bash", "", "bash -c 'cat $NEW > $TARGET'" },
    { "bash: { } >, and more", "bash", "", "bash -c '{ cat $NEW; } > $TARGET; exit $?'" },
    { "bash: exec 3>", "bash", "", "bash -c 'exec 3> $TARGET; cat $NEW >&3 && exec 3>&-'" },
    { "dash: >", "dash", "", "dash -c 'cat $NEW > $TARGET'" },
    { "dash: { } >, and more", "dash", "", "dash -c '{ cat $NEW; } > $TARGET; exit $?'" },
    { "python", "python3", "",
      "$PYTHON -I -S -c 'import os; out = open(os.environ[\"TARGET\"], \"wb\", 4096)\n"
      "out.write(open(os.environ[\"NEW\"], \"rb\").read())\nout.close()'" },
    { "python: subprocess", "python3", "",
      "$PYTHON -I -S -c 'import os, subprocess; out = open(os.environ[\"TARGET\"], \"wb\")\n"
      "subprocess.run([\"cat\", os.environ[\"NEW\"]], stdout=out, check=True)\nout.close()'" },
};

/* Nothing that varies with the machine or the moment: the same calls each time. Who can't redirect doesn't wait for long. */
#define STEADY "LC_ALL=C PYTHONHASHSEED=0 ETXTBSY_HOLDERS=never ETXTBSY_MAX_WAIT=20ms "

static struct place place;
static pid_t running;

/* ---- one run ------------------------------------------------------------------------------------------------------------------
 */

struct fault {
    unsigned task;  /* of this process or thread of the tree */
    int number;     /* the calls of this number, */
    unsigned which; /* the first, or second, ...; 0: none */
    int error;
    int told; /* the call is made before */
};

struct run {
    struct tracer tracer;
    struct fault fault;
    pid_t pid;     /* of the task, when its call has come */
    bool librarys; /* the shim's own */
    void (*seen)(struct run *, const struct traced_call *);

    int status;
    size_t length; /* of what the target is then */
    char *content, *said;
    bool aborted;       /* by the log */
    bool only_librarys; /* calls are of interest to `seen` */
};

static void enter_call(struct tracer *tracer, const struct traced_call *call)
{
    struct run *run = (struct run *)tracer;
    const struct fault *fault = &run->fault;
    if (run->seen)
        run->seen(run, call);
    if (call->task != fault->task || (int)call->info.entry.nr != fault->number || call->which_of_number != fault->which)
        return;
    run->pid = call->pid;
    run->librarys = trace_is_librarys(call);
    if (!fault->told)
        trace_skip_call(call);
}

static void leave_call(struct tracer *tracer, const struct traced_call *call)
{
    struct run *run = (struct run *)tracer;
    if (!run->pid || call->pid != run->pid)
        return;
    trace_fail_call(call, run->fault.error);
    tracer->seen_enough = true;
}

static void run_tree(struct run *run, enum shim shim, const struct tree *tree)
{
    char environment[400];
    snprintf(environment, sizeof environment, STEADY "%s", tree->environment);
    run->tracer.entered = enter_call;
    run->tracer.left = leave_call;
    run->status = trace_tree(&run->tracer, &place, shim, environment, tree->command);
    run->content = read_file(place.target, &run->length);
    run->said = read_file(place.err, NULL);
}

static void run_forget(struct run *run)
{
    free(run->content);
    free(run->said);
}

/* ---- the place ----------------------------------------------------------------------------------------------------------------
 */

static char *old, *new;
static size_t old_length, new_length;

enum content { OLD, NEW, OTHER };

static enum content content_of(const struct run *run)
{
    if (run->length == old_length && !memcmp(run->content, old, old_length))
        return OLD;
    return run->length == new_length && !memcmp(run->content, new, new_length) ? NEW : OTHER;
}

/* The old target, executed or not. */
static void prepare(bool busy)
{
    char path[PATH_MAX];
    if (running)
        stop(running);
    running = 0;
    unlink(place.target);
    for (int i = 0; i < 10; i++) { /* generations */
        snprintf(path, sizeof path, "%s/.target.etxtbsy-was-%d", place.directory, i);
        unlink(path);
    }
    int fd = open(place.target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    cr_assert_eq(write(fd, old, old_length), (ssize_t)old_length);
    close(fd);
    unlink(place.log);
    if (busy)
        running = run_busy(place.target);
}

static void enter(void)
{
    char command[PATH_MAX];
    setenv("PYTHON", access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3", 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    place_make(&place);
    snprintf(command, sizeof command, "head -c %d /dev/urandom > %s", NEW_LENGTH, place.new);
    cr_assert_eq(system(command), 0);
    old = read_file(TARGET_PROGRAM, &old_length);
    new = read_file(place.new, &new_length);
    cr_assert_eq(new_length, NEW_LENGTH);
}

static void leave(void)
{
    place_remove(&place);
    free(old);
    free(new);
}

/* ---- what may fail how --------------------------------------------------------------------------------------------------------
 */

enum how { NOT_MADE, TOLD, READING, WRITING };

static const struct plausible {
    int number;
    enum how how;
    const char *name;
    int errors[16];
} plausible[] = {
#define ROW(call, how, ...) { SYS_##call, how, #call, { __VA_ARGS__ } },
#define FAULT(call, ...) ROW(call, NOT_MADE, __VA_ARGS__)
#define FAULT_TOLD(call, ...) ROW(call, TOLD, __VA_ARGS__)
#define FAULT_READING(call, ...) ROW(call, READING, __VA_ARGS__)
#define FAULT_WRITING(call, ...) ROW(call, WRITING, __VA_ARGS__)
#include "faults.def"
};

/* Every fault of a tree. */
static struct {
    struct fault *each;
    size_t count, points;
} walk;

static void add_fault(struct fault fault)
{
    if ((walk.count & (walk.count - 1)) == 0)
        walk.each = realloc(walk.each, (walk.count ? walk.count * 2 : 1) * sizeof *walk.each);
    walk.each[walk.count++] = fault;
}

static bool is_for(const struct plausible *row, const struct traced_call *call)
{
    if (row->number != (int)call->info.entry.nr)
        return false;
    int flags = (int)call->info.entry.args[call->info.entry.nr == SYS_openat ? 2 : 1];
    bool writes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
    return row->how == READING ? !writes : row->how == WRITING ? writes : true;
}

static void note_faults(struct run *run, const struct traced_call *call)
{
    size_t before = walk.count;
    if (run->only_librarys && !trace_is_librarys(call))
        return;
    for (const struct plausible *row = plausible; row < plausible + COUNT(plausible); row++)
        for (const int *error = row->errors; is_for(row, call) && *error; error++)
            add_fault((struct fault){ call->task, row->number, call->which_of_number, *error, row->how == TOLD });
    walk.points += walk.count > before;
}

static const char *describe(const struct fault *fault)
{
    static char text[100];
    const char *name = "?";
    for (const struct plausible *row = plausible; row < plausible + COUNT(plausible); row++)
        if (row->number == fault->number)
            name = row->name;
    snprintf(text, sizeof text, "%s %u of process %u, %s%s", name, fault->which, fault->task, strerrorname_np(fault->error),
             fault->told ? " though it was done" : "");
    return text;
}

/* ---- what is right ------------------------------------------------------------------------------------------------------------
 */

/* The calls of a tree without the shim; how it ended on an idle target when one of them had failed, as far as that was asked. */
static struct {
    struct fault *calls;
    struct run *ends;
    size_t call_count, end_count;
} without;

static void note_call(struct run *run, const struct traced_call *call)
{
    (void)run;
    without.calls = realloc(without.calls, (without.call_count + 1) * sizeof *without.calls);
    without.calls[without.call_count++] = (struct fault){ call->task, (int)call->info.entry.nr, call->which_of_number, 0, false };
}

static const struct run *end_without(const struct tree *tree, const struct fault *fault)
{
    struct run run = { .fault = *fault };
    for (size_t i = 0; i < without.end_count; i++)
        if (!memcmp(&without.ends[i].fault, fault, sizeof *fault))
            return &without.ends[i];
    prepare(false);
    run_tree(&run, WITHOUT_SHIM, tree);
    without.ends = realloc(without.ends, (without.end_count + 1) * sizeof *without.ends);
    without.ends[without.end_count] = run;
    return &without.ends[without.end_count++];
}

/*
 * Where the close of a stage fails the old file stays: a program that takes no notice of its own failed close on an idle target
 * takes none of this one.
 */
static bool is_same_end(const struct run *with, const struct run *without_shim)
{
    bool ignored = with->fault.number == SYS_close && content_of(with) == OLD && with->aborted;
    return with->tracer.hung == without_shim->tracer.hung && with->status == without_shim->status &&
           (ignored || (with->length == without_shim->length && !memcmp(with->content, without_shim->content, with->length)));
}

/* A program that is killed by its own alarm at such a failure may be at any point of its work then: a whole file is fine. */
static bool is_same_death(const struct run *with, const struct run *without_shim)
{
    return WIFSIGNALED(with->status) && with->status == without_shim->status && content_of(with) != OTHER;
}

/*
 * Whether the program, with that failure of one of its own calls, ends like this without the shim as well. Which call it is can't
 * be told across the two (the shim makes some in between), so it may be any of the same kind in the same process.
 */
static bool is_as_without(const struct tree *tree, const struct run *run)
{
    bool found = false;
    if (run->librarys)
        return false;
    /* Which one doesn't matter to a program that waits for something that never comes; to wait for each would take long. */
    for (size_t i = 0; i < without.end_count && run->tracer.hung && !found; i++)
        found = without.ends[i].tracer.hung && without.ends[i].fault.task == run->fault.task &&
                without.ends[i].fault.number == run->fault.number;
    for (size_t i = 0; i < without.call_count && !found; i++) {
        struct fault fault = run->fault;
        fault.which = without.calls[i].which;
        if (without.calls[i].task != fault.task || without.calls[i].number != fault.number)
            continue;
        const struct run *end = end_without(tree, &fault);
        found = is_same_end(run, end) || is_same_death(run, end);
    }
    return found;
}

/* ld.so goes on without a library that it can't load, and says so: what the program before it left then finds no taker. */
static bool is_without_library(const struct run *run)
{
    return strstr(run->said, "cannot be preloaded") != NULL;
}

struct counts {
    unsigned long runs, succeeded, failed_old, failed_new, as_without, unreached, without_library, hung;
};

static void expect_end(const struct tree *tree, struct run *run, struct counts *counts)
{
    const char *what = describe(&run->fault);
    enum content content = content_of(run);
    bool success = WIFEXITED(run->status) && !WEXITSTATUS(run->status);
    counts->runs++;
    counts->hung += run->tracer.hung;
    if (success && content == NEW)
        counts->succeeded++;
    else if (WIFEXITED(run->status) && !success && content == OLD)
        counts->failed_old++;
    else if (WIFEXITED(run->status) && !success && content == NEW)
        counts->failed_new++;
    else if (success && content == OLD && is_without_library(run))
        counts->without_library++;
    else if (is_as_without(tree, run))
        counts->as_without++;
    else
        cr_expect(false, "%s: %s%s: status %#x, and the target is %s (%zu bytes); it said %s", tree->name,
                  run->librarys ? "the shim's " : "", what, run->status,
                  content == OLD   ? "old"
                  : content == NEW ? "new"
                                   : "neither old nor new",
                  run->length, run->said);
}

/* After an outcome that says so the target has been replaced, and after the other ones it hasn't. */
static void expect_true_story(const struct tree *tree, struct run *run)
{
    struct json_object *lines = log_lines(&place);
    bool replaced = false, failed = false;
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        const char *outcome = line_string(json_object_array_get_idx(lines, i), "outcome");
        replaced |= !strcmp(outcome, "replaced") || !strcmp(outcome, "published-early") || !strcmp(outcome, "in-place");
        failed |= !strcmp(outcome, "failed");
        run->aborted |= !strcmp(outcome, "aborted");
    }
    enum content content = content_of(run);
    cr_expect(!replaced || content != OLD, "%s: %s: it was said to be replaced, and wasn't", tree->name, describe(&run->fault));
    cr_expect(!(failed || run->aborted) || replaced || content == OLD, "%s: %s: it was said to have failed, and hasn't", tree->name,
              describe(&run->fault));
    json_object_put(lines);
}

/* Names beside the target, but for generations. */
static unsigned count_names(char *names, size_t size)
{
    unsigned count = 0;
    char *tree = tree_text(place.directory);
    names[0] = '\0';
    for (char *line = strtok(tree, "\n"); line; line = strtok(NULL, "\n")) {
        line[strcspn(line, " ")] = '\0';
        if (strcmp(line, place.target) != 0 && !strstr(line, ".etxtbsy-was-") && ++count)
            snprintf(names + strlen(names), size - strlen(names), " %s", strrchr(line, '/') + 1);
    }
    free(tree);
    return count;
}

/* What couldn't be delivered stays under a name that the log tells; the rest is gone after a sweep. */
static void expect_nothing_left(const struct tree *tree, const struct run *run)
{
    char names[1000];
    if (!count_names(names, sizeof names))
        return;
    const char *const sweep[] = { BUILD_DIR "/etxtbsy", "sweep", place.directory, NULL };
    run_program_with(&place, WITHOUT_SHIM, NULL, sweep);
    unsigned left = count_names(names, sizeof names);
    if (left == 1 && strstr(names, "-kept-") && run->status) {
        char *log = read_file(place.log, NULL);
        cr_expect(strstr(log, names + 1), "%s: %s: the log doesn't name %s", tree->name, describe(&run->fault), names);
        free(log);
    } else {
        cr_expect_eq(left, 0, "%s: %s: left behind:%s", tree->name, describe(&run->fault), names);
    }
    place_reset_files(&place);
    int fd = open(place.new, O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert_eq(write(fd, new, new_length), (ssize_t)new_length);
    close(fd);
}

static void run_fault(const struct tree *tree, const struct fault *fault, struct counts *counts)
{
    struct run run = { .fault = *fault };
    prepare(true);
    run_tree(&run, WITH_SHIM, tree);
    if (run.pid) {
        expect_true_story(tree, &run);
        expect_nothing_left(tree, &run);
        expect_end(tree, &run, counts);
    } else {
        counts->unreached++;
    }
    run_forget(&run);
}

static size_t step_of(size_t count)
{
    const char *text = getenv("ETXTBSY_FAIL_STEP");
    size_t step = text ? strtoul(text, NULL, 10) : count / RUNS;
    return step ? step : 1;
}

/* ---- the walks ----------------------------------------------------------------------------------------------------------------
 */

ParameterizedTestParameters(faults, of_any_system_call_leave_a_whole_file)
{
    static int numbers[COUNT(trees)];
    for (size_t i = 0; i < COUNT(trees); i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, COUNT(trees));
}

/* Learns which calls the tree makes, with the shim and without. */
static void learn(const struct tree *tree, bool only_librarys)
{
    struct run run = { .seen = note_faults, .only_librarys = only_librarys }, idle = { .seen = note_call };
    enter();
    prepare(true);
    run_tree(&run, WITH_SHIM, tree);
    cr_assert(!run.status && content_of(&run) == NEW, "%s doesn't write $NEW: %#x, %s", tree->name, run.status, run.said);
    run_forget(&run);
    prepare(false);
    run_tree(&idle, WITHOUT_SHIM, tree);
    run_forget(&idle);
}

static bool can_run(const struct tree *tree)
{
    char missing[100];
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1); /* short, so that few calls look for programs */
    bool can = trace_can_fail_calls() && have_programs(tree->needs, missing);
    if (!can)
        fprintf(stderr, "skipped: %s (%s)\n", tree->name, trace_can_fail_calls() ? "not here" : "not on this machine");
    return can;
}

ParameterizedTest(int *number, faults, of_any_system_call_leave_a_whole_file, .timeout = 3600)
{
    const struct tree *tree = &trees[*number];
    struct counts counts = { 0 };
    if (!can_run(tree))
        return;
    learn(tree, false);
    size_t step = step_of(walk.count);
    for (size_t i = step / 2; i < walk.count; i += step)
        run_fault(tree, &walk.each[i], &counts);
    fprintf(
        stderr,
        "faults: %s: %zu system calls, %zu ways to fail, %lu run, %lu succeeded, %lu failed with the old file, %lu with the new "
        "one, %lu ended as without the shim (%lu of them never), %lu lost the library, %lu did not come to the call\n",
        tree->name, walk.points, walk.count, counts.runs, counts.succeeded, counts.failed_old, counts.failed_new, counts.as_without,
        counts.hung, counts.without_library, counts.unreached);
    cr_expect_gt(counts.runs, 10);
    leave();
}

/* All that the library does from the open to the rename, with an exec in between; each call fails once. */
Test(faults, of_each_call_of_the_librarys_leave_a_whole_file, .timeout = 120)
{
    const struct tree *tree = trees;
    struct counts counts = { 0 };
    while (strcmp(tree->name, "bash: >") != 0)
        tree++;
    if (!can_run(tree))
        return;
    learn(tree, true);
    const struct fault *last = NULL;
    for (size_t i = 0; i < walk.count; i++) {
        const struct fault *fault = &walk.each[i];
        bool same = last && last->task == fault->task && last->number == fault->number && last->which == fault->which;
        if (!same && fault->task > 0)
            run_fault(tree, fault, &counts);
        last = fault;
    }
    cr_expect_gt(counts.runs, 50);
    cr_expect_eq(counts.runs, counts.succeeded + counts.failed_old + counts.failed_new);
    leave();
}

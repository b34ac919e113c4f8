#include "run.h"

#include <string.h>

#include "../sys/image.h"
#include "../sys/process.h"
#include "../sys/readable.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "intervention.h"
#include "reach.h"
#include "release.h"
#include "spawn_files.h"
#include "turn.h"

/* A copy of an environment with room for the shim's two words. */
struct environment {
    size_t size;
    char **entries; /* NULL: no memory, or not needed */
    size_t count;
};

static void environment_copy(struct environment *copy, char *const *envp)
{
    size_t count = 0;
    while (envp && envp[count])
        count++;
    copy->size = (count + 3) * sizeof *copy->entries;
    copy->count = count;
    copy->entries = scratch_map(copy->size);
    if (!copy->entries)
        return;
    if (count)
        memcpy(copy->entries, envp, count * sizeof *envp);
    memset(copy->entries + count, 0, 3 * sizeof *copy->entries);
}

static void environment_discard(struct environment *copy)
{
    scratch_unmap(copy->entries, copy->size);
}

/* Sets, changes or (with an empty one) removes the word that starts with `name`. */
static void environment_set(struct environment *copy, const char *name, const char *word)
{
    size_t at = 0;
    while (at < copy->count && !text_behind(copy->entries[at], name))
        at++;
    if (at == copy->count)
        copy->count++;
    copy->entries[at] = (char *)word;
}

/* The file that is written to may be the program itself or, for a script, what interprets it. */
static void note_files(struct intervention *intervention, const struct run *run)
{
    const unsigned holds = HOLDS_WRITE | HOLDS_MAP;
    const struct statx *file = &intervention->target.file;
    struct image image;
    struct statx interpreter;
    intervention_held(intervention, holds, sys_device(file), file->stx_ino);
    if (image_inspect(&image, run->dirfd, intervention->candidate) == 0 && image.script &&
        sys_statx(AT_FDCWD, image.interpreter, 0, &interpreter) == 0)
        intervention_held(intervention, holds, sys_device(&interpreter), interpreter.stx_ino);
}

static int find_self_held(const struct intervention *intervention)
{
    const struct holders_scan *scan = &intervention->scan;
    int holder = -1;
    for (size_t i = 0; i < scan->file_count && holder < 0; i++)
        holder = wait_self_held(scan->files[i].device, scan->files[i].inode);
    return holder;
}

static int attempt_at(const struct run *run, run_attempt *attempt, const char *path, char *const *envp)
{
    struct run now = *run;
    now.path = path;
    now.envp = envp;
    return attempt(&now);
}

/*
 * Waits for the file to be let go of. An exec that succeeds doesn't return, so the line that says so goes with the new
 * program, in its environment, where it loads the shim; where it doesn't, a `waiting` line is written first.
 */
static int wait_for_it(struct intervention *intervention, const struct run *run, run_attempt *attempt)
{
    struct wait *wait = &intervention->wait;
    struct environment copy = { 0 };
    /* The search along PATH has found this file; it doesn't go on to another one because this one is busy. */
    const char *path = intervention->candidate[0] ? intervention->candidate : run->path;
    int error = ETXTBSY;

    intervention_begin_wait(intervention, WAIT_FOR_HOLDERS);
    if (!run->spawns && wait->bounds.max_wait_ns) {
        /* The kernel finds the file busy before it looks at the environment. */
        if (readable_list(run->envp) && reach_extends_to(run, intervention->candidate))
            environment_copy(&copy, run->envp);
        if (!copy.entries)
            intervention_say(intervention, "wait", "waiting", "transient");
        if (copy.entries)
            environment_set(&copy, RUN_LEGACY_LINE, intervention->word);
        scratch_may_be_left(copy.entries, copy.size, &copy);
    }
    while ((error == ETXTBSY || error == EINTR) && wait_pause(wait)) {
        if (copy.entries)
            intervention_word(intervention, RUN_LEGACY_LINE);
        error = attempt_at(run, attempt, path, copy.entries ? copy.entries : run->envp);
        if (error == E2BIG && copy.entries) { /* our word was too much: without it, then */
            environment_discard(&copy);
            copy.entries = NULL;
            intervention_say(intervention, "wait", "waiting", "transient");
            error = attempt_at(run, attempt, path, run->envp);
        }
        /* Not the file that execvp would have come to: a script of that name whose interpreter is missing, say. */
        if ((error == ENOENT || error == EACCES) && path != run->path && run->searches)
            error = attempt_at(run, attempt, path = run->path, copy.entries ? copy.entries : run->envp);
    }
    environment_discard(&copy);

    if (error == 0 || error == ENOEXEC) { /* a script without "#!": its caller knows what to do */
        intervention_say_waited(intervention, "succeeded", "transient");
        return error;
    }
    intervention_give_up(intervention, error);
    return ETXTBSY;
}

static long check(const struct run *run, const char *path, int flags)
{
    return sys_call(SYS_execveat, run->dirfd, path, run->argv, run->envp, flags | AT_EXECVE_CHECK) < 0 ? errno : 0;
}

enum { FREE, BUSY, UNKNOWN };

/*
 * Asks the kernel whether it would start the program (Linux 6.14). Valgrind (3.19) starts it, whatever the flags: who doesn't mind
 * one that there isn't is asked no more.
 */
static int look_at(const struct run *run)
{
    const int no_flag = 0x40000000;
    int error = check(run, "/", no_flag) == EINVAL ? (int)check(run, run->path, run->flags) : EINVAL;
    return error == EINVAL ? UNKNOWN : error == ETXTBSY ? BUSY : FREE;
}

/* Only ETXTBSY is worth a wait, the real attempt finds out about the rest. */
static int attempt_check(const struct run *run)
{
    return look_at(run) == BUSY ? ETXTBSY : 0;
}

/* What happens when the first attempt met ETXTBSY. */
static int run_busy(const struct run *run, run_attempt *attempt)
{
    struct intervention *intervention = intervention_begin(&intervention, run->op, run->path, ETXTBSY);
    if (!intervention)
        return ETXTBSY;

    int error = ETXTBSY;
    struct event *event = &intervention->event;
    struct stage_target *target = &intervention->target;
    if (!reach_candidate(run, intervention->candidate)) {
        struct text text = TEXT(intervention->candidate);
        text_add(&text, run->path);
    }
    bool resolved = reach_target(run, intervention->candidate, target);
    if (resolved) {
        event->target = target->path;
        note_files(intervention, run);
    }

    switch (intervention_decide(intervention, POLICY_EXEC, resolved ? target->path : run->path)) {
    case ACTION_OFF:
    case ACTION_REDIRECT:
    case ACTION_ATOMIC:
        break;
    case ACTION_OBSERVE:
        event->reason = "policy";
        intervention_look(intervention, ON_GIVING_UP);
        intervention_say(intervention, "observe", "observed", "refused");
        break;
    case ACTION_RETRY:
        event->held_fd = resolved ? find_self_held(intervention) : -1;
        /* Another thread may be about to close it; there is none in a fork child. */
        if (event->held_fd >= 0 && (process_threads() == 1 || process_borrows_memory())) {
            event->reason = "self-held";
            intervention_say(intervention, "wait", "gave-up", "self-held");
        } else {
            event->held_fd = -1;
            error = wait_for_it(intervention, run, attempt);
        }
        break;
    }
    intervention_end(intervention);
    return error;
}

/* What is to be said of the file that the search along PATH comes to; `otherwise` where there is none. */
static int of_candidate(const struct run *run, int (*question)(const struct run *), int otherwise)
{
    char *candidate = scratch_map(PATH_MAX);
    struct run found = *run;
    found.path = candidate;
    int answer = candidate && reach_candidate(run, candidate) ? question(&found) : otherwise;
    scratch_unmap(candidate, PATH_MAX);
    return answer;
}

static int check_and_wait(const struct run *run)
{
    int error = attempt_check(run);
    return error == ETXTBSY ? run_busy(run, attempt_check) : error;
}

/* Whether it is certain that the program itself isn't what is refused. */
static bool is_free(const struct run *run)
{
    return of_candidate(run, look_at, UNKNOWN) == FREE;
}

/* A spawn that was refused, perhaps for one of the files that it opens. */
static int spawn_refused(const struct run *run, run_attempt *attempt)
{
    struct run again = *run;
    int error = ETXTBSY;
    switch (spawn_files_remedy(run->files)) {
    case SPAWN_FILES_AGAIN:
        return run_program(&again, attempt);
    case SPAWN_FILES_BUSY:
        return ETXTBSY;
    case SPAWN_FILES_IDLE:
        break;
    }
    /* One that couldn't be asked about is no reason to wait as for a program. */
    if (!run->once && run->files->opens && is_free(run) && ((error = attempt(run)) != ETXTBSY || is_free(run)))
        return error;
    return run->once ? ETXTBSY : run_busy(run, attempt);
}

static int run_attempts(const struct run *run, run_attempt *attempt)
{
    int error;
    if (unlikely(policy_foresight() & POLICY_LOCKS))
        turn_to_run(run);
    if (unlikely(run->once) && (error = of_candidate(run, check_and_wait, 0)))
        return error;
    error = attempt(run);
    if (likely(error != ETXTBSY))
        return error;
    return run->files ? spawn_refused(run, attempt) : run_busy(run, attempt);
}

static int run_with_stages(struct run *run, run_attempt *attempt)
{
    char *candidate = scratch_map(PATH_MAX);
    struct environment copy = { 0 };
    bool adopts = true; /* in doubt: a program that isn't told of its stage loses it */

    if (!run->spawns)
        stage_note_writer();
    if (candidate && reach_candidate(run, candidate)) {
        if (run->spawns)
            release_pending(run->op);
        else
            release_all(run->op, STAGE_AT_EXEC);
        /* File actions may pass on any descriptor, close-on-exec or not. */
        enum stage_survivor which = run->files && run->files->now ? STAGE_SURVIVES_BY_FILE_ACTIONS : STAGE_SURVIVES;
        adopts = reach_extends_to(run, candidate);
        release_to_stranger(run->op, which, adopts);
    }
    scratch_unmap(candidate, PATH_MAX);

    struct run announced = *run;
    if (adopts) {
        environment_copy(&copy, run->envp);
        if (copy.entries) {
            environment_set(&copy, RUN_LEGACY_STAGES, RUN_LEGACY_STAGES "1");
            announced.envp = copy.entries;
        } else {
            release_to_stranger(run->op, STAGE_SURVIVES, false);
        }
    }
    int error = run_attempts(&announced, attempt);
    if (error == E2BIG && copy.entries) {
        release_to_stranger(run->op, STAGE_SURVIVES, false);
        error = run_attempts(run, attempt);
    }
    environment_discard(&copy);
    if (run->spawns)
        release_pending(run->op); /* the child had our descriptors until its exec */
    return error;
}

int run_program(struct run *run, run_attempt *attempt)
{
    /* A thread that is cancelled would leave the descriptors of stages behind. */
    bool opened = unlikely(run->files && run->files->files);
    int held = opened ? process_hold_cancellation() : 0;
    /* What can't be read is the kernel's to say, or what else is wrong: nothing starts. */
    bool stages = unlikely(stage_known_count) && readable_text(run->path) && readable_list(run->envp);
    int error = stages ? run_with_stages(run, attempt) : run_attempts(run, attempt);
    if (opened)
        process_let_cancellation(held);
    return error;
}

/* Says the line of the program that waited for this one, if it is one line of JSON. */
static void say_line(const char *line)
{
    size_t length = strlen(line);
    if (length < 3 || line[0] != '{' || line[length - 2] != '}' || strchr(line, '\n') != line + length - 1)
        return;
    struct intervention *intervention = intervention_begin(&intervention, "execve", NULL, 0);
    if (!intervention)
        return;
    intervention_decide(intervention, POLICY_EXEC, intervention->exe);
    event_send(intervention->policy.log, &intervention->event, line, length);
    intervention_end(intervention);
}

void run_legacy_accept(const struct run_legacy *legacy)
{
    if (legacy->stages)
        stage_adopt();
    if (legacy->line)
        say_line(legacy->line);
}

#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS_MAX 256
#define NUMBERS_MAX 512 /* of system calls */
#define SECONDS_MAX 20  /* for one run, on a machine that has other things to do as well */
#define SECONDS_STILL 2 /* without a turn of the processor, and nobody who waits for one, or for a disk */

struct task {
    pid_t pid;
    unsigned calls[NUMBERS_MAX];
};

static struct task tasks[TASKS_MAX];
static unsigned task_count;

static struct task *task_of(pid_t pid)
{
    for (unsigned i = task_count; i-- > 0;)
        if (tasks[i].pid == pid)
            return &tasks[i];
    cr_assert_lt(task_count, TASKS_MAX);
    memset(&tasks[task_count], 0, sizeof *tasks);
    tasks[task_count].pid = pid;
    return &tasks[task_count++];
}

static void be_traced(void)
{
    setpgid(0, 0);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
        _exit(125);
    raise(SIGSTOP);
}

static void tick(int number)
{
    (void)number; /* the wait is interrupted */
}

/* How much of the processor the tree has had so far; *sleeps: none of its tasks is to get more at the moment. */
static unsigned long processor_time(bool *sleeps)
{
    unsigned long sum = 0;
    *sleeps = true;
    for (unsigned i = 0; i < task_count; i++) {
        char path[60], state;
        unsigned long user, system;
        snprintf(path, sizeof path, "/proc/%d/stat", tasks[i].pid);
        char *text = read_file(path, NULL), *behind = strrchr(text, ')');
        if (behind && sscanf(behind + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user, &system) == 3) {
            sum += user + system;
            *sleeps &= state != 'R' && state != 'D';
        }
        free(text);
    }
    return sum;
}

/* A second has gone by. Whether the tree will never end. */
static bool is_hung(unsigned *seconds, unsigned *still, unsigned long *before)
{
    bool sleeps;
    unsigned long now = processor_time(&sleeps);
    *still = sleeps && now == *before ? *still + 1 : 0;
    *before = now;
    return ++*seconds >= SECONDS_MAX || *still > SECONDS_STILL;
}

static void look_at(struct tracer *tracer, pid_t pid)
{
    struct task *task = task_of(pid);
    struct traced_call call = { .pid = pid, .task = (unsigned)(task - tasks) };
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call.info, &call.info) <= 0)
        return;
    bool enters = call.info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (enters) {
        call.which = ++tracer->calls;
        if (call.info.entry.nr < NUMBERS_MAX)
            call.which_of_number = ++task->calls[call.info.entry.nr];
    }
    void (*function)(struct tracer *, const struct traced_call *) = enters ? tracer->entered : tracer->left;
    if (function)
        function(tracer, &call);
}

int trace_tree(struct tracer *tracer, const struct place *place, enum shim shim, const char *environment, const char *command)
{
    char line[1000];
    snprintf(line, sizeof line, "exec %s", command);
    const char *const argv[] = { "/bin/sh", "-c", line, NULL };
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    const struct itimerval each_second = { { 1, 0 }, { 1, 0 } }, never = { 0 };
    struct sigaction action = { .sa_handler = tick };
    int status, first_status = 0;
    unsigned seconds = 0, still = 0;
    unsigned long before = 0;
    pid_t first = start_program_with(place, shim, environment, argv, be_traced), pid;
    tracer->calls = 0;
    tracer->seen_enough = tracer->hung = false;
    task_count = 0;
    cr_assert_eq(waitpid(first, &status, 0), first);
    cr_assert(WIFSTOPPED(status), "the tree can't be traced: %#x", status);
    cr_assert_eq(ptrace(PTRACE_SETOPTIONS, first, 0, options), 0);
    task_of(first);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &each_second, NULL);
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    while ((pid = waitpid(-first, &status, __WALL)) > 0 || errno == EINTR) {
        if (pid < 0) {
            if (!tracer->hung && is_hung(&seconds, &still, &before)) {
                tracer->hung = true;
                kill(-first, SIGKILL);
            }
            continue;
        }
        if (!WIFSTOPPED(status)) {
            if (pid == first)
                first_status = status;
            continue;
        }
        int number = WSTOPSIG(status), pass = 0;
        unsigned long born;
        if (number == (SIGTRAP | 0x80))
            look_at(tracer, pid);
        else if (!(status >> 16) && number != SIGSTOP && number != SIGTRAP)
            pass = number;
        else if (status >> 16 != PTRACE_EVENT_EXEC && status >> 16 && ptrace(PTRACE_GETEVENTMSG, pid, 0, &born) == 0)
            task_of((pid_t)born);
        ptrace(tracer->seen_enough ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, pass);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    return first_status;
}

/* ---- one call -----------------------------------------------------------------------------------------------------------------
 */

#ifdef __x86_64__
#define CALL_NUMBER offsetof(struct user, regs.orig_rax)
#define CALL_RESULT offsetof(struct user, regs.rax)

bool trace_can_fail_calls(void)
{
    return true;
}

void trace_skip_call(const struct traced_call *call)
{
    cr_assert_eq(ptrace(PTRACE_POKEUSER, call->pid, CALL_NUMBER, -1L), 0, "%s", strerror(errno));
}

void trace_fail_call(const struct traced_call *call, int error)
{
    cr_assert_eq(ptrace(PTRACE_POKEUSER, call->pid, CALL_RESULT, (long)-error), 0, "%s", strerror(errno));
}

#else

bool trace_can_fail_calls(void)
{
    return false;
}

void trace_skip_call(const struct traced_call *call)
{
    (void)call;
}

void trace_fail_call(const struct traced_call *call, int error)
{
    (void)call;
    (void)error;
}

#endif

/* The library makes its system calls by itself: libc has no part in them. */
bool trace_is_librarys(const struct traced_call *call)
{
    char path[40], line[600];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", call->pid);
    FILE *maps = fopen(path, "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long from, to, at = (unsigned long)call->info.instruction_pointer;
        found = sscanf(line, "%lx-%lx", &from, &to) == 2 && at >= from && at < to && strstr(line, "/libetxtbsy.so");
    }
    if (maps)
        fclose(maps);
    return found;
}

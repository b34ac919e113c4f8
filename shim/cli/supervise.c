#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What ends or moves a program when somebody sends it; the others are about the process itself. */
static const int handed_on[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,  SIGUSR2, SIGALRM,
                                 SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH, SIGIO,   SIGPWR };
#define HANDED_ON (sizeof handed_on / sizeof *handed_on)

/* As the command stopped, so do we, for the shell to see. When we go on, so does the command, whoever was told. */
static void stop_like(pid_t child, int number)
{
    sigset_t only;
    siginfo_t continued = { .si_pid = 0 };
    struct sigaction default_action = { .sa_handler = SIG_DFL }, before;
    sigemptyset(&only);
    sigaddset(&only, number);
    if (number != SIGSTOP)
        sigaction(number, &default_action, &before);
    /* Together with the terminal's, which may be pending: the signal that makes us go on takes away what is left of both. */
    raise(number);
    sigprocmask(SIG_UNBLOCK, &only, NULL); /* stops here */
    if (number != SIGSTOP) {
        sigprocmask(SIG_BLOCK, &only, NULL);
        sigaction(number, &before, NULL);
    }
    if (waitid(P_PID, (id_t)child, &continued, WCONTINUED | WNOHANG) == 0 && !continued.si_pid)
        kill(child, SIGCONT);
}

/* Whether the command has ended, with its status. Others may be ours, too: those of whoever became this command by exec. */
static bool reap(pid_t child, int *status)
{
    pid_t pid;
    int found;
    while ((pid = waitpid(-1, &found, WNOHANG | WUNTRACED)) > 0) {
        if (pid != child)
            continue;
        *status = found;
        if (!WIFSTOPPED(found))
            return true;
        stop_like(child, WSTOPSIG(found));
    }
    return false;
}

/*
 * A signal from the terminal has gone to all of the process group, the command included. One that a process sent may have been
 * meant for this process alone, so it is handed on.
 */
static bool is_from_terminal(const siginfo_t *information)
{
    return information->si_code > 0;
}

static int wait_for(pid_t child, const sigset_t *signals)
{
    int status;
    siginfo_t information;
    while (!reap(child, &status)) {
        int number = sigwaitinfo(signals, &information);
        if (number > 0 && number != SIGCHLD && !is_from_terminal(&information))
            kill(child, number);
    }
    return status;
}

static void let_go_of_everything(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    close_range(STDERR_FILENO + 1, ~0u, 0);
    if (chdir("/") < 0)
        return; /* then its directory stays busy as long as the command runs */
}

int supervise(int (*start)(void *context), void *context)
{
    sigset_t signals, before;
    struct sigaction default_action = { .sa_handler = SIG_DFL }, on_child;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    for (size_t i = 0; i < HANDED_ON; i++)
        sigaddset(&signals, handed_on[i]);
    sigprocmask(SIG_BLOCK, &signals, &before);
    sigaction(SIGCHLD, &default_action, &on_child); /* ignored, it would take the exit status away */

    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        /* Killed, we can't hand it on. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            raise(SIGKILL);
        sigaction(SIGCHLD, &on_child, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        _exit(start(context));
    }
    if (child < 0) {
        int error = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        errno = error;
        return -1;
    }
    let_go_of_everything();
    return wait_for(child, &signals);
}

void supervise_end(int wait_status)
{
    fflush(NULL);
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        struct rlimit no_core = { 0 }; /* the command has left one, where it is wanted */
        sigset_t only;
        getrlimit(RLIMIT_CORE, &no_core);
        no_core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(number, SIG_DFL);
        sigemptyset(&only);
        sigaddset(&only, number);
        sigprocmask(SIG_UNBLOCK, &only, NULL);
        raise(number);
        _exit(128 + number);
    }
    _exit(WEXITSTATUS(wait_status));
}

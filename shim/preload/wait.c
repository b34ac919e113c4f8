#include "../remedy/release.h"
#include "../stage/stage.h"
#include "entries.h"

/*
 * A program that doesn't want to know how its child ended is asked for the status all the same: it may have come to have a stage
 * while it waited.
 */

/* What it wrote is in place when its parent knows of its end; unless somebody else has the stage still. */
static void end_of_writer(pid_t pid, int signal)
{
    if (stage_writer_ended(pid, signal))
        release_awaited("wait");
}

pid_t preload_waited(pid_t pid, const int *status)
{
    if (unlikely(stage_known_count) && pid > 0 && (WIFEXITED(*status) || WIFSIGNALED(*status)))
        end_of_writer(pid, WIFSIGNALED(*status) ? WTERMSIG(*status) : 0);
    return pid;
}

int preload_told(int result, const siginfo_t *info)
{
    if (unlikely(stage_known_count) && result == 0 && info->si_pid > 0)
        switch (info->si_code) {
        case CLD_EXITED:
        case CLD_KILLED:
        case CLD_DUMPED:
            end_of_writer(info->si_pid, info->si_code == CLD_EXITED ? 0 : info->si_status);
            break;
        default:
            break;
        }
    return result;
}

pid_t wrap_wait(int *status)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(wait)(status), status);
}

pid_t wrap___wait(int *status)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(__wait)(status), status);
}

pid_t wrap_waitpid(pid_t which, int *status, int options)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(waitpid)(which, status, options), status);
}

pid_t wrap___waitpid(pid_t which, int *status, int options)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(__waitpid)(which, status, options), status);
}

pid_t wrap_wait3(int *status, int options, struct rusage *usage)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(wait3)(status, options, usage), status);
}

pid_t wrap_wait4(pid_t which, int *status, int options, struct rusage *usage)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(wait4)(which, status, options, usage), status);
}

int wrap_waitid(idtype_t kind, id_t which, siginfo_t *info, int options)
{
    siginfo_t own = { 0 };
    info = info ? info : &own;
    return preload_told(NEXT(waitid)(kind, which, info, options), info);
}

#ifdef HAS_TIME64_NAMES
pid_t wrap___wait3_time64(int *status, int options, struct rusage_time64 *usage)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(__wait3_time64)(status, options, usage), status);
}

pid_t wrap___wait4_time64(pid_t which, int *status, int options, struct rusage_time64 *usage)
{
    int own = 0;
    status = status ? status : &own;
    return preload_waited(NEXT(__wait4_time64)(which, status, options, usage), status);
}
#endif

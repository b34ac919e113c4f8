#include "../remedy/release.h"
#include "entries.h"
#include "streams.h"

/*
 * exit() runs destructors before stdio's last flush. The streams that lead to a stage are flushed here, so that the file is
 * complete when it takes the target's name; the others are left to exit().
 */
__attribute__((destructor)) static void leave(void)
{
    if (likely(!stage_known_count))
        return;
    streams_finish("exit");
    release_all("exit", STAGE_AT_EXIT);
}

void wrap__exit(int status)
{
    if (unlikely(stage_known_count))
        release_all("_exit", STAGE_AT_EXIT);
    NEXT(_exit)(status);
    __builtin_unreachable();
}

void wrap__Exit(int status)
{
    if (unlikely(stage_known_count))
        release_all("_Exit", STAGE_AT_EXIT);
    NEXT(_Exit)(status);
    __builtin_unreachable();
}

void wrap_quick_exit(int status)
{
    if (unlikely(stage_known_count))
        release_all("quick_exit", STAGE_AT_EXIT);
    NEXT(quick_exit)(status);
    __builtin_unreachable();
}

/*
 * The parent ends, and the child's descriptors 0 to 2 go, inside libc, where no wrapper is called: published before, and
 * what the child writes later still lands.
 */
int wrap_daemon(int nochdir, int noclose)
{
    if (unlikely(stage_known_count)) {
        streams_finish("daemon");
        release_all("daemon", STAGE_AT_EXIT);
    }
    return NEXT(daemon)(nochdir, noclose);
}

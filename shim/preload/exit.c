#include <stdio.h>
#include <stdio_ext.h>

#include "../remedy/release.h"
#include "../sys/next.h"
#include "entries.h"

/*
 * exit() runs destructors before stdio's last flush. The streams that lead to a stage are flushed here, so that the file is
 * complete when it takes the target's name; the others are left to exit(). A stream that another thread has locked is left, too:
 * exit() doesn't wait for it either.
 */
static void flush_stages(void)
{
    FILE **all = (FILE **)next_symbol("_IO_list_all");
    next_function lock = next_symbol("_IO_list_lock"), unlock = next_symbol("_IO_list_unlock");
    if (!lock || !unlock)
        return;
    lock();
    for (FILE *stream = all ? *all : NULL; stream; stream = stream->_chain)
        if (stream->_fileno >= 0 && stage_is(stream->_fileno) && ftrylockfile(stream) == 0) {
            fflush_unlocked(stream);
            funlockfile(stream);
        }
    unlock();
}

__attribute__((destructor)) static void leave(void)
{
    if (likely(!stage_known_count))
        return;
    flush_stages();
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
        flush_stages();
        release_all("daemon", STAGE_AT_EXIT);
    }
    return NEXT(daemon)(nochdir, noclose);
}

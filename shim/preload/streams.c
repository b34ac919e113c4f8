#include "streams.h"

#include <stdbool.h>

#include "../remedy/failure.h"
#include "../sys/next.h"
#include "entries.h"

/* libio.h, which programs can't include any more; the values are the ABI of every glibc 2. */
#define IO_ERR_SEEN 0x0020
#define IO_CURRENTLY_PUTTING 0x0800

static bool is_putting(const FILE *stream)
{
    return stream->_flags & IO_CURRENTLY_PUTTING;
}

/*
 * glibc drops a buffer that it could not write, keeps no errno of it, and fclose doesn't tell (2.36, measured): the error flag is
 * all that is left. A failed read sets it, too, but ends putting; so does a seek, behind which a loss can't be told from it.
 */
static bool has_lost(const FILE *stream)
{
    return is_putting(stream) && (stream->_flags & IO_ERR_SEEN);
}

/* What the write met is in errno still, unless the program has called something else since. */
static int lost_errno(int error)
{
    return failure_is(error) ? error : EIO;
}

int stream_finish(const char *op, FILE *stream)
{
    if (!is_putting(stream)) /* a flush would move the offset that others share */
        return 0;
    int before = errno;
    bool lost = has_lost(stream);
    int result = NEXT(fflush)(stream);
    if (result || lost)
        failure_of_write(op, stream->_fileno, result ? errno : lost_errno(before));
    return result;
}

void stream_forgive(const char *op, FILE *stream)
{
    if (has_lost(stream))
        failure_of_write(op, stream->_fileno, lost_errno(errno));
}

enum work { FINISH, FORGIVE };

/* Goes through all streams as exit() does, which doesn't wait for one that another thread has locked either. */
static void each_stream(const char *op, enum work work)
{
    FILE **all = (FILE **)next_symbol("_IO_list_all");
    next_function lock = next_symbol("_IO_list_lock"), unlock = next_symbol("_IO_list_unlock");
    if (!lock || !unlock)
        return;
    lock();
    for (FILE *stream = all ? *all : NULL; stream; stream = stream->_chain)
        if (stream->_fileno >= 0 && stage_is(stream->_fileno) && ftrylockfile(stream) == 0) {
            if (work == FINISH)
                stream_finish(op, stream);
            else
                stream_forgive(op, stream);
            funlockfile(stream);
        }
    unlock();
}

void streams_finish(const char *op)
{
    each_stream(op, FINISH);
}

void streams_failed(const char *op)
{
    each_stream(op, FORGIVE);
}

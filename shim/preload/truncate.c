#include "../remedy/write.h"
#include "entries.h"

static int answer(int result, int before, const char *op, const char *path, int64_t length)
{
    if (likely(result == 0 || errno != ETXTBSY))
        return result;
    result = write_truncate(op, path, length);
    if (result == 0)
        errno = before;
    return result;
}

int wrap_truncate(const char *path, off_t length)
{
    int result, before = errno;
    return write_truncate_forestalled("truncate", path, length, &result)
               ? result
               : answer(NEXT(truncate)(path, length), before, "truncate", path, length);
}

int wrap_truncate64(const char *path, off64_t length)
{
    int result, before = errno;
    return write_truncate_forestalled("truncate64", path, length, &result)
               ? result
               : answer(NEXT(truncate64)(path, length), before, "truncate64", path, length);
}

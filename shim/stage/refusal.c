#include "refusal.h"

#include <errno.h>

const char *refusal_of(const char *otherwise)
{
    switch (errno) {
    case EMFILE:
    case ENFILE:
        return "descriptors";
    case EROFS:
        return "read-only";
    case ENOSPC:
        return "no-space";
    case EDQUOT:
    case EFBIG: /* the process's own limit */
        return "quota";
    case ENAMETOOLONG:
        return "name-too-long";
    case EXDEV: /* a directory whose files belong to a project takes no file of another */
        return "attributes";
    default:
        return otherwise;
    }
}

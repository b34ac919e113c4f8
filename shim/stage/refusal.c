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
        return "quota";
    case ENAMETOOLONG:
        return "name-too-long";
    default:
        return otherwise;
    }
}

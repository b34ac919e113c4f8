#include "process.h"

#include <sys/prctl.h>

#include "call.h"

bool process_borrows_memory(void)
{
    int saved = errno;
    void *head = NULL;
    size_t length = 0;
    bool known = sys_call(SYS_get_robust_list, 0L, &head, &length) == 0;
    errno = saved;
    return known && !head;
}

unsigned process_threads(void)
{
    int saved = errno;
    struct statx task;
    /* A directory has a link for itself, one for its name, and one for each directory in it. */
    bool known = sys_statx(AT_FDCWD, "/proc/self/task", 0, &task) == 0 && task.stx_nlink > 2;
    errno = saved;
    return known ? task.stx_nlink - 2 : 1;
}

void process_comm(char comm[16])
{
    int saved = errno;
    comm[0] = '\0';
    sys_call(SYS_prctl, PR_GET_NAME, comm, 0L, 0L, 0L);
    comm[15] = '\0';
    errno = saved;
}

void process_exe(char *path, size_t size)
{
    int saved = errno;
    ssize_t length = sys_readlink("/proc/self/exe", path, size - 1);
    path[length > 0 ? length : 0] = '\0';
    errno = saved;
}

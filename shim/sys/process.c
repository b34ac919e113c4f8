#include "process.h"

#include <linux/capability.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "call.h"
#include "next.h"
#include "text.h"

bool process_borrows_memory(void)
{
    int saved = errno;
    void *head = NULL;
    size_t length = 0;
    bool known = sys_call(SYS_get_robust_list, 0L, &head, &length) == 0;
    errno = saved;
    return known && !head;
}

int process_hold_cancellation(void)
{
    int held;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held);
    return held;
}

void process_let_cancellation(int held)
{
    pthread_setcancelstate(held, NULL);
}

char **process_environment(void)
{
    /* libc's own name for it: whichever of its names a program takes a copy of, this one follows. */
    static char ***environment;
    if (!environment)
        environment = next_shared("__environ");
    return environment ? *environment : NULL;
}

AT_START unsigned long process_auxiliary(unsigned long type, unsigned long unknown)
{
    /* Looked up like this, it costs nothing in a process that doesn't ask: see next.c. */
    static const char name[] AT_START_STRING = "getauxval";
    unsigned long (*find)(unsigned long) = (unsigned long (*)(unsigned long))next_shared(name);
    int saved = errno;
    errno = 0;
    unsigned long value = find ? find(type) : 0;
    bool known = find && (value || errno != ENOENT);
    errno = saved;
    return known ? value : unknown;
}

AT_START bool process_is_secure(void)
{
    return process_auxiliary(AT_SECURE, 1);
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

const char *process_path(char path[PROCESS_PATH_SIZE], pid_t pid, const char *name)
{
    struct text text = text_over(path, PROCESS_PATH_SIZE);
    text_add(&text, "/proc/");
    text_number(&text, (uint64_t)pid);
    text_add(&text, name);
    return path;
}

pid_t process_parent(pid_t pid)
{
    int saved = errno;
    char path[PROCESS_PATH_SIZE], stat[128];
    int fd = sys_openat(AT_FDCWD, process_path(path, pid, "/stat"), O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = fd < 0 ? 0 : sys_read(fd, stat, sizeof stat - 1);
    sys_close_quietly(fd);
    stat[length > 0 ? length : 0] = '\0';
    /* "pid (comm) state ppid ..."; the name may have anything in it. */
    const char *at = strrchr(stat, ')');
    uint64_t parent = 0;
    if (at && strlen(at) > 4)
        text_to_number(at + 4, strcspn(at + 4, " "), &parent);
    errno = saved;
    return (pid_t)parent;
}

uint64_t process_namespace(void)
{
    int saved = errno;
    struct statx file;
    uint64_t number = sys_statx(AT_FDCWD, "/proc/self/ns/pid", 0, &file) == 0 ? file.stx_ino : 0;
    errno = saved;
    return number;
}

bool process_descends_from(pid_t ancestor)
{
    const int generations_max = 64;
    pid_t pid = sys_getpid();
    for (int generation = 0; generation < generations_max && pid > 0; generation++, pid = process_parent(pid))
        if (pid == ancestor)
            return true;
    return false;
}

bool process_has_capability(int number)
{
    int saved = errno;
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
    bool has = sys_call(SYS_capget, &header, sets) == 0 && sets[CAP_TO_INDEX(number)].effective & CAP_TO_MASK(number);
    errno = saved;
    return has;
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

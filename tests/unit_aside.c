#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/sys/aside.h"
#include "../shim/sys/call.h"

#include "harness.h"

static volatile sig_atomic_t heard;

static void hear(int number)
{
    (void)number;
    heard++;
}

/* What it does stays with it. */
static int change(void *context)
{
    int fd = *(int *)context;
    sys_close(fd);
    return sys_call(SYS_chdir, "/") == 0 && sys_fcntl(fd, F_GETFD, 0) < 0 ? 7 : 1;
}

static int die(void *context)
{
    (void)context;
    sys_call(SYS_kill, sys_getpid(), SIGKILL);
    return 0;
}

Test(aside, changes_nothing_here_and_nobody_is_told)
{
    char before[PATH_MAX], after[PATH_MAX];
    struct flock lock = { .l_type = F_WRLCK };
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    cr_assert_eq(fcntl(fd, F_SETLK, &lock), 0);
    cr_assert(getcwd(before, sizeof before));
    cr_assert_neq(signal(SIGCHLD, hear), SIG_ERR);
    errno = EXDEV;
    cr_expect_eq(aside(change, &fd), 7);
    cr_expect_eq(aside(die, NULL), -1);
    cr_expect_eq(errno, EXDEV);
    cr_expect_eq(heard, 0);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_expect_eq(errno, ECHILD);
    cr_assert(getcwd(after, sizeof after));
    cr_expect_str_eq(after, before);
    cr_expect_geq(fcntl(fd, F_GETFD), 0);
    pid_t other = fork();
    if (other == 0)
        _exit(fcntl(fd, F_SETLK, &lock) == 0);
    int status;
    cr_expect(waitpid(other, &status, 0) == other && status == 0, "the record lock is gone");
}

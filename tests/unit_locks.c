/*
 * Who has a lock on a file, asked of real files and real processes.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/sys/call.h"
#include "../shim/sys/locks.h"
#include "../shim/sys/process.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char path[] = "/tmp/etxtbsy-locks-XXXXXX";
static struct statx file;

static void make(void)
{
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "0123456789", 10), 10);
    close(fd);
    cr_assert_eq(sys_statx(AT_FDCWD, path, 0, &file), 0);
}

static void drop(void)
{
    unlink(path);
}

TestSuite(locks, .init = make, .fini = drop);

static bool ask(enum locks_conflict conflict)
{
    return locks_of_others(AT_FDCWD, path, &file, conflict);
}

enum kind { FLOCK, POSIX, OFD };

static const struct lock {
    enum kind kind;
    int type;
    off_t start, length;
    bool exclusive;
} kinds[] = {
    { FLOCK, LOCK_SH, 0, 0, false }, { FLOCK, LOCK_EX, 0, 0, true }, { POSIX, F_RDLCK, 0, 0, false },
    { POSIX, F_WRLCK, 0, 0, true },  { POSIX, F_WRLCK, 1, 1, true }, { POSIX, F_RDLCK, 999, 1, false },
    { OFD, F_RDLCK, 0, 0, false },   { OFD, F_WRLCK, 0, 0, true },   { OFD, F_WRLCK, 5000, 1, true },
};

static int take(const struct lock *lock)
{
    struct flock record = { .l_type = (short)lock->type, .l_whence = SEEK_SET, .l_start = lock->start, .l_len = lock->length };
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int result = lock->kind == FLOCK ? flock(fd, lock->type) : fcntl(fd, lock->kind == POSIX ? F_SETLK : F_OFD_SETLK, &record);
    cr_assert_eq(result, 0);
    return fd;
}

/* A child that takes a lock and has it until it is killed. */
static pid_t fork_locker(const struct lock *lock)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take(lock);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

Test(locks, of_others_count_as_they_conflict)
{
    unsigned open_before = descriptors();
    cr_expect_not(ask(LOCKS_ANY));
    cr_expect_not(ask(LOCKS_EXCLUSIVE));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        pid_t locker = fork_locker(&kinds[i]);
        errno = ETXTBSY;
        cr_expect(ask(LOCKS_ANY), "%zu", i);
        cr_expect_eq(ask(LOCKS_EXCLUSIVE), kinds[i].exclusive, "%zu", i);
        cr_expect_eq(errno, ETXTBSY);
        end(locker);
        cr_expect_not(ask(LOCKS_ANY), "%zu", i);
    }
    cr_expect_eq(descriptors(), open_before);
}

/* What a script does: the description is a shell's by the time that flock(1) has gone. */
Test(locks, of_a_description_count_when_their_taker_has_gone)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t shell = fork();
    if (shell == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(path, O_RDONLY);
        pid_t taker = fork();
        if (taker == 0)
            _exit(flock(fd, LOCK_EX) == 0 ? 0 : 1);
        waitpid(taker, NULL, 0);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect(ask(LOCKS_EXCLUSIVE));
    end(shell);
    cr_expect_not(ask(LOCKS_EXCLUSIVE));
}

static bool has_own_lock(int fd)
{
    char name[64], info[1024] = "";
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    int from = open(name, O_RDONLY);
    cr_assert_gt(read(from, info, sizeof info - 1), 0);
    close(from);
    return strstr(info, "lock:");
}

Test(locks, of_ones_own_do_not_count_and_are_not_lost)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int entered, fd = take(&kinds[i]);
        cr_expect_not(ask(LOCKS_ANY), "%zu", i);
        cr_expect(locks_enter(AT_FDCWD, path, &file, &entered), "%zu", i);
        cr_expect_eq(entered, -1, "%zu", i);
        locks_leave(entered);
        cr_expect(has_own_lock(fd), "%zu", i);
        close(fd);
    }
}

Test(locks, of_parents_and_their_parents_do_not_count)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (int inherits = 0; inherits < 2; inherits++) {
            int fd = take(&kinds[i]), status;
            pid_t child = fork();
            if (child == 0) {
                pid_t grandchild = fork();
                if (grandchild == 0) {
                    int entered;
                    if (!inherits)
                        close(fd);
                    if (ask(LOCKS_ANY))
                        _exit(1);
                    if (!locks_enter(AT_FDCWD, path, &file, &entered))
                        _exit(2);
                    locks_leave(entered);
                    _exit(0);
                }
                waitpid(grandchild, &status, 0);
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
            }
            waitpid(child, &status, 0);
            cr_expect_eq(status, 0, "lock %zu, inherited %d: %#x", i, inherits, status);
            cr_expect(has_own_lock(fd), "%zu", i);
            close(fd);
        }
}

Test(locks, of_a_child_count)
{
    pid_t locker = fork_locker(&kinds[1]);
    cr_expect(ask(LOCKS_ANY));
    end(locker);
}

Test(locks, are_not_asked_of_what_is_no_regular_file_or_another_one)
{
    struct statx other;
    pid_t locker = fork_locker(&kinds[1]);
    cr_assert_eq(sys_statx(AT_FDCWD, "/", 0, &other), 0);
    cr_expect_not(locks_of_others(AT_FDCWD, "/", &other, LOCKS_ANY));
    cr_assert_eq(sys_statx(AT_FDCWD, "/proc/self/exe", 0, &other), 0);
    cr_expect_not(locks_of_others(AT_FDCWD, path, &other, LOCKS_ANY), "another file");
    cr_expect_not(locks_of_others(AT_FDCWD, "/nowhere", &file, LOCKS_ANY));
    char link[64];
    snprintf(link, sizeof link, "%s-link", path);
    cr_assert_eq(symlink(path, link), 0);
    cr_expect_not(locks_of_others(AT_FDCWD, link, &file, LOCKS_ANY), "through a symbolic link");
    unlink(link);
    end(locker);
}

Test(locks, to_enter_exclude_each_other)
{
    int first, second, go[2], ready[2];
    char byte;
    unsigned open_before = descriptors();
    cr_expect(locks_enter(AT_FDCWD, path, &file, &first));
    cr_expect_geq(first, 0);
    locks_leave(first);
    cr_expect_eq(descriptors(), open_before);

    cr_assert_eq(pipe(go) + pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool entered = locks_enter(AT_FDCWD, path, &file, &first);
        if (!entered || write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        pid_t bystander = fork(); /* keeps the description, as another thread's child would */
        if (bystander == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            sleep(60);
            _exit(0);
        }
        locks_leave(first);
        if (write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(2);
        end(bystander);
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect_not(locks_enter(AT_FDCWD, path, &file, &second));
    cr_expect_eq(second, -1);
    cr_assert_eq(write(go[1], "x", 1), 1);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect(locks_enter(AT_FDCWD, path, &file, &second), "a bystander has kept the lock");
    locks_leave(second);
    cr_assert_eq(write(go[1], "x", 1), 1);
    int status;
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
}

/* ---- descent ---- */

Test(locks, process_descends_from_itself_its_parents_and_nobody_else)
{
    int status;
    pid_t self = getpid(), sibling = fork_locker(&kinds[0]);
    cr_expect(process_descends_from(self));
    cr_expect(process_descends_from(getppid()));
    cr_expect_not(process_descends_from(sibling));
    cr_expect_not(process_descends_from(2147483647));
    cr_expect_eq(process_parent(self), getppid());
    cr_expect_eq(process_parent(2147483647), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, ") R 1 (x) S 1 ");
        bool right = process_parent(getpid()) == self && process_descends_from(self) && !process_descends_from(sibling);
        _exit(right ? 0 : 1);
    }
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
    end(sibling);
}

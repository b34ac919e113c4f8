/*
 * The scan for holders, the list that a line has of them, and where a process runs, on /proc and on files like those in it.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../shim/event/event.h"
#include "../shim/event/json.h"
#include "../shim/sys/call.h"
#include "../shim/sys/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

TestSuite(holders, .timeout = 60);
TestSuite(host, .timeout = 30);

static long without_proc(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_openat && !strncmp((const char *)b, "/proc", 5)) {
        errno = ENOENT;
        return -1;
    }
    return syscall(number, a, b, c, d, e, f);
}

static struct holders_scan *scan;
static struct holder_list *list;

static void begin(unsigned looks_for, const char *path)
{
    struct statx file;
    scan = calloc(1, sizeof *scan);
    list = calloc(1, sizeof *list);
    holders_begin(scan, looks_for);
    scan->found = holder_list_add;
    scan->context = list;
    cr_assert_eq(sys_statx(AT_FDCWD, path, 0, &file), 0);
    holders_add_file(scan, sys_device(&file), file.stx_ino);
}

static const char *write_list(void)
{
    static char buffer[1 << 16];
    struct json json = json_begin(buffer, sizeof buffer);
    holder_list_write(&json, list);
    buffer[json_end(&json)] = '\0';
    return buffer;
}

static size_t find(pid_t pid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->holder[i].pid == pid)
            return i;
    cr_assert_fail("%d isn't in %s", pid, write_list());
    return 0;
}

static char held[] = "/tmp/etxtbsy-unit-XXXXXX";

static int make_file(void)
{
    int fd = mkstemp(held);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    return fd;
}

Test(holders, finds_itself_in_each_way)
{
    int fd = make_file(), reads = open(held, O_RDONLY);
    begin(HOLDS_WRITE | HOLDS_MAP, held);
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    size_t i = find(getpid());
    cr_expect_eq(list->holder[i].how, HOLDS_WRITE);
    cr_expect_eq(list->holder[i].fd, fd);
    cr_expect_eq(list->holder[i].uid, geteuid());
    time_t age = time(NULL) - (time_t)(list->holder[i].started_ns / CLOCK_SECOND);
    cr_expect(age >= -1 && age < 60, "%ld s old", (long)age);

    void *mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    begin(HOLDS_WRITE | HOLDS_MAP, held);
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_assert_eq(list->count, 1);
    cr_expect_eq(list->holder[find(getpid())].how, HOLDS_MAP, "who reads isn't a writer");
    munmap(mapping, 4096);
    close(reads);
    begin(HOLDS_WRITE | HOLDS_MAP, held);
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect_eq(list->count, 0, "%s", write_list());
    unlink(held);
}

/* Our own program is executed by all tests that run beside this one, more than a list has room for. */
static void note_us(void *context, const struct holder *holder)
{
    bool *seen = context; /* this process, the test runner */
    seen[0] |= holder->pid == getpid();
    seen[1] |= holder->pid == getppid();
}

Test(holders, finds_itself_executing)
{
    bool seen[2] = { false };
    begin(HOLDS_EXEC, "/proc/self/exe");
    scan->found = note_us;
    scan->context = seen;
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect(seen[0]);
    cr_expect(seen[1]);

    bool others[2] = { false };
    begin(HOLDS_EXEC, "/proc/self/exe");
    scan->found = note_us;
    scan->context = others;
    scan->leave_out = getppid();
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect(others[0]);
    cr_expect_not(others[1]);
}

Test(holders, finds_who_executes_it)
{
    char command[100], *const argv[] = { held, "60", NULL };
    pid_t pid;
    close(make_file());
    snprintf(command, sizeof command, "cp /bin/sleep %s && chmod 700 %s", held, held);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(posix_spawn(&pid, held, NULL, NULL, argv, NULL), 0);
    begin(HOLDS_EXEC, held);
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect_eq(list->holder[find(pid)].how, HOLDS_EXEC);
    cr_expect_eq(list->count, 1, "%s", write_list());

    begin(HOLDS_EXEC, held);
    scan->leave_out = pid;
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect_eq(list->count, 0, "%s", write_list());
    kill(pid, SIGKILL);
    unlink(held);
}

/* A mapping is looked for only where no descriptor is found, unless somebody wants to know all. */
Test(holders, is_thorough_when_told_so)
{
    int fd = make_file();
    void *mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(mapping, MAP_FAILED);
    for (int thorough = 0; thorough < 2; thorough++) {
        begin(HOLDS_WRITE | HOLDS_MAP, held);
        scan->thorough = thorough;
        cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
        cr_expect_eq(list->count, thorough + 1u);
    }
    unlink(held);
}

Test(holders, can_be_looked_for_in_pieces)
{
    make_file();
    begin(HOLDS_WRITE, held);
    cr_expect_not(holders_look(scan, 0), "nothing can be done in no time");
    cr_expect_eq(list->count, 0);
    int pieces = 1;
    while (!holders_look(scan, 50000) && pieces < 100000)
        pieces++;
    cr_expect_lt(pieces, 100000);
    find(getpid());
    cr_expect_eq(list->count, 1, "each is found once");
    unlink(held);
}

Test(holders, leaves_errno_and_descriptors)
{
    make_file();
    int before = dup(2);
    close(before);
    begin(HOLDS_EXEC | HOLDS_WRITE | HOLDS_MAP, held);
    scan->thorough = true;
    errno = ETXTBSY;
    holders_look(scan, 10 * CLOCK_SECOND);
    cr_expect_eq(errno, ETXTBSY);
    int after = dup(2);
    cr_expect_eq(after, before);
    unlink(held);
}

Test(holders, says_that_it_could_not_look)
{
    make_file();
    begin(HOLDS_WRITE, held);
    sys_entry = without_proc;
    cr_expect(holders_look(scan, CLOCK_SECOND));
    cr_expect(scan->incomplete);
    unlink(held);
}

Test(holders, counts_those_that_it_may_not_look_at)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: only root can become nobody\n");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) || setuid(65534))
            _exit(2);
        begin(HOLDS_WRITE | HOLDS_MAP, "/tmp");
        scan->thorough = true;
        holders_look(scan, 10 * CLOCK_SECOND);
        _exit(scan->hidden > 1 && scan->hidden <= scan->count ? 0 : 1); /* once for each, not once for each way */
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
}

Test(holders, are_cut_when_there_are_too_many)
{
    enum { CHILDREN = HOLDER_LIST_MAX + 6 };
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        if ((children[i] = fork()) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
    begin(HOLDS_EXEC, "/proc/self/exe");
    cr_assert(holders_look(scan, 10 * CLOCK_SECOND));
    cr_expect_eq(list->count, HOLDER_LIST_MAX);
    struct json_object *object = json_tokener_parse(write_list()), *value;
    cr_assert_not_null(object);
    cr_assert(json_object_object_get_ex(object, "holders_truncated", &value));
    cr_expect(json_object_get_boolean(value));
    cr_assert(json_object_object_get_ex(object, "holders", &value));
    cr_expect_eq(json_object_array_length(value), HOLDER_LIST_MAX);
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

/* Whatever the room: valid JSON, whole holders, and a word where some are left out. */
Test(holders, fit_into_any_room)
{
    static char line[EVENT_LINE_SIZE];
    list = calloc(1, sizeof *list);
    for (int i = 0; i < 20; i++) {
        struct holder holder = { .pid = 1000 + i, .how = HOLDS_WRITE, .fd = i, .comm = "a\"\xff" };
        memset(holder.exe, 'e', (size_t)i * 20);
        holder_list_add(list, &holder);
    }
    for (size_t size = 3; size < 6000; size += size < 200 ? 1 : 13) {
        memset(line, 0xaa, sizeof line);
        struct json json = json_begin(line, size);
        json_string(&json, "a", "b");
        holder_list_write(&json, list);
        size_t length = json_end(&json);
        cr_assert_leq(length, size);
        cr_assert_eq((unsigned char)line[size], 0xaa, "beyond %zu", size);
        line[length - 1] = '\0';
        struct json_object *object = json_tokener_parse(line), *holders, *cut;
        cr_assert_not_null(object, "%zu: %s", size, line);
        if (!json_object_object_get_ex(object, "holders", &holders))
            continue;
        bool truncated = json_object_object_get_ex(object, "holders_truncated", &cut);
        cr_assert_eq(json_object_array_length(holders) < list->count, truncated, "%zu: %s", size, line);
        for (size_t i = 0; i < json_object_array_length(holders); i++)
            cr_assert(json_object_object_get_ex(json_object_array_get_idx(holders, i), "fd", NULL), "half a holder: %s", line);
        json_object_put(object);
    }
}

/* ---- where a process runs -----------------------------------------------------------------------------------------------------
 */

static char directory[] = "/tmp/etxtbsy-h-XXXXXX";

static void put(const char *name, const char *content)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    fputs(content, file);
    fclose(file);
}

static void enter(void)
{
    cr_assert(mkdtemp(directory));
}

static void leave(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Test(host, has_the_unit_of_its_cgroup, .init = enter, .fini = leave)
{
    static const struct {
        const char *cgroup, *unit, *container;
    } rows[] = {
        { "0::/system.slice/app.service\n", "app.service", "" },
        { "0::/system.slice/app.service/sub\n", "app.service", "" },
        { "0::/\n", "", "" },
        { "0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", "" },
        { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/x.service\n", "x.service", "" },
        { "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "init.scope", "" },
        { "0::/user.slice/user-1000.slice/user@1000.service\n", "user@1000.service", "" },
        { "0::/user.slice/user-1000.slice/user@1000.service/odd/x.service\n", "user@1000.service", "" },
        { "0::/system.slice/_cpu.service\n", "cpu.service", "" },
        { "0::/../../system.slice/outer.service\n", "outer.service", "" },
        { "12:cpu:/x\n1:name=systemd:/system.slice/old.service\n0::/\n", "old.service", "" },
        { "1:name=systemd:/\n0::/system.slice/both.service\n", "both.service", "" },
        { "12:cpu:/system.slice/not.service\n", "", "" },
        { "nonsense\n::\n\n:\n", "", "" },
        { "4:memory:/docker/" ID "\n0::/docker/" ID "\n", "", ID },
        { "0::/system.slice/docker-" ID ".scope\n", "docker-" ID ".scope", ID },
        { "0::/machine.slice/libpod-" ID ".scope/container\n", "libpod-" ID ".scope", ID },
        { "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope\n", "cri-containerd-" ID ".scope", ID },
        { "0::/x/0" ID "\n", "", "" },
        { "", "", "" },
    };
    struct host host;
    struct lines lines;
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("cgroup", rows[i].cgroup);
        host_find_unit_and_container(&host, &lines, directory);
        cr_expect_str_eq(host.unit, rows[i].unit, "row %zu: %s", i, host.unit);
        cr_expect_str_eq(host.container_id, rows[i].container, "row %zu: %s", i, host.container_id);
    }
}

Test(host, has_the_container_of_its_mounts, .init = enter, .fini = leave)
{
    static const struct {
        const char *mountinfo, *container;
    } rows[] = {
        { "700 690 254:1 /var/lib/docker/containers/" ID "/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n", ID },
        { "1 2 0:1 / / rw - ext4 x rw\n700 690 0:9 /containers/overlay-containers/" ID
          "/userdata/hosts /etc/hosts rw - ext4 x rw\n",
          ID },
        { "700 690 254:1 /var/lib/x/" ID "/data /data rw - ext4 /dev/vda1 rw\n", "" },
        { "700 690 254:1 / /var/lib/docker/overlay2/" ID "/merged rw - overlay overlay rw\n", "" },
        { "700 690\n700 690 254:1 /x\n\n", "" },
    };
    struct host host;
    struct lines lines;
    put("cgroup", "0::/\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("mountinfo", rows[i].mountinfo);
        host_find_unit_and_container(&host, &lines, directory);
        cr_expect_str_eq(host.container_id, rows[i].container, "row %zu: %s", i, host.container_id);
    }
}

Test(host, reads_names_with_anything_in_them, .init = enter, .fini = leave)
{
    struct host_process process;
    put("stat", "17 (a) b (c) S 4 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 7 8\n");
    cr_assert(host_process(&process, directory));
    cr_expect_str_eq(process.comm, "a) b (c");
    cr_expect_eq(process.parent, 4);
    cr_expect_eq(process.state, 'S');
    cr_expect_eq(process.start_ticks, 123456);
    put("stat", "17 (broken");
    cr_expect_not(host_process(&process, directory));
    put("stat", "");
    cr_expect_not(host_process(&process, directory));
}

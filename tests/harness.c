#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "schema.h"

static pid_t started[64];
static size_t started_count;

static void remember(pid_t pid)
{
    cr_assert_lt(started_count, sizeof started / sizeof *started);
    started[started_count++] = pid;
}

/* A child of a test must not outlive it, however the test ends, and has the signals that a shell would give it. */
static void be_a_child(void)
{
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void remove_tree(const char *path)
{
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    cr_assert_eq(system(command), 0);
}

void write_file(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    fchmod(fd, mode);
    close(fd);
}

char *read_file(const char *path, size_t *length)
{
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, text + size, room - size - 1)) > 0) {
        size += (size_t)got;
        if (size + 1 == room)
            text = realloc(text, room *= 2);
    }
    if (fd >= 0)
        close(fd);
    text[size] = '\0';
    if (length)
        *length = size;
    return text;
}

bool same_content(const char *path, const char *other)
{
    size_t a_length, b_length;
    char *a = read_file(path, &a_length), *b = read_file(other, &b_length);
    bool same = a_length == b_length && !memcmp(a, b, a_length);
    free(a);
    free(b);
    return same;
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    size_t length;
    char *content = read_file(from, &length);
    cr_assert_gt(length, 0, "%s is missing or empty", from);
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    cr_assert_geq(fd, 0, "%s: %s", to, strerror(errno));
    cr_assert_eq(write(fd, content, length), (ssize_t)length);
    fchmod(fd, mode);
    close(fd);
    free(content);
}

/* Asked of the kernel, never of its version: 6.11 and early 6.12, gVisor and some file systems don't enforce it. */
static bool is_enforced(const struct place *place)
{
    pid_t pid = run_busy(place->target);
    int fd = open(place->target, O_WRONLY | O_CLOEXEC);
    bool refused = fd < 0 && errno == ETXTBSY;
    if (fd >= 0)
        close(fd);
    stop(pid);
    return refused;
}

void place_reset_files(struct place *place)
{
    remove_tree(place->directory);
    cr_assert_eq(mkdir(place->directory, 0755), 0);
    copy_file(TARGET_PROGRAM, place->target, 0755);
    copy_file(NEW_PROGRAM, place->new, 0755);
}

void place_reset(struct place *place)
{
    place_reset_files(place);
    unlink(place->log);
}

void place_share_build(struct place *place)
{
    static const char *const files[] = { "libetxtbsy.so", "tests/cases", "tests/target" };
    char from[PATH_MAX], to[PATH_MAX];
    snprintf(place->shared_build, sizeof place->shared_build, "%s/build", place->root);
    snprintf(to, sizeof to, "%s/tests", place->shared_build);
    cr_assert_eq(mkdir(place->shared_build, 0755), 0);
    cr_assert_eq(mkdir(to, 0755), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(from, sizeof from, BUILD_DIR "/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", place->shared_build, files[i]);
        copy_file(from, to, 0755);
    }
}

static char made[PATH_MAX / 4];
static pid_t maker;

/* For a test that fails half-way. */
static void remove_what_is_left(void)
{
    if (maker != getpid() || !made[0])
        return;
    while (started_count)
        stop(started[0]);
    remove_tree(made);
}

void place_make(struct place *place)
{
    const char *base = getenv("TMPDIR");
    umask(022);
    snprintf(place->root, sizeof place->root, "%s/etxtbsy-test-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(place->root));
    memcpy(made, place->root, sizeof made);
    if (!maker)
        atexit(remove_what_is_left);
    maker = getpid();
    chmod(place->root, 0755);
    place->shared_build[0] = '\0';
    snprintf(place->directory, sizeof place->directory, "%s/dir", place->root);
    snprintf(place->target, sizeof place->target, "%s/target", place->directory);
    snprintf(place->new, sizeof place->new, "%s/new", place->root);
    snprintf(place->log, sizeof place->log, "%s/log", place->root);
    snprintf(place->out, sizeof place->out, "%s/out", place->root);
    snprintf(place->err, sizeof place->err, "%s/err", place->root);
    place_reset(place);
    if (!is_enforced(place)) {
        remove_tree(place->root);
        cr_skip_test("this kernel doesn't enforce ETXTBSY in %s", base ? base : "/tmp");
    }
}

void place_remove(struct place *place)
{
    while (started_count)
        stop(started[0]);
    remove_tree(place->root);
    made[0] = '\0';
}

void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (size_t i = 0; i < started_count; i++)
        if (started[i] == pid)
            started[i--] = started[--started_count];
}

pid_t run_busy(const char *path)
{
    int ready[2]; /* closed by the exec */
    char byte;
    cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        be_a_child();
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 0);
    close(ready[0]);
    remember(pid);
    return pid;
}

enum hold { HOLD_AT_ONCE, HOLD_UNTIL_TRIED };

static bool take_lock(int fd, enum lock lock)
{
    struct flock record = { .l_type = lock == POSIX_READ || lock == OFD_READ ? F_RDLCK : F_WRLCK,
                            .l_whence = SEEK_SET,
                            .l_len = 1 };
    switch (lock) {
    case NO_LOCK:
        return true;
    case FLOCK_SHARED:
        return flock(fd, LOCK_SH) == 0;
    case FLOCK_EXCLUSIVE:
        return flock(fd, LOCK_EX) == 0;
    case POSIX_READ:
    case POSIX_WRITE:
        return fcntl(fd, F_SETLK, &record) == 0;
    case OFD_READ:
    case OFD_WRITE:
        return fcntl(fd, F_OFD_SETLK, &record) == 0;
    }
    return false;
}

static void hold(const char *path, int milliseconds, enum lock lock, enum hold how, int ready)
{
    char byte = 0;
    bool writes = lock == NO_LOCK || lock == POSIX_WRITE || lock == OFD_WRITE;
    int fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC), watch = inotify_init1(IN_CLOEXEC);
    if (fd < 0 || !take_lock(fd, lock) || inotify_add_watch(watch, path, IN_OPEN) < 0 || write(ready, &byte, 1) != 1)
        _exit(1);
    close(ready);
    struct pollfd poll_for = { .fd = watch, .events = POLLIN };
    if (how == HOLD_UNTIL_TRIED)
        poll(&poll_for, 1, 20000);
    while (milliseconds < 0)
        pause();
    usleep((useconds_t)milliseconds * 1000);
    _exit(0);
}

static pid_t start_holder(const char *path, int milliseconds, enum lock lock, enum hold how)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        be_a_child();
        hold(path, milliseconds, lock, how, ready[1]);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1, "the holder couldn't open %s", path);
    close(ready[0]);
    remember(pid);
    return pid;
}

pid_t hold_open(const char *path, int milliseconds)
{
    return start_holder(path, milliseconds, NO_LOCK, HOLD_AT_ONCE);
}

pid_t hold_until_tried(const char *path, int milliseconds)
{
    return start_holder(path, milliseconds, NO_LOCK, HOLD_UNTIL_TRIED);
}

pid_t hold_lock(const char *path, enum lock lock, int milliseconds)
{
    return start_holder(path, milliseconds, lock, milliseconds < 0 ? HOLD_AT_ONCE : HOLD_UNTIL_TRIED);
}

bool take_all(void)
{
    return getenv("ETXTBSY_TEST_ALL");
}

static void set_environment(const struct place *place, enum shim shim, const char *environment)
{
    setenv("TARGET", place->target, 1);
    setenv("PROGRAM", place->target, 1);
    setenv("NEW", place->new, 1);
    setenv("BUILD", place->shared_build[0] ? place->shared_build : BUILD_DIR, 1);
    unsetenv("LD_PRELOAD");
    /* Ours, and no keys of the library: it would say so. */
    unsetenv("ETXTBSY_TEST_ALL");
    unsetenv("ETXTBSY_KILL_STEP");
    unsetenv("ETXTBSY_FAIL_STEP");
    /* Of the make that runs the tests: its job server's descriptors are closed here, and their numbers may be somebody's. */
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    if (shim == WITH_SHIM) {
        setenv("ETXTBSY_LOG", place->log, 1);
        setenv("ETXTBSY_SYNC", "none", 1); /* what the order of syncs is has a test of its own */
        if (place->shared_build[0]) {
            char library[PATH_MAX];
            snprintf(library, sizeof library, "%s/libetxtbsy.so", place->shared_build);
            setenv("LD_PRELOAD", library, 1);
        } else {
            setenv("LD_PRELOAD", PRELOAD, 1);
        }
    }
    char *copy = environment ? strdup(environment) : NULL;
    for (char *word = copy ? strtok(copy, " ") : NULL; word; word = strtok(NULL, " "))
        putenv(word);
}

static void redirect(const char *path, int fd)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, fd);
    close(file);
}

pid_t start_program_with(const struct place *place, enum shim shim, const char *environment, const char *const argv[],
                         void (*prepare)(void))
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        be_a_child();
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        redirect(place->out, 1);
        redirect(place->err, 2);
        for (int fd = 3; fd < 64; fd++) /* the test runner's own */
            close(fd);
        if (chdir(place->directory))
            _exit(126);
        set_environment(place, shim, environment);
        if (prepare)
            prepare();
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

int run_program_with(const struct place *place, enum shim shim, const char *environment, const char *const argv[])
{
    int status;
    pid_t pid = start_program_with(place, shim, environment, argv, NULL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

int run_shell(const struct place *place, enum shim shim, const char *environment, const char *command)
{
    return run_program_with(place, shim, environment, (const char *const[]){ "/bin/sh", "-c", command, NULL });
}

int status_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static uint64_t hash_of(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t at = 0; at < length; at++)
        hash = (hash ^ (unsigned char)bytes[at]) * UINT64_C(1099511628211);
    return hash;
}

/* Of all extended attributes, in whatever order they are. */
static uint64_t hash_of_attributes(const char *path)
{
    char names[4096], value[4096];
    uint64_t hash = 0;
    ssize_t length = llistxattr(path, names, sizeof names);
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        ssize_t size = lgetxattr(path, name, value, sizeof value);
        hash += hash_of(name, strlen(name)) ^ hash_of(value, size > 0 ? (size_t)size : 0);
    }
    return hash;
}

static void add_tree(FILE *text, const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, visible, by_name);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX], link[PATH_MAX] = "";
        struct stat file;
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (lstat(path, &file) == 0) {
            uint64_t hash = 0;
            if (S_ISREG(file.st_mode)) {
                size_t length;
                char *content = read_file(path, &length);
                hash = hash_of(content, length);
                free(content);
            } else if (S_ISLNK(file.st_mode)) {
                (void)!readlink(path, link, sizeof link - 1);
            }
            fprintf(text, "%s %o %u %u %lu %llx %llx %s\n", path, file.st_mode, file.st_uid, file.st_gid,
                    (unsigned long)file.st_nlink, (unsigned long long)hash, (unsigned long long)hash_of_attributes(path), link);
            if (S_ISDIR(file.st_mode))
                add_tree(text, path);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

char *tree_text(const char *directory)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    add_tree(stream, directory);
    fclose(stream);
    return text;
}

int litter_count(const struct place *place)
{
    int count = 0;
    DIR *directory = opendir(place->directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += strstr(entry->d_name, ".etxtbsy-") != NULL;
    if (directory)
        closedir(directory);
    return count;
}

struct json_object *log_lines(const struct place *place)
{
    struct json_object *lines = json_object_new_array();
    char *text = read_file(place->log, NULL), *line = text, *newline;
    for (; (newline = strchr(line, '\n')); line = newline + 1) {
        *newline = '\0';
        struct json_object *parsed = json_tokener_parse(line);
        cr_assert_not_null(parsed, "not JSON: %s", line);
        const char *fault = schema_check(parsed);
        cr_assert_null(fault, "%s in %s", fault, line);
        json_object_array_add(lines, parsed);
    }
    cr_assert_eq(*line, '\0', "the log's last line has no end: %s", line);
    free(text);
    return lines;
}

const char *line_string(struct json_object *line, const char *field)
{
    struct json_object *value;
    return json_object_object_get_ex(line, field, &value) ? json_object_get_string(value) : "";
}

int64_t line_number(struct json_object *line, const char *field)
{
    struct json_object *value;
    return json_object_object_get_ex(line, field, &value) ? json_object_get_int64(value) : -1;
}

size_t log_count(const struct place *place, const char *field, const char *value)
{
    struct json_object *lines = log_lines(place);
    size_t count = 0;
    for (size_t i = 0; i < json_object_array_length(lines); i++)
        count += !strcmp(line_string(json_object_array_get_idx(lines, i), field), value);
    json_object_put(lines);
    return count;
}

bool have_own_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool mapping_holds_lock(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/mapped", directory);
    write_file(path, "mapped", 0600);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(flock(fd, LOCK_SH), 0);
    void *memory = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    bool held = flock(fd, LOCK_EX | LOCK_NB) < 0;
    close(fd);
    munmap(memory, 6);
    unlink(path);
    return held;
}

bool have_programs(const char *names, char missing[100])
{
    char copy[200];
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name = strtok(copy, " "); name; name = strtok(NULL, " ")) {
        char command[300];
        snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
        if (system(command) != 0) {
            snprintf(missing, 100, "%s", name);
            return false;
        }
    }
    return true;
}

struct said ask(const struct place *place, const char *command)
{
    struct said said = { .status = status_code(run_shell(place, WITHOUT_SHIM, NULL, command)) };
    said.out = read_file(place->out, NULL);
    said.err = read_file(place->err, NULL);
    return said;
}

void expect_said(const struct place *place, const char *command, int status, const char *out, const char *err)
{
    struct said said = ask(place, command);
    cr_expect_eq(said.status, status, "%s: status %d, %s%s", command, said.status, said.out, said.err);
    cr_expect(*out ? strstr(said.out, out) != NULL : !*said.out, "%s says %s, not %s", command, said.out, out);
    cr_expect(*err ? strstr(said.err, err) != NULL : !*said.err, "%s complains %s, not %s", command, said.err, err);
    free(said.out);
    free(said.err);
}

struct json_object *json_field(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    cr_assert(json_object_object_get_ex(object, name, &value), "no %s in %s", name, json_object_to_json_string(object));
    return value;
}

unsigned count_of(const char *text, const char *part)
{
    unsigned found = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        found++;
    return found;
}

/*
 * The ways in which people put a new version over a program that runs, compared: how long it takes, whether somebody who looks
 * finds a whole file at every instant, what the new file keeps of the old one, and what is left when the writer is killed.
 *
 *     methods ROUNDS SIZE
 *
 * Prints lines "METHOD COLUMN words", with _ for a blank in METHOD. Needs root, to give files away. Works in the current directory.
 */
#include <dirent.h>

#include "bench.h"

static const struct method {
    const char *name, *argv[5];
    const char *environment[3];
} methods[] = {
    { "cp", { "cp", "new", "target" }, { NULL } },
    { "cp_-f", { "cp", "-f", "new", "target" }, { NULL } },
    { "cp_--remove-destination", { "cp", "--remove-destination", "new", "target" }, { NULL } },
    { "install", { "install", "new", "target" }, { NULL } },
    { "rsync", { "rsync", "-I", "new", "target" }, { NULL } },
    { "cp,_libetxtbsy,_sync=none", { "cp", "new", "target" }, { SHIM, "ETXTBSY_SYNC=none" } },
    { "cp,_libetxtbsy", { "cp", "new", "target" }, { SHIM } },
};

static size_t size;
static char *versions[2]; /* the contents of old and new */
static pid_t running;

enum found { OLD, NEW, MISSING, PARTIAL, FINDINGS };
static const char *const findings[] = { "old", "new", "missing", "partial" };

static char *content_of(const char *name)
{
    char *content = malloc(size);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    must(content && fd >= 0 && read(fd, content, size) == (ssize_t)size && close(fd) == 0);
    return content;
}

/* What somebody finds who opens the target now and reads it to the end. */
static enum found look(void)
{
    static char *buffer;
    struct stat file;
    if (!buffer)
        buffer = malloc(size + 1);
    int fd = open("target", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MISSING;
    ssize_t length = read(fd, buffer, size + 1);
    must(fstat(fd, &file) == 0 && close(fd) == 0);
    if (length == (ssize_t)size)
        for (int version = OLD; version <= NEW; version++)
            if (!memcmp(buffer, versions[version], size))
                return (enum found)version;
    return PARTIAL;
}

static void end_program(void)
{
    if (running)
        stop(running);
    running = 0;
}

static void clear(void)
{
    end_program();
    must(system("rm -f target other link .target* .new*") == 0);
}

/* The old version, started, with somebody else's owner and group, and a mode, an ACL and an attribute of its own. */
static void prepare(void)
{
    char *const program[] = { (char *)"./target", (char *)"wait", NULL };
    clear();
    must(system("cp old target && chown 12345:54321 target && chmod 751 target && setfattr -n user.note -v kept target && "
                "{ setfacl -m u:23456:r target || true; }") == 0);
    running = start(program, NULL);
}

static pid_t begin(const struct method *method)
{
    char **environment = environment_with((char *const *)method->environment);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0); /* rsync is three processes */
        freopen("/dev/null", "w", stderr);
        execvpe(method->argv[0], (char **)method->argv, environment);
        _exit(127);
    }
    setpgid(pid, pid);
    return pid;
}

static void say(const struct method *method, const char *column, const char *words)
{
    printf("%s %s %s\n", method->name, column, words);
    fflush(stdout);
}

static double time_one(const struct method *method, int *status)
{
    prepare();
    double begun = now_us();
    *status = finish(begin(method));
    return (now_us() - begun) / 1e3;
}

static bool is(const char *command)
{
    return system(command) == 0;
}

static void say_kept(const struct method *method)
{
    char words[200];
    int status;
    bool has_acl = (prepare(), is("getfacl -cn target 2>/dev/null | grep -q 23456"));
    time_one(method, &status);
    snprintf(words, sizeof words, "%s%s%s%s%s", is("test $(stat -c %u:%g target) = 12345:54321") ? "owner " : "",
             is("test $(stat -c %a target) = 751 || getfacl -cpn target | grep -q other::--x") ? "mode " : "",
             has_acl && is("getfacl -cn target | grep -q 23456") ? "ACL " : "",
             is("getfattr -n user.note target >/dev/null 2>&1") ? "xattr " : "", has_acl ? "" : "(no ACLs here)");
    say(method, "keeps", words[0] ? words : "nothing");
}

static void say_links(const struct method *method)
{
    char words[200];
    /* The target's name is a symbolic link; then the file has another name. */
    prepare();
    must(system("mv target other && ln -s other target") == 0);
    finish(begin(method));
    bool symbolic = is("test -L target && cmp -s new other");
    prepare();
    must(link("target", "other") == 0);
    int status = finish(begin(method));
    const char *hard = status ? "refuses hard ones (ETXTBSY)" : is("cmp -s other target") ? "keeps hard ones" : "breaks hard ones";
    snprintf(words, sizeof words, "%s symbolic ones, %s", symbolic ? "follows" : "breaks", hard);
    say(method, "links", words);
}

/* Looks again and again while the target is replaced a few times. */
static void say_whole(const struct method *method, int rounds)
{
    long seen[FINDINGS] = { 0 };
    char words[200];
    for (int round = 0; round < rounds; round++) {
        int counts[2];
        prepare();
        must(pipe(counts) == 0);
        pid_t watcher = fork();
        if (watcher == 0) {
            long own[FINDINGS] = { 0 };
            pid_t parent = getppid();
            char byte; /* from the parent, when the replacement is done */
            fcntl(counts[0], F_SETFL, O_NONBLOCK);
            while (getppid() == parent && read(counts[0], &byte, 1) != 1)
                own[look()]++;
            must(write(counts[1], own, sizeof own) == sizeof own);
            _exit(0);
        }
        usleep(3000);
        finish(begin(method));
        long own[FINDINGS];
        must(write(counts[1], "x", 1) == 1);
        finish(watcher);
        must(read(counts[0], own, sizeof own) == sizeof own);
        close(counts[0]);
        close(counts[1]);
        for (int i = 0; i < FINDINGS; i++)
            seen[i] += own[i];
    }
    long looks = seen[OLD] + seen[NEW] + seen[MISSING] + seen[PARTIAL];
    snprintf(words, sizeof words, "%s (%ld looks: %ld missing, %ld partial)", seen[MISSING] + seen[PARTIAL] ? "no" : "yes", looks,
             seen[MISSING], seen[PARTIAL]);
    say(method, "whole", words);
}

/* Names in the directory that nobody but a writer can have made. */
static long litter(void)
{
    long count = 0;
    DIR *here = opendir(".");
    must(here);
    for (struct dirent *entry; (entry = readdir(here));)
        count += entry->d_name[0] == '.' && entry->d_name[1] && strcmp(entry->d_name, "..");
    closedir(here);
    return count;
}

/* Kills the writer at moments that are spread over the time that it takes. */
static void say_killed(const struct method *method, int rounds, double takes_ms)
{
    long left[FINDINGS] = { 0 }, littered = 0, killed = 0, still = 0;
    char words[300];
    for (int round = 0; round < rounds; round++) {
        prepare();
        pid_t writer = begin(method);
        usleep((useconds_t)(takes_ms * 1e3 * (round + 0.5) / rounds));
        kill(-writer, SIGKILL);
        killed += finish(writer) == 128 + SIGKILL;
        left[look()]++;
        long before = litter();
        littered += before > 0;
        if (before) { /* does the next one clean up? */
            finish(begin(method));
            still += litter() > 0;
        }
    }
    char *at = words;
    at += snprintf(at, 100, "of %d:", rounds);
    for (int i = 0; i < FINDINGS; i++)
        if (left[i])
            at += snprintf(at, 40, " %ld %s,", left[i], findings[i]);
    at[-1] = '\0';
    if (littered)
        snprintf(at - 1, 120, "; %ld left a hidden file, which %s", littered, still ? "stays" : "the next copy sweeps away");
    say(method, "killed", words);
}

static int by_value(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv)
{
    must(argc == 3);
    int rounds = atoi(argv[1]), statuses[10] = { 0 };
    const int count = sizeof methods / sizeof *methods;
    double times[10][100];
    size = (size_t)atol(argv[2]);
    must(rounds <= 100);
    setenv("ETXTBSY_LOG", "none", 1);
    setenv("ETXTBSY_WRITE_MAX_WAIT", "100ms", 1);
    make_program("old", size, 1);
    make_program("new", size, 2);
    versions[OLD] = content_of("old");
    versions[NEW] = content_of("new");
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            times[i][round] = time_one(&methods[i], &statuses[i]);
    for (int i = 0; i < count; i++) {
        char words[100];
        qsort(times[i], (size_t)rounds, sizeof **times, by_value);
        double median = times[i][rounds / 2];
        snprintf(words, sizeof words, "%.1f ms", median);
        say(&methods[i], "time", statuses[i] ? "fails: Text file busy" : words);
        if (statuses[i])
            continue;
        say_whole(&methods[i], rounds);
        say_kept(&methods[i]);
        say_links(&methods[i]);
        say_killed(&methods[i], 40, median);
    }
    clear();
    return unlink("old") || unlink("new");
}

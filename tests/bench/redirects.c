/*
 * Redirects as they become more:
 *
 *     redirects ROUNDS COUNT...       that many in one process: microseconds of CPU each, and what the process has grown by
 *     redirects deployers ROUNDS EACH COUNT...     that many processes at once, in one directory, each with a file of its own
 *     redirects once|by-hand NAME COUNT       in this process; by hand with the six calls that the least of it takes
 *
 * A file that was replaced isn't busy any more. So that it need not be started anew each time, its old version keeps another
 * name, and is renamed back.
 */
#include "bench.h"

static double used_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static long descriptors(void)
{
    long count = 0;
    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static long memory_kb(void)
{
    char line[200];
    long kb = 0, sum = 0;
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    must(rollup);
    while (fgets(line, sizeof line, rollup))
        if (sscanf(line, "Private_Dirty: %ld", &kb) == 1)
            sum += kb;
    fclose(rollup);
    return sum;
}

static void by_hand(const char *name)
{
    char link[64], temporary[200];
    int fd = open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0755);
    must(fd >= 0 && fchown(fd, geteuid(), getegid()) == 0 && write(fd, "new", 3) == 3);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    must(linkat(AT_FDCWD, link, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0 && rename(temporary, name) == 0 && close(fd) == 0);
}

static void by_library(const char *name)
{
    int fd = open(name, O_WRONLY | O_TRUNC | O_CLOEXEC);
    must(fd >= 0 && write(fd, "new", 3) == 3 && close(fd) == 0);
}

static int once(const char *name, long count, void (*replace)(const char *))
{
    char old[200], again[220];
    snprintf(old, sizeof old, "%s.old", name);
    snprintf(again, sizeof again, "%s.again", name);
    long fds = 0, kb = 0;
    double begun = 0;
    for (long i = -1; i < count; i++) {
        if (i == 0) { /* what is needed once has been taken by now */
            memory_kb();
            fds = descriptors();
            kb = memory_kb();
            begun = used_us();
        }
        replace(name);
        must(link(old, again) == 0 && rename(again, name) == 0);
    }
    double used = used_us() - begun;
    printf("%f %ld %ld\n", used / (double)count, memory_kb() - kb, descriptors() - fds);
    return 0;
}

struct deployer {
    char name[32];
    pid_t runs;
    FILE *says;
};

static void begin(struct deployer *deployer, int number)
{
    char path[40], old[40];
    snprintf(deployer->name, sizeof deployer->name, "target-%d", number);
    snprintf(path, sizeof path, "./%s", deployer->name);
    snprintf(old, sizeof old, "%s.old", deployer->name);
    char *const program[] = { path, (char *)"wait", NULL };
    make_program(deployer->name, 20000, 1);
    unlink(old);
    must(link(deployer->name, old) == 0);
    deployer->runs = start(program, NULL);
}

static void work(struct deployer *deployer, const char *how, const char *each)
{
    char command[4096];
    snprintf(
        command, sizeof command,
        "%s ETXTBSY_HARD_LINKS=break ETXTBSY_SYNC=none ETXTBSY_HOLDERS=never ETXTBSY_LOG=none exec %s/bench/redirects %s %s %s",
        strcmp(how, "once") ? "" : SHIM, BUILD_DIR, how, deployer->name, each);
    deployer->says = popen(command, "re");
    must(deployer->says);
}

static void end(struct deployer *deployer)
{
    char old[40];
    snprintf(old, sizeof old, "%s.old", deployer->name);
    stop(deployer->runs);
    unlink(old);
    unlink(deployer->name);
}

/* Returns the mean CPU time of one redirect. */
static double together(int count, const char *how, const char *each, long *kb, long *fds)
{
    struct deployer *deployers = calloc((size_t)count, sizeof *deployers);
    double sum = 0, us;
    must(deployers);
    for (int i = 0; i < count; i++)
        begin(&deployers[i], i);
    for (int i = 0; i < count; i++)
        work(&deployers[i], how, each);
    for (int i = 0; i < count; i++) {
        must(fscanf(deployers[i].says, "%lf %ld %ld", &us, kb, fds) == 3 && pclose(deployers[i].says) == 0);
        sum += us;
    }
    for (int i = 0; i < count; i++)
        end(&deployers[i]);
    free(deployers);
    return sum / count;
}

int main(int argc, char **argv)
{
    long kb, fds;
    must(argc > 3);
    if (!strcmp(argv[1], "once") || !strcmp(argv[1], "by-hand"))
        return once(argv[2], atol(argv[3]), argv[1][0] == 'o' ? by_library : by_hand);
    bool deployers = !strcmp(argv[1], "deployers");
    for (int round = 0; round < atoi(argv[deployers ? 2 : 1]); round++)
        for (int i = deployers ? 4 : 2; i < argc; i++)
            if (deployers) {
                sample("deployers-by-hand", argv[i], together(atoi(argv[i]), "by-hand", argv[3], &kb, &fds));
                sample("deployers", argv[i], together(atoi(argv[i]), "once", argv[3], &kb, &fds));
            } else {
                sample("redirects-by-hand", argv[i], together(1, "by-hand", argv[i], &kb, &fds));
                sample("redirects", argv[i], together(1, "once", argv[i], &kb, &fds));
                sample("grown-kb", argv[i], (double)kb);
                sample("grown-fds", argv[i], (double)fds);
            }
    return 0;
}

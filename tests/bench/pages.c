/*
 * Private dirty pages of a process that meets no conflict: without a library, with an empty one, with the shim.
 *
 *     pages ROUNDS
 */
#include "bench.h"

static double pages_of(pid_t pid)
{
    char path[64], line[200];
    long kb = 0, sum = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *rollup = fopen(path, "re");
    must(rollup);
    while (fgets(line, sizeof line, rollup))
        if (sscanf(line, "Private_Dirty: %ld", &kb) == 1)
            sum += kb;
    fclose(rollup);
    return (double)sum * 1024 / (double)sysconf(_SC_PAGESIZE);
}

static bool sleeps(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "re");
    must(stat && fscanf(stat, "%*d %*s %c", &state) == 1 && fclose(stat) == 0);
    return state == 'S';
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        char *environment[2];
    } contestants[] = { { "plain", { NULL } }, { "empty", { (char *)EMPTY_LIBRARY } }, { "shim", { (char *)SHIM } } };
    char *const tiny[] = { (char *)TINY, (char *)"wait", NULL };
    must(argc == 2);
    for (int round = 0; round < atoi(argv[1]); round++)
        for (size_t i = 0; i < 3; i++) {
            pid_t pid = start(tiny, contestants[i].environment);
            for (int looks = 0; looks < 1000 && !sleeps(pid); looks++)
                usleep(1000);
            usleep(2000);
            sample("pages", contestants[i].name, pages_of(pid));
            stop(pid);
        }
    return 0;
}

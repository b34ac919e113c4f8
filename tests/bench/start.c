/*
 * Start and end of a tiny dynamic program, from posix_spawn to waitpid:
 *
 *     start ROUNDS CONFIGURATION
 *
 * Without a library twice: the difference between the two is what this machine's noise does.
 */
#include "bench.h"

int main(int argc, char **argv)
{
    must(argc == 3);
    char configuration[4096], log[] = "ETXTBSY_LOG=/var/log/etxtbsy.json", wait[] = "ETXTBSY_EXEC_MAX_WAIT=20s";
    snprintf(configuration, sizeof configuration, "ETXTBSY_CONF=%s", argv[2]);
    const struct {
        const char *name;
        char *environment[6];
    } contestants[] = {
        { "plain", { NULL } },
        { "plain-again", { NULL } },
        { "empty", { (char *)EMPTY_LIBRARY } },
        { "least", { (char *)LEAST_LIBRARY } },
        { "shim", { (char *)SHIM } },
        { "plain-configured", { configuration, log, wait } },
        { "configured", { (char *)SHIM, configuration, log, wait } },
    };
    const size_t count = sizeof contestants / sizeof *contestants;
    char *const tiny[] = { (char *)TINY, NULL };
    for (int round = 0; round < atoi(argv[1]); round++)
        for (size_t i = 0; i < count; i++) {
            size_t turn = (i + (size_t)round) % count; /* who follows whom changes */
            char **environment = environment_with(contestants[turn].environment);
            pid_t pid;
            double begun = now_us();
            must(posix_spawn(&pid, TINY, NULL, NULL, tiny, environment) == 0);
            must(finish(pid) == 0);
            sample("start", contestants[turn].name, now_us() - begun);
        }
    return 0;
}

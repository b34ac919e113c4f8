/*
 * Whole commands beside each other, milliseconds:
 *
 *     beside ROW ROUNDS NAME COMMAND NAME COMMAND...
 *
 * Each is for a shell. What they have in common, before each and outside of the time, is the shell command in $BEFORE.
 */
#include "bench.h"

static void run(const char *command)
{
    char *const shell[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
    must(finish(start(shell, NULL)) == 0);
}

int main(int argc, char **argv)
{
    must(argc > 4);
    const char *before = getenv("BEFORE");
    int count = (argc - 3) / 2;
    for (int round = 0; round < atoi(argv[2]); round++)
        for (int i = 0; i < count; i++) {
            char **contestant = argv + 3 + 2 * ((i + round) % count);
            if (before)
                run(before);
            double begun = now_us();
            run(contestant[1]);
            sample(argv[1], contestant[0], (now_us() - begun) / 1e3);
        }
    return 0;
}

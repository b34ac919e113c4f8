/*
 * A copy over a program that runs, the whole process, milliseconds:
 *
 *     copy ROW SIZE ROUNDS CONTESTANT...
 *
 * Contestants in a new order each round. Two versions take turns; what has just been copied is started, so that it is busy in the
 * next round, and the one before it is ended. Works in the current directory, and prints nothing for the time that this takes.
 */
#include "bench.h"

static char *const never[] = { (char *)SHIM, (char *)"ETXTBSY_SYNC=none", (char *)"ETXTBSY_HOLDERS=never", NULL };
static char *const silent[] = { (char *)SHIM, (char *)"ETXTBSY_SYNC=none", (char *)"ETXTBSY_HOLDERS=never",
                                (char *)"ETXTBSY_LOG=none", NULL };
static char *const unsynced[] = { (char *)SHIM, (char *)"ETXTBSY_SYNC=none", NULL };
static char *const defaults[] = { (char *)SHIM, NULL };
static char *const swapped[] = { (char *)SWAP_LIBRARY, NULL };
static char *const asked[] = { (char *)ASKED_LIBRARY, NULL };

enum how { PLAINLY, REMOVING, REMOVING_AND_FSYNC };

static const struct contestant {
    const char *name;
    enum how how;
    char *const *environment;
    bool idle; /* nobody runs the target */
} contestants[] = {
    { "remove-destination", REMOVING, NULL, false },
    { "remove-destination+fsync", REMOVING_AND_FSYNC, NULL, false },
    { "least", PLAINLY, swapped, false },
    { "asked", PLAINLY, asked, false },
    { "idle", PLAINLY, NULL, true },
    { "idle-shim", PLAINLY, defaults, true },
    { "shim-silent", PLAINLY, silent, false },
    { "shim-never", PLAINLY, never, false },
    { "shim-unsynced", PLAINLY, unsynced, false },
    { "shim-defaults", PLAINLY, defaults, false },
};

static const struct contestant *named(const char *name)
{
    size_t i = 0;
    while (strcmp(contestants[i].name, name))
        must(++i < sizeof contestants / sizeof *contestants);
    return &contestants[i];
}

static double copy_ms(const struct contestant *contestant, char *source)
{
    char *argv[][5] = {
        [PLAINLY] = { (char *)"cp", source, (char *)"target" },
        [REMOVING] = { (char *)"cp", (char *)"--remove-destination", source, (char *)"target" },
        [REMOVING_AND_FSYNC] = { (char *)"sh", (char *)"-c", (char *)"cp --remove-destination $0 target && sync target", source },
    };
    double begun = now_us();
    must(finish(start(argv[contestant->how], contestant->environment)) == 0);
    return (now_us() - begun) / 1e3;
}

/* In another order each time: what one leaves behind in the file system the next one may have to wait for. */
static void shuffle(char **names, int count)
{
    for (int left = count; left > 1; left--) {
        int other = (int)(random() % left);
        char *name = names[left - 1];
        names[left - 1] = names[other];
        names[other] = name;
    }
}

int main(int argc, char **argv)
{
    must(argc > 4);
    const size_t size = (size_t)atol(argv[2]);
    char *sources[] = { (char *)"version-1", (char *)"version-2" };
    char *const program[] = { (char *)"./target", (char *)"wait", NULL };
    const int count = argc - 4;
    setenv("ETXTBSY_LOG", "/dev/null", 0);
    make_program(sources[0], size, 1);
    make_program(sources[1], size, 2);
    make_program("target", size, 2);
    pid_t running = start(program, NULL);
    for (int i = 0; i < atoi(argv[3]) * count; i++) {
        if (i % count == 0)
            shuffle(argv + 4, count);
        const struct contestant *contestant = named(argv[4 + i % count]);
        if (contestant->idle)
            stop(running);
        if (size > 1 << 20)
            sync(); /* so that nobody pays for what the one before has left to be written */
        sample(argv[1], contestant->name, copy_ms(contestant, sources[i % 2]));
        if (contestant->idle) { /* ext4 writes to the disk what has been written in place: the next one needn't wait for that */
            unlink("target");
            make_program("target", size, 1 + (unsigned)i % 2);
        }
        pid_t next = start(program, NULL);
        if (!contestant->idle)
            stop(running);
        running = next;
    }
    stop(running);
    unlink("target");
    unlink(sources[0]);
    unlink(sources[1]);
    return 0;
}

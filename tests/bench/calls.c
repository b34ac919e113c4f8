/*
 * The calls that programs make most, nanoseconds each:
 *
 *     calls ROUNDS COUNT          makes COUNT of each in each round, in a process without a library, in one with ours, and in one
 *                                 whose wrappers do nothing but jump to libc's function
 *     calls once NAME COUNT       in this process
 */
#include "bench.h"

static int null, other;

static void call_write(void)
{
    must(write(null, "x", 1) == 1);
}

static void call_open_close(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && close(fd) == 0);
}

static void call_dup2(void)
{
    must(dup2(null, other) == other);
}

static void call_fstat(void)
{
    struct stat file;
    must(fstat(null, &file) == 0);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    { "write", call_write },
    { "open+close", call_open_close },
    { "dup2", call_dup2 },
    { "fstat", call_fstat },
};

static int once(const char *name, long count)
{
    size_t i = 0;
    while (strcmp(calls[i].name, name))
        i++;
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    other = dup(null);
    for (long warm = 0; warm < 100; warm++)
        calls[i].call();
    double begun = now_us();
    for (long n = 0; n < count; n++)
        calls[i].call();
    printf("%.3f\n", (now_us() - begun) * 1e3 / (double)count);
    return 0;
}

static double in_process(const char *name, const char *count, const char *library)
{
    char command[4096], answer[100];
    snprintf(command, sizeof command, "%s exec %s/bench/calls once %s %s", library, BUILD_DIR, name, count);
    FILE *pipe = popen(command, "re");
    must(pipe && fgets(answer, sizeof answer, pipe));
    must(pclose(pipe) == 0);
    return atof(answer);
}

int main(int argc, char **argv)
{
    must(argc == 3 || argc == 4);
    static const char *const contestants[][2] = { { "plain", "" }, { "shim", SHIM }, { "jump", JUMP_LIBRARY } };
    if (!strcmp(argv[1], "once"))
        return once(argv[2], atol(argv[3]));
    for (int round = 0; round < atoi(argv[1]); round++)
        for (size_t i = 0; i < 4; i++)
            for (int turn = 0; turn < 3; turn++) {
                const char *const *contestant = contestants[(round + turn) % 3];
                sample(calls[i].name, contestant[0], in_process(calls[i].name, argv[2], contestant[1]));
            }
    return 0;
}

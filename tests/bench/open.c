/*
 * A program that runs is opened for writing without being emptied, so that the stage starts with its content:
 *
 *     open ROW SIZE ROUNDS        milliseconds until open returns, and those of a cp of the same file for comparison
 *     open once                   opens "target", writes a byte and closes it; prints the two times
 */
#include "bench.h"

static int once(void)
{
    double begun = now_us();
    int fd = open("target", O_WRONLY | O_CLOEXEC);
    double opened = now_us();
    char byte = (char)getpid(); /* another one each time: what is unchanged isn't replaced */
    must(fd >= 0 && pwrite(fd, &byte, 1, 100000) == 1);
    double written = now_us();
    must(close(fd) == 0);
    printf("%f %f\n", opened - begun, now_us() - written);
    return 0;
}

int main(int argc, char **argv)
{
    must(argc == 4 || argc == 2);
    if (argc == 2)
        return once();
    char *const program[] = { (char *)"./target", (char *)"wait", NULL };
    char *const copy[] = { (char *)"cp", (char *)"--reflink=never", (char *)"target", (char *)"copy", NULL };
    make_program("target", (size_t)atol(argv[2]), 1);
    for (int round = 0; round < atoi(argv[3]); round++) {
        double opened, closed;
        pid_t running = start(program, NULL);
        sync();
        FILE *pipe = popen(SHIM " ETXTBSY_SYNC=none ETXTBSY_LOG=none exec " BUILD_DIR "/bench/open once", "re");
        must(pipe && fscanf(pipe, "%lf %lf", &opened, &closed) == 2 && pclose(pipe) == 0);
        sample(argv[1], "open", opened / 1e3);
        sample(argv[1], "close", closed / 1e3);
        stop(running);
        sync();
        double begun = now_us();
        must(finish(start(copy, NULL)) == 0);
        sample(argv[1], "cp", (now_us() - begun) / 1e3);
        must(unlink("copy") == 0);
    }
    must(unlink("target") == 0);
    return 0;
}

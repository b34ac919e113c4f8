/*
 * One log line to a file, microseconds:
 *
 *     line ROUNDS COUNT       in each round COUNT refused opens with a line (action observe), as many without (off), and as many
 *                             writes of the same bytes
 *     line once COUNT         opens "target" in this process
 *     line write COUNT        writes the last line of "log.json" to another file
 */
#include "bench.h"

static int once(long count)
{
    must(open("target", O_WRONLY | O_CLOEXEC) < 0 && errno == ETXTBSY);
    double begun = now_us();
    for (long i = 0; i < count; i++)
        must(open("target", O_WRONLY | O_CLOEXEC) < 0 && errno == ETXTBSY);
    printf("%f\n", (now_us() - begun) / (double)count);
    return 0;
}

static int write_lines(long count)
{
    static char line[1 << 16];
    FILE *log = fopen("log.json", "re");
    must(log && fgets(line, sizeof line, log) && fclose(log) == 0);
    int fd = open("copy.json", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    double begun = now_us();
    for (long i = 0; i < count; i++)
        must(write(fd, line, strlen(line)) > 0);
    printf("%f\n", (now_us() - begun) / (double)count);
    return unlink("copy.json");
}

static double in_process(const char *what, const char *count, const char *environment)
{
    char command[4096], answer[100];
    snprintf(command, sizeof command, "%s exec %s/bench/line %s %s", environment, BUILD_DIR, what, count);
    FILE *pipe = popen(command, "re");
    must(pipe && fgets(answer, sizeof answer, pipe) && pclose(pipe) == 0);
    return atof(answer);
}

int main(int argc, char **argv)
{
    must(argc == 3);
    if (!strcmp(argv[1], "once"))
        return once(atol(argv[2]));
    if (!strcmp(argv[1], "write"))
        return write_lines(atol(argv[2]));
    char *const program[] = { (char *)"./target", (char *)"wait", NULL };
    make_program("target", 30000, 1);
    pid_t running = start(program, NULL);
    setenv("ETXTBSY_HOLDERS", "never", 1);
    for (int round = 0; round < atoi(argv[1]); round++) {
        char with[1000];
        snprintf(with, sizeof with, "%s ETXTBSY_WRITE=observe ETXTBSY_LOG=$PWD/log.json", SHIM);
        sample("line", "observe", in_process("once", argv[2], with));
        sample("line", "off", in_process("once", argv[2], SHIM " ETXTBSY_WRITE=off"));
        sample("line", "write", in_process("write", argv[2], ""));
        must(unlink("log.json") == 0);
    }
    stop(running);
    return unlink("target");
}

/*
 * A program to be installed set-id: `setid write FILE`, `setid start PROGRAM [ARGUMENT...]` as the user that it belongs to,
 * `setid end`. It takes its environment as it comes, as too many do.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "write")) {
        int fd = open(argv[2], O_WRONLY | O_TRUNC);
        if (fd < 0 || write(fd, "written", 7) != 7 || close(fd) < 0) {
            perror(argv[2]);
            return 1;
        }
    } else if (argc > 2 && !strcmp(argv[1], "start")) {
        if (setresgid(getegid(), getegid(), getegid()) < 0 || setresuid(geteuid(), geteuid(), geteuid()) < 0)
            return 1;
        execv(argv[2], argv + 2);
        perror(argv[2]);
        return 1;
    }
    printf("%s\n", getauxval(AT_SECURE) ? "secure" : "not secure");
    return 0;
}

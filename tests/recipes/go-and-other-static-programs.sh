# shellcheck shell=sh
# needs: cc
# A static program of C stands for one of Go: both call the kernel without a library that could be preloaded.
prepare() {
    runs /srv/app/service
    cat >static.c <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char bytes[1 << 16];
    if (strstr(argv[0], "runner"))
        return execvp(argv[1], argv + 1), perror(argv[1]), 1;
    int from = open("service", O_RDONLY), to = open(argv[argc - 1], O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (to < 0)
        return perror(argv[argc - 1]), 1;
    for (ssize_t got; (got = read(from, bytes, sizeof bytes)) > 0;)
        if (write(to, bytes, (size_t)got) != got)
            return 1;
    return 0;
}
END
    cc -static -o deploy static.c
    cp deploy runner
    is_written tool
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"event":"wait".*"outcome":"succeeded"'
}

spoils() {
    echo 's|--output.*|--output /srv/app/service|'
    echo 's/runner env/runner/'
    echo 's/LD_PRELOAD=[^ ]*//'
}

# shellcheck shell=sh
# needs: cc
# Where there is no Go a static program of C stands for one: both call the kernel without a library that could be preloaded.
build_with_go() {
    mkdir go-deploy go-runner
    cat >go-deploy/main.go <<'END'
package main

import "os"

func main() {
	content, err := os.ReadFile("service")
	if err == nil {
		err = os.WriteFile(os.Args[len(os.Args)-1], content, 0755)
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
END
    cat >go-runner/main.go <<'END'
package main

import (
	"os"
	"os/exec"
)

func main() {
	command := exec.Command(os.Args[1], os.Args[2:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
END
    export GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=/tmp/go-cache GOPROXY=off
    go build -o deploy ./go-deploy
    go build -o runner ./go-runner
}

build_with_c() {
    echo "skipped: programs of Go itself (there is no go here)" >&2
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
}

prepare() {
    runs /srv/app/service
    if command -v go >/dev/null; then
        build_with_go
    else
        build_with_c
    fi
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

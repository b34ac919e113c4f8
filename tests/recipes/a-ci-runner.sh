# shellcheck shell=sh
# It writes a program, and starts it.
prepare() {
    cat >job.sh <<'END'
#!/bin/sh -e
cp service tool
/opt/recipe/hold tool &
until [ -e tool.held ]; do sleep 0.02; done
./tool once
wait
END
    chmod +x job.sh
}

check() {
    logged '"event":"wait".*"outcome":"succeeded"'
}

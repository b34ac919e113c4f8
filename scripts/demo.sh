#!/bin/sh
# The main job on real programs, in plain words. Run by `make demo`.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d /tmp/etxtbsy-demo.XXXXXX)
service=""
clean() {
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

say() {
    printf '\n%s\n' "$*"
}

run() {
    printf '    $ %s\n' "$1"
    sh -c "$1" 2>&1 | sed 's/^/      /'
}

fail() {
    echo "demo: $*" >&2
    exit 1
}

cd "$work"
mkdir bin
ln -s "$root/build" build
cp "$root/scripts/demo/service.c" "$root/scripts/demo/Makefile" .
ETXTBSY_LOG=$work/etxtbsy.log
MAKEFLAGS=--no-print-directory
export ETXTBSY_LOG MAKEFLAGS
unset MAKELEVEL

say "In $work: a legacy project, whose 'make install' copies with plain cp. Its service is installed and started."
run "make VERSION=1 install"
bin/service >said &
service=$!
sleep 0.3
run "tail -n 1 said"

say "Version 2 is deployed over the program that is running. Without the library that fails:"
rm service
run "make VERSION=2 install || true"
if bin/service once | grep -q 'version 2'; then
    say "(This kernel doesn't enforce ETXTBSY here: the copy went through, over the running program's own pages. Nothing to show.)"
    exit 0
fi

say "With it, the same, unchanged:"
run "LD_PRELOAD=build/libetxtbsy.so make VERSION=2 install"
cmp -s service bin/service || fail "the new version isn't in place"
kill -0 "$service" || fail "the old service is gone"
say "The old service lives on; the path holds the new version, complete; the log says what was done:"
sleep 1.1
run "tail -n 1 said"
run "bin/service once"
run "cat $ETXTBSY_LOG"

say "The other side: a program is started while somebody still writes it. Without the library that fails:"
mv "$ETXTBSY_LOG" first.log
write_slowly() {
    rm -f bin/tool
    { head -c 1000 service; sleep 1; tail -c +1001 service; } >bin/tool &
    sleep 0.2
    chmod +x bin/tool
}
write_slowly
run "bin/tool once || true"
wait "$!"
say "With it, the start waits, and goes ahead as soon as the writer is done:"
write_slowly
run "LD_PRELOAD=build/libetxtbsy.so sh -c 'bin/tool once'"
wait "$!"
run "cat $ETXTBSY_LOG"
grep -q '"outcome":"succeeded"' "$ETXTBSY_LOG" || fail "the log doesn't say that the wait succeeded"

if [ -x "$root/build/etxtbsy" ]; then
    say "A log like this is to be read by people, too. Some seconds of deploying and starting, and what the report makes of it:"
    LD_PRELOAD=$root/build/libetxtbsy.so "$root/scripts/demo/traffic.sh"
    cat first.log "$ETXTBSY_LOG" >demo.json
    run "build/etxtbsy report demo.json"
    run "build/etxtbsy report --html $root/build/demo.html demo.json"
    say "The picture, for your browser: $root/build/demo.html"
fi

say "No program was changed. To use it yourself:"
printf '    LD_PRELOAD=%s/build/libetxtbsy.so make install\n\n' "$root"

#!/bin/sh
# A longer log for the demo's picture, run under the library in the demo's directory: versions that are deployed while each runs, starts
# that meet writers of all paces, a writer that never lets go, and a program with a second name, which is not replaced.
set -eu

services=""
clean() {
    # shellcheck disable=SC2086  # a list of pids
    kill $services 2>/dev/null || true
}
trap clean EXIT

start_what_is_written() {
    for pace in 0.002 0.03 0.1 0.2; do
        rm -f bin/step
        { cat service; sleep "$pace"; } >bin/step &
        writer=$!
        until [ -s bin/step ]; do :; done
        chmod +x bin/step
        bin/step once >/dev/null
        wait "$writer"
    done
}

cp bin/service bin/worker
ln bin/worker bin/worker-too
bin/worker >/dev/null &
services=$!
(exec 9>>bin/tool && exec sleep 60) &
services="$services $!"
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    bin/service >/dev/null &
    services="$services $!"
    until [ "$(cat "/proc/$!/comm")" = service ]; do :; done
    start_what_is_written &
    starts=$!
    echo "$round" >>service
    cp service bin/service
    [ $((round % 4)) != 0 ] || ETXTBSY_MAX_WAIT=100ms cp service bin/worker 2>/dev/null || true
    [ $((round % 5)) != 2 ] || ETXTBSY_MAX_WAIT=200ms env bin/tool once 2>/dev/null || true
    wait "$starts"
done

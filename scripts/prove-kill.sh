#!/bin/sh
# Kills some writers before each single system call that they make, one in each run, and adds up: `scripts/prove-kill.sh BUILD`.
set -eu

said=$(mktemp)
trap 'rm -f "$said" "$said.failed"' EXIT
begin=$(date +%s)
{ ETXTBSY_KILL_STEP=${ETXTBSY_KILL_STEP:-1} "$1/tests/run" --filter 'deaths/*' 2>&1 || touch "$said.failed"; } | tee "$said"

awk -v seconds="$(($(date +%s) - begin))" '
    /^deaths: .* system calls$/ {
        rows++
        points += $(NF - 4)
        calls += $(NF - 2)
    }
    END { printf "%d kills before %d system calls of %d trees in %d s\n", points, calls, rows, seconds }' "$said"
[ ! -e "$said.failed" ]

#!/bin/sh
# Makes each single system call of some writers fail, one in each run, and adds up how that ended: `scripts/prove-fail.sh BUILD`.
set -eu

said=$(mktemp)
trap 'rm -f "$said" "$said.failed"' EXIT
begin=$(date +%s)
{ ETXTBSY_FAIL_STEP=1 "$1/tests/run" --filter 'faults/*' 2>&1 || touch "$said.failed"; } | tee "$said"

awk -v seconds="$(($(date +%s) - begin))" '
    /^faults: .* system calls, / {
        sub(/^.*: /, "")
        count = split($0, word, /[^0-9]+/)
        for (i = 1; i <= count; i++)
            sum[i] += word[i]
    }
    END {
        printf "%d system calls, %d ways to fail, %d run in %d s: %d succeeded, %d failed with the old file, %d with the new one, ",
            sum[1], sum[2], sum[3], seconds, sum[4], sum[5], sum[6]
        printf "%d ended as without the shim (%d of them never), %d lost the library\n", sum[7], sum[8], sum[9]
    }' "$said"
[ ! -e "$said.failed" ]

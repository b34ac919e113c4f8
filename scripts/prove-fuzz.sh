#!/bin/sh
# Builds the fuzzers of tests/fuzz with clang and runs each on its seeds: `scripts/prove-fuzz.sh BUILD OPTIONS FUZZER...`.
# Says how many inputs each tried. Without libFuzzer it says so, and that is all.
set -eu
cd "$(dirname "$0")/.."

build=$1/fuzz
options=$2
shift 2

probe='#include <stddef.h>
int LLVMFuzzerTestOneInput(const char *d, size_t n); int LLVMFuzzerTestOneInput(const char *d, size_t n) { return d && n > 9; }'
mkdir -p "$build/inputs"
if ! echo "$probe" | clang -fsanitize=fuzzer,address,undefined -x c -o "$build/probe" - 2>/dev/null; then
    echo "skipped: there is no clang with libFuzzer here (Debian: clang, libclang-rt-14-dev or what belongs to it)" >&2
    exit 0
fi
"${MAKE:-make}" --no-print-directory -s "BUILD=$build" CC=clang \
    CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-frame-larger-than" fuzzers

failed=0
for fuzzer in "$@"; do
    mkdir -p "$build/inputs/$fuzzer"
    log=$build/$fuzzer.log
    # shellcheck disable=SC2086  # options are words; what is found goes to the first directory, the seeds are only read
    if "$build/fuzz-$fuzzer" $options -timeout=10 -max_len=16384 -print_final_stats=1 "-artifact_prefix=$build/found-$fuzzer-" \
        "$build/inputs/$fuzzer" "tests/fuzz/seeds/$fuzzer" >"$log" 2>&1; then
        echo "fuzz $fuzzer: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
    else
        failed=1
        echo "fuzz $fuzzer: found something; the input is in $build/found-$fuzzer-*, the log in $log" >&2
        tail -n 30 "$log" >&2
    fi
done
exit "$failed"

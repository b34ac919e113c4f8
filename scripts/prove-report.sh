#!/bin/sh
# Makes a log of real interventions: `scripts/prove-report.sh BUILD COUNT` writes about COUNT lines to BUILD/conflicts.json, then reports on
# them. Run by `make prove-report`.
set -eu

build=$(cd "$1" && pwd)
work=$(mktemp -d /tmp/etxtbsy-conflicts.XXXXXX)
trap 'rm -rf "$work"' EXIT

rm -f "$build/conflicts.json"
LD_PRELOAD=$build/libetxtbsy.so ETXTBSY_LOG=$build/conflicts.json timeout 1200 "$build/tests/conflicts" "$build/tests/target" "$work" "$2"
"$build/etxtbsy" report "$build/conflicts.json"

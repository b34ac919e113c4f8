#!/bin/sh
# Makes a log of real interventions: `scripts/storm.sh BUILD COUNT` writes about COUNT lines to BUILD/storm.json, then reports on
# them. Run by `make storm`.
set -eu

build=$(cd "$1" && pwd)
work=$(mktemp -d /tmp/etxtbsy-storm.XXXXXX)
trap 'rm -rf "$work"' EXIT

rm -f "$build/storm.json"
LD_PRELOAD=$build/libetxtbsy.so ETXTBSY_LOG=$build/storm.json timeout 1200 "$build/tests/storm" "$build/tests/target" "$work" "$2"
"$build/etxtbsy" report "$build/storm.json"

#!/bin/sh
# Measures, and writes the tables: `tests/bench/run.sh BUILD PART...`; the parts are the functions below. Samples stay in
# BUILD/bench/samples.PART, so that one part can be measured again alone. What can't be measured here is said, and left out.
set -eu
cd "$(dirname "$0")/../.."

build=$(realpath "$1")
bench=$build/bench
library=$build/libetxtbsy.so
scripts=$(realpath scripts)
plots=$(realpath tests/bench)
example=$(realpath etxtbsy.conf.example)
mebibyte=1048576
gibibyte=1073741824
# The configuration of this machine, and of whoever runs this, is none of the benchmark's.
unset LD_PRELOAD ETXTBSY_CONF ETXTBSY_LOG
shift

say() { echo "bench: $*" >&2; }

# ---- the parts --------------------------------------------------------------------------------------------------------------

start() {
    # A file as people have it: comments, and values for a few places.
    head -c 700 "$example" >conf
    printf '\n%s\n' 'log = /var/log/etxtbsy.json' '[exec]' 'max_wait = 30s' '[rule]' 'path = /srv/app/**' 'max_wait = 1min' >>conf
    while [ "$(wc -c <conf)" -lt 1024 ]; do echo "# and so on" >>conf; done
    "$bench/start" 3000 "$PWD/conf"
    counted start-instructions plain "" "$bench/tiny"
    counted start-instructions empty "$bench/empty.so" "$bench/tiny"
    counted start-instructions least "$bench/least.so" "$bench/tiny"
    counted start-instructions shim "$library" "$bench/tiny"
    "$bench/pages" 20
    strip -o stripped.so "$library"
    echo "size shim $(stat -c %s stripped.so)"
}

# counted ROW CONTESTANT LIBRARY COMMAND...: instructions, which know no noise.
counted() {
    row=$1 contestant=$2 preload=$3
    shift 3
    if ! command -v valgrind >/dev/null; then
        say "no valgrind: instructions aren't counted"
        return
    fi
    count=$(LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    [ -z "$count" ] || echo "$row $contestant $count"
}

calls() {
    "$bench/calls" 20 500000
    for name in write open+close dup2 fstat; do
        for contestant in plain shim; do
            preload=""
            [ $contestant = plain ] || preload=$library
            few=$(counted x x "$preload" "$bench/calls" once $name 1000 | cut -d' ' -f3)
            many=$(counted x x "$preload" "$bench/calls" once $name 11000 | cut -d' ' -f3)
            [ -z "$many" ] || echo "$name-instructions $contestant $(((many - few) / 10000)).$(((many - few) / 1000 % 10))"
        done
    done
}

programs() {
    mkdir -p rules
    {
        printf 'all: '
        seq -f 'rule%g' -s ' ' 1000
        seq -f 'rule%g:; @true' 1000
    } >rules/Makefile
    "$bench/beside" make 12 plain "make -s -C rules" shim "LD_PRELOAD=$library make -s -C rules" \
        least "LD_PRELOAD=$bench/least.so make -s -C rules"
    if ! "$scripts/fetch-source.sh" "$bench/source" hello >/dev/null 2>&1; then
        say "the source of hello can't be had: ./configure is left out"
        return
    fi
    export FORCE_UNSAFE_CONFIGURE=1
    BEFORE='rm -rf tree; cp -r source tree' && export BEFORE
    rm -rf source && cp -r "$bench/source/hello" source
    "$bench/beside" configure 3 plain "cd tree && ./configure >log 2>&1" \
        shim "cd tree && LD_PRELOAD=$library ETXTBSY_LOG=none ./configure >log 2>&1"
}

release() {
    strategies="100ms-doubling 1ms-doubling 10ms-fixed inotify"
    ETXTBSY_LOG=$PWD/waits.json && export ETXTBSY_LOG
    # shellcheck disable=SC2086  # words
    {
        "$bench/release" 1 60 shim $strategies
        "$bench/release" 10 60 shim $strategies
        # The longer holds are slept away: all at once, each with a file of its own.
        for hold in 100 1000; do
            rm -f waits.json
            rounds=$((hold == 100 ? 60 : 48))
            for strategy in shim $strategies; do
                "$bench/release" $hold $rounds "$strategy" &
            done
            wait
        done
    }
    sed -n 's/.*"outcome":"succeeded".*"attempts":\([0-9]*\),"waited.*/attempts shim \1/p' waits.json
}

waiters() {
    ETXTBSY_EXEC_MAX_WAIT=60s && export ETXTBSY_EXEC_MAX_WAIT
    for log in 1 2 3; do
        ETXTBSY_LOG=$PWD/log.$log "$bench/waiters" 1 10 defaults
    done
    ETXTBSY_LOG=$PWD/log "$bench/waiters" 500 10 defaults
    ETXTBSY_LOG=$PWD/log ETXTBSY_HOLDERS=never "$bench/waiters" 500 10 never
    "$bench/waiters" 500 10 by-hand ladder
}

race() {
    for _ in 1 2 3 4 5; do
        "$bench/race" 2000 plain
        LD_PRELOAD=$library ETXTBSY_LOG=$PWD/log "$bench/race" 2000 shim
    done
}

copy() {
    "$bench/copy" copy-small 30720 300 remove-destination least asked idle idle-shim shim-silent shim-never shim-unsynced shim-defaults
    has_room "$PWD" 6 || return 0
    "$bench/copy" copy-disk $gibibyte 15 remove-destination least shim-unsynced
    "$bench/copy" copy-synced $gibibyte 9 remove-destination+fsync shim-defaults
    on tmpfs "$bench/copy" copy-tmpfs $gibibyte 15 remove-destination least shim-unsynced
}

opens() {
    has_room "$PWD" 6 || return 0
    "$bench/open" "open-$(stat -f -c %T . | sed 's/ext2.*/ext4/')" $gibibyte 3
    on tmpfs "$bench/open" open-tmpfs $gibibyte 5
    on xfs "$bench/open" open-xfs $gibibyte 5
    on btrfs "$bench/open" open-btrfs $gibibyte 5
}

line() {
    "$bench/line" 30 1000
}

growth() {
    "$bench/redirects" 3 1 10 100 1000
    "$bench/redirects" deployers 3 50 1 4 16 64
}

methods() {
    if [ "$(id -u)" != 0 ]; then
        say "not root: the comparison with install, cp -f and rsync is left out"
        return
    fi
    "$bench/methods" 21 $((8 * mebibyte))
}

# ---- where ------------------------------------------------------------------------------------------------------------------

has_room() {
    [ "$(($(stat -f -c '%a * %S' "$1") / gibibyte))" -ge "$2" ] || {
        say "less than $2 GiB free in $1: files of 1 GiB are left out"
        return 1
    }
}

# on FILESYSTEM COMMAND...: in a directory of a new file system, in a mount namespace that goes with the command.
on() {
    filesystem=$1
    shift
    rm -f image
    case $filesystem in
    tmpfs) make="mount -t tmpfs -o size=8g none mounted" ;;
    xfs | btrfs)
        command -v "mkfs.$filesystem" >/dev/null || {
            say "no mkfs.$filesystem: left out"
            return 0
        }
        make="truncate -s 5G image && mkfs.$filesystem -q image >/dev/null && mount -o loop image mounted"
        ;;
    esac
    mkdir -p mounted
    if ! unshare -m sh -c "$make" >/dev/null 2>&1; then
        say "$filesystem can't be mounted here: left out"
        return 0
    fi
    rm -f image
    # shellcheck disable=SC2016  # for the inner shell
    unshare -m sh -c "$make"' && cd mounted && "$@"' sh "$@"
    rm -f image
}

# ---- all of it --------------------------------------------------------------------------------------------------------------

for part in "$@"; do
    say "$part"
    begun=$(date +%s)
    work=$bench/work
    rm -rf "$work"
    mkdir -p "$work"
    case $part in
    methods) (cd "$work" && methods) >"$bench/methods.said" ;;
    *) (cd "$work" && "$part") >"$bench/samples.$part" ;;
    esac
    rm -rf "$work"
    say "$part took $(($(date +%s) - begun)) s"
done

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "$(date -u '+%Y-%m-%d %H:%M UTC'), $(nproc) x ${model:-$(uname -m)}, Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg) at the end" >"$bench/machine"
[ -e "$bench/methods.said" ] || : >"$bench/methods.said"
cat "$bench"/samples.* >"$bench/samples"
"$bench/summary" "$bench/samples" "$bench/methods.said" "$bench/machine" "$build"
if command -v gnuplot >/dev/null; then
    for plot in start wait copy; do
        gnuplot -e "medians='$build/medians.dat'; machine='$(cat "$bench/machine")'" "$plots/$plot.gnuplot" >"$build/$plot.svg" ||
            say "no plot of $plot: it wasn't measured yet"
    done
else
    say "no gnuplot: no plots"
fi
cat "$build/bench.txt"

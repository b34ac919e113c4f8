#!/bin/sh
# The library built by another compiler, for another machine, beside an older libc: `scripts/prove-elsewhere.sh BUILD PART...`.
#
#   clang       the whole suite, with everything compiled by clang
#   m32         every entry point, library and programs compiled with -m32
#   m32-qemu    the same under qemu-user, for a machine that runs no 32-bit programs
#   i386        the whole suite in a 32-bit Debian, compiled there
#   glibc-2.31  every entry point, by programs of Debian 11 with its libc, the library as it was built here
#   aarch64     every entry point, cross-compiled, under qemu-user
#
# What a part needs and doesn't find is named, and the part is skipped. i386 and glibc-2.31 need root and debootstrap, and keep their
# systems in BUILD/elsewhere.
set -eu
cd "$(dirname "$0")/.."

build=$(realpath "$1")
shift
work=$build/elsewhere
status=0
mkdir -p "$work"

skip() {
    echo "elsewhere: skipped: $part: $*" >&2
}

ended() {
    result=$(grep -a 'Synthesis' "$work/$part.out" | sed 's/.*: Tested/Tested/' || true)
    points=$(sed -n 's/^\(.*\): \([0-9]*\) entry points$/\1 \2/p' "$work/$part.out" | sort | tr '\n' ' ')
    echo "elsewhere: $part: ${result:-no result}${points:+; entry points: $points}"
    if [ "$1" != 0 ] || [ -z "$result" ]; then
        grep -aE '^\[(FAIL|----)' "$work/$part.out" | head -n 40 >&2 || true
        status=1
    fi
}

# The entry points' tests alone; to have tested none is a failure, too.
run_entries() {
    code=0
    "$@" --timeout 2400 --filter 'entries/*' >"$work/$part.out" 2>&1 || code=$?
    grep -a '^skipped' "$work/$part.out" | sort -u | sed "s/^/elsewhere: $part: /" >&2 || true
    grep -aq 'entry points$' "$work/$part.out" || code=1
    ended "$code"
}

# A Debian in $work/NAME: `debian NAME RELEASE PACKAGES DEBOOTSTRAP-OPTION...`. False where it can't be had.
debian() {
    [ ! -e "$work/$1.done" ] || return 0
    [ "$(id -u)" = 0 ] || { skip "a system of its own needs root"; return 1; }
    command -v debootstrap >/dev/null || { skip "there is no debootstrap here"; return 1; }
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Component: main' 2>/dev/null | head -n 1)
    [ -n "$mirror" ] || { skip "apt knows no mirror here"; return 1; }
    name=$1 release=$2 packages=$3
    shift 3
    rm -rf "${work:?}/$name"
    debootstrap --variant=minbase --include="$packages" "$@" "$release" "$work/$name" "$mirror" >"$work/$name.log" 2>&1 ||
        { skip "debootstrap: $(tail -n 1 "$work/$name.log")"; return 1; }
    : >"$work/$name.done"
}

# Runs a command in one, with /proc and a small /dev of its own.
inside() {
    root=$1
    shift
    # shellcheck disable=SC2016  # the arguments are the inner shell's
    timeout 3000 unshare -m -p -f --propagation private sh -c '
        root=$1
        shift
        mount -t proc proc "$root/proc" && mount -t tmpfs -o mode=755 tmpfs "$root/dev" || exit 1
        node() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
        node null 1 3 && node zero 1 5 && node full 1 7 && node random 1 8 && node urandom 1 9 && node tty 5 0
        mkdir "$root/dev/pts" "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts" && mount -t tmpfs tmpfs "$root/dev/shm"
        ln -s pts/ptmx "$root/dev/ptmx"
        ln -s /proc/self/fd "$root/dev/fd"
        for n in 0.stdin 1.stdout 2.stderr; do ln -s "/proc/self/fd/${n%.*}" "$root/dev/${n#*.}"; done
        exec chroot "$root" "$@"' - "$root" "$@" </dev/null
}

# The program that the tests start and overwrite, and victims of the kinds that can be had, into $work/$part/tests.
programs() {
    make --no-print-directory -s "$@" BUILD="$work/$part" FUSE= \
        "$work/$part/tests/target" "$work/$part/tests/cases" "$work/$part/tests/victim-plain" "$work/$part/tests/victim-fortify" "$work/$part/tests/victim-lfs"
}

# The library by the path that has $LIB in it for programs of this machine, and for those of the part: their words for it.
by_kind() {
    for lib in "$(gcc -print-multiarch)" "$@"; do
        mkdir -p "$work/$part/by/$lib"
    done
    mkdir -p "$work/$part/by/lib/$(gcc -print-multiarch)"
    cp "$build/libetxtbsy.so" "$work/$part/by/lib/$(gcc -print-multiarch)/"
    for lib in "$@"; do
        cp "$work/$part/libetxtbsy.so" "$work/$part/by/$lib/"
    done
}

prove_clang() {
    command -v clang >/dev/null || { skip "there is no clang here"; return 0; }
    make --no-print-directory CC=clang CXX=clang++ BUILD="$build/clang" suite
    code=0
    "$build/clang/tests/run" >"$work/$part.out" 2>&1 || code=$?
    ended "$code"
}

# Where gcc-multilib isn't installed, which excludes compilers for other machines, asm/ is the other word size's.
compiler_32="gcc -m32 -idirafter /usr/include/$(gcc -print-multiarch)"

can_compile_32() {
    echo 'int main(void) { return 0; }' >"$work/small.c"
    $compiler_32 -o "$work/small" "$work/small.c" 2>/dev/null ||
        { skip "no 32-bit programs can be compiled here (Debian: libc6-dev-i386, lib32gcc-$(gcc -dumpversion)-dev)"; return 1; }
}

# Some kernels are built without, and some machines can't, whatever the kernel is built with. Any shell but bash would then take it for a
# script.
can_run_32() {
    # shellcheck disable=SC2016
    bash -c '"$1"' - "$work/small" 2>/dev/null || { skip "this machine runs no 32-bit programs; m32-qemu is what can be had"; return 1; }
}

compile_32() {
    mkdir -p "$work/$part/tests"
    make --no-print-directory -s CC="$compiler_32" BUILD="$work/$part" FUSE= "$work/$part/libetxtbsy.so" "$work/$part/tests/victim-time64"
    programs CC="$compiler_32"
    by_kind lib/i386-linux-gnu lib32
    make --no-print-directory -s entries TESTED="$work/$part" \
        TESTED_FLAGS="-DMAY_LACK -DOTHER_MACHINE -DHAS_TIME64_NAMES $* '-DPRELOAD=\"$work/$part/by/\$\$LIB/libetxtbsy.so\"'"
}

prove_m32() {
    { can_compile_32 && can_run_32; } || return 0
    compile_32
    run_entries "$work/$part/run-entries"
}

prove_m32_qemu() {
    { can_compile_32 && can_emulate i386; } || return 0
    compile_32 -DUNDER_QEMU "'-DTARGET_PROGRAM=\"$build/tests/target\"'"
    run_entries in_emulation i386 "$work/$part/run-entries"
}

prove_i386() {
    ! can_compile_32 2>/dev/null || can_run_32 || return 0
    debian "$part" "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" \
        gcc,g++,libc6-dev,make,pkg-config,libjson-c-dev,zlib1g-dev,nettle-dev,binutils,libcriterion-dev,strace,dash,mksh,zsh,perl,python3,rsync,curl,procps,file,git,busybox,attr,acl,e2fsprogs \
        --arch=i386 || return 0
    mkdir -p "$work/$part/src"
    git ls-files | tar cf - -T - | tar xf - -C "$work/$part/src"
    inside "$work/$part" setarch i386 make -C /src -j2 suite >"$work/$part.make" 2>&1 || { tail -n 20 "$work/$part.make" >&2; status=1; return 0; }
    code=0
    inside "$work/$part" setarch i386 sh -c 'cd /src && build/tests/run --timeout 300' >"$work/$part.out" 2>&1 || code=$?
    ended "$code"
}

prove_glibc() {
    debian "$part" bullseye gcc,libc6-dev || return 0
    mkdir -p "$work/$part/src" "$work/$part-programs/tests"
    cp tests/programs/*.[ch] "$work/$part/src/"
    # They run here, outside of that system, with its libc and its loader.
    loader="-Wl,--dynamic-linker=$work/$part/lib/x86_64-linux-gnu/ld-2.31.so -Wl,-rpath,$work/$part/lib/x86_64-linux-gnu"
    for kind in target:target: cases:target: victim-plain:victim: victim-fortify:victim:-O2,-D_FORTIFY_SOURCE=2 victim-lfs:victim:-D_FILE_OFFSET_BITS=64; do
        name=${kind%%:*} source=${kind#*:}
        # shellcheck disable=SC2046,SC2086  # lists of words
        chroot "$work/$part" gcc -D_GNU_SOURCE -g $(echo "${source#*:}" | tr , ' ') -o "/src/$name" "/src/${source%%:*}.c" $loader
        cp "$work/$part/src/$name" "$work/$part-programs/tests/"
    done
    echo "again" >>"$work/$part-programs/tests/cases" # another file than the target
    cp "$build/libetxtbsy.so" "$work/$part-programs/"
    make --no-print-directory -s entries TESTED="$work/$part-programs" TESTED_FLAGS=-DMAY_LACK
    run_entries "$work/$part-programs/run-entries"
}

prove_aarch64() {
    cross=/usr/aarch64-linux-gnu
    { command -v aarch64-linux-gnu-gcc && [ -e "$cross/lib/libc.so.6" ]; } >/dev/null ||
        { skip "there is no compiler for it here (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)"; return 0; }
    mkdir -p "$work/$part/tests" "$work/qemu"
    make --no-print-directory -s CC=aarch64-linux-gnu-gcc BUILD="$work/$part" FUSE= "$work/$part/libetxtbsy.so"
    programs CC="aarch64-linux-gnu-gcc -Wl,--dynamic-linker=$cross/lib/ld-linux-aarch64.so.1 -Wl,-rpath,$cross/lib"
    by_kind lib/aarch64-linux-gnu lib
    can_emulate aarch64 || return 0
    make --no-print-directory -s entries TESTED="$work/$part" \
        TESTED_FLAGS="-DMAY_LACK -DOTHER_MACHINE -DUNDER_QEMU '-DTARGET_PROGRAM=\"$build/tests/target\"' '-DPRELOAD=\"$work/$part/by/\$\$LIB/libetxtbsy.so\"'"
    run_entries in_emulation aarch64 "$work/$part/run-entries"
}

# Finds an emulator that is static: one that is linked with libc would be given the library itself.
can_emulate() {
    mkdir -p "$work/qemu"
    qemu=$(command -v "qemu-$1-static" || echo "$work/qemu/usr/bin/qemu-$1-static")
    [ -x "$qemu" ] || (cd "$work/qemu" && apt-get download -qq qemu-user-static >/dev/null 2>&1 && dpkg-deb -x qemu-user-static_*.deb .) ||
        { skip "there is no static qemu-user to be had"; return 1; }
    [ "$(id -u)" = 0 ] || { skip "a binfmt_misc of its own needs root"; return 1; }
}

# Runs a command where the kernel starts programs for another machine with $qemu: in a user namespace, which since Linux 6.7 has a
# binfmt_misc of its own. All ids are the same in it.
# shellcheck disable=SC2317  # run_entries calls it
in_emulation() {
    case $1 in
    aarch64) kind="$1 02 b7" ;; # word size and machine, as the file's head has them
    i386) kind="$1 01 03" ;;
    esac
    shift
    go=$work/$part/go
    rm -f "$go"
    mkfifo "$go"
    # shellcheck disable=SC2016,SC2086  # the arguments are the inner shell's; a list of words
    timeout 3000 unshare -U -m sh -c '
        go=$1 qemu=$2 machine=$3 size=$4 number=$5
        shift 5
        read -r _ <"$go" && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 1
        magic="\x7fELF\x$size\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x$number\x00"
        mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
        printf "%s" ":$machine:M::$magic:$mask:$qemu:FP" >/proc/sys/fs/binfmt_misc/register || exit 1
        exec "$@"' - "$go" "$qemu" $kind "$@" &
    shell=$!
    here=$(readlink /proc/self/ns/user)
    until child=$(pgrep -P "$shell" | head -n 1) && [ -n "$child" ] && [ "$(readlink "/proc/$child/ns/user")" != "$here" ]; do sleep 0.05; done
    echo 0 0 65536 >"/proc/$child/uid_map"
    echo 0 0 65536 >"/proc/$child/gid_map"
    echo go >"$go"
    wait "$shell"
}

for part; do
    case $part in
    clang) prove_clang ;;
    m32) prove_m32 ;;
    m32-qemu) prove_m32_qemu ;;
    i386) prove_i386 ;;
    glibc-2.31) prove_glibc ;;
    aarch64) prove_aarch64 ;;
    *)
        echo "usage: scripts/prove-elsewhere.sh BUILD clang|m32|m32-qemu|i386|glibc-2.31|aarch64..." >&2
        exit 2
        ;;
    esac
done
exit "$status"

#!/bin/sh
# Installs what is missing, on Debian and its kin: `scripts/setup.sh demo`, `picture`, `test`, `lint`, `deb`, `rpm`, `prove` or `bench`.
# What is there already is left alone; with nothing missing it does nothing. Needs root or sudo only to install.
set -eu

required="gcc libc6-dev make pkg-config libjson-c-dev zlib1g-dev nettle-dev"
useful=""
unpacked=""
case "${1:-}" in
demo) ;;
test)
    required="$required g++ binutils libcriterion-dev"
    # The programs that the tests drive: a missing one is skipped, and said so.
    useful="clang valgrind strace dash zsh mksh fish busybox perl python3 vim rsync curl util-linux procps
        e2fsprogs xfsprogs btrfs-progs libfuse3-dev
        mandoc git fakeroot eatmydata faketime openssh-client openssh-sftp-server sshfs"
    # Servers that the tests drive: unpacked below build/tools, for an installed one would be started, now and at every boot.
    unpacked="prometheus prometheus-node-exporter"
    ;;
lint) required="$required clang-format clang-tidy shellcheck" ;;
picture) required="$required chromium" ;;
deb) required="$required dpkg-dev" ;;
rpm) required="$required rpm git" ;;
prove) required="$required dpkg-dev debootstrap systemd-container" ;;
elsewhere)
    required="$required g++ libcriterion-dev debootstrap"
    useful="clang gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    ;;
suites)
    required="$required dpkg-dev perl"
    useful="mksh tcl"
    python3 -c 'import test.test_fileio' 2>/dev/null || useful="$useful python3 libpython3-testsuite"
    ;;
bench)
    required="$required binutils"
    useful="valgrind gnuplot-nox rsync acl attr xfsprogs btrfs-progs dpkg-dev"
    ;;
*)
    echo "usage: scripts/setup.sh demo|picture|test|lint|deb|rpm|prove|elsewhere|suites|bench" >&2
    exit 2
    ;;
esac

# libFuzzer and the sanitizers of the clang that is here, or that there will be.
clang_runtime() {
    version=$(clang -dumpversion 2>/dev/null || apt-cache depends clang 2>/dev/null | sed -n 's/.*clang-\([0-9]*\)$/\1/p')
    [ -z "$version" ] || echo "libclang-rt-${version%%.*}-dev"
}

# What `gcc -m32` needs; gcc-multilib would exclude compilers for other machines.
word_size_32() {
    [ "$(dpkg --print-architecture)" = amd64 ] || return 0
    version=$(gcc -dumpversion 2>/dev/null || apt-cache depends gcc 2>/dev/null | sed -n 's/.*Depends: gcc-\([0-9]*\)$/\1/p')
    [ -z "$version" ] || echo "libc6-dev-i386 lib32gcc-${version%%.*}-dev"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing() {
    for package in "$@"; do
        is_installed "$package" || printf '%s ' "$package"
    done
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: this isn't Debian; going on with what is here. Needed: $required" >&2
    exit 0
fi

# shellcheck disable=SC2086  # lists of words
needed=$(missing $required)
# shellcheck disable=SC2086
wanted=$(missing $useful)
# shellcheck disable=SC2046
case " $useful " in *" clang "*) wanted="$wanted$(missing $(clang_runtime) $(word_size_32))" ;; esac
# A program that came from elsewhere is as good as the package.
for package in $wanted; do
    command -v "$package" >/dev/null 2>&1 && wanted=$(printf '%s' "$wanted" | sed "s/\(^\| \)$package /\1/")
done
servers=""
for package in $unpacked; do
    command -v "$package" >/dev/null 2>&1 || [ -x "build/tools/usr/bin/$package" ] || servers="$servers$package "
done
[ -n "$needed$wanted$servers" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: needs root or sudo to install: $needed$wanted" >&2
        [ -z "$needed" ]
        exit
    fi
fi

echo "setup: installing $needed$wanted$servers"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq || echo "setup: apt-get update failed; trying with the lists that are here" >&2
if [ -n "$needed" ]; then
    # shellcheck disable=SC2086
    $as_root apt-get install -y -qq --no-install-recommends $needed >/dev/null
fi
# One by one: a release that lacks one of them has the others.
for package in $wanted; do
    $as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
        echo "setup: there is no $package to be had; tests that drive it are skipped" >&2
done
for package in $servers; do
    mkdir -p build/tools
    (cd build/tools && apt-get download -qq "$package" >/dev/null 2>&1 && dpkg-deb -x "$package"_*.deb . && rm -f "$package"_*.deb) ||
        echo "setup: there is no $package to be had; tests that drive it are skipped" >&2
done

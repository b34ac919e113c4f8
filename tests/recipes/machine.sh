#!/bin/sh
# `machine.sh DIRECTORY RECIPE SPOIL TEXTS`: follows a recipe of README.md in a copy of this machine that nobody else sees: an overlay over /
# with its own /srv, /tmp, /dev and /proc, in which the project is installed. Run by recipes.c in namespaces of its own, which take
# everything with them. TEXTS is a directory with the recipe's blocks: 1, 2, ... SPOIL is empty, or the number of the way in which
# the recipe is to be spoilt before it is followed: then it must fail.
# Exit status: 0 it did what it says, 1 it didn't, 2 there is no such way, 77 such a machine can't be made here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
machine=$1/machine
{
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$machine"
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$machine"
    mount -t proc proc "$machine/proc"
    for directory in srv tmp dev run mnt; do
        mount -t tmpfs tmpfs "$machine/$directory"
    done
} || exit 77
for node in null zero full random urandom tty fuse; do
    [ ! -e "/dev/$node" ] || { : >"$machine/dev/$node" && mount --bind "/dev/$node" "$machine/dev/$node"; }
done
ln -s /proc/self/fd "$machine/dev/fd"
chmod 1777 "$machine/tmp"

# As `make install` does; which of these $LIB stands for is the compiler's matter.
mkdir -p "$machine/usr/local/bin"
cp "$BUILD/etxtbsy" "$machine/usr/local/bin/"
for library in lib lib64 "lib/$(uname -m)-linux-gnu"; do
    mkdir -p "$machine/usr/local/$library"
    cp "$BUILD/libetxtbsy.so" "$machine/usr/local/$library/"
done
rm -f "$machine/etc/etxtbsy.conf" "$machine/etc/ld.so.preload"

# A service, and its next version.
mkdir "$machine/opt/recipe" "$machine/srv/app" "$machine/srv/work"
cp "$BUILD/tests/target" "$machine/opt/recipe/old"
cp "$BUILD/tests/target" "$machine/opt/recipe/new"
cp "$BUILD/tests/hold" "$machine/opt/recipe/"
echo >>"$machine/opt/recipe/new"
cp "$here/scene.sh" "$here/$2.sh" "$4"/* "$machine/opt/recipe/"

unset LD_PRELOAD MAKEFLAGS MAKELEVEL
export PATH="/usr/local/bin:$PATH" TMPDIR=/tmp RECIPE="$2" SPOIL="$3" ETXTBSY_LOG=/var/log/etxtbsy.json
exec chroot "$machine" /bin/sh -eu /opt/recipe/scene.sh

#!/bin/sh
# `scripts/prove_deb.sh BUILD`, run by `make prove-deb`: the packages are installed, used, upgraded under running programs and purged in a fresh
# Debian without systemd. Nothing must be left.
set -eu

prove=$1/prove
root=$prove/deb
scripts/prove/base.sh "$prove/plain" libjson-c5
rm -rf "$root"
cp -a "$prove/plain" "$root"
mkdir "$root/proof"
cp "$1"/deb/*.deb scripts/prove/in_debian.sh "$root/proof"
systemd-nspawn --quiet --register=no --keep-unit --pipe --directory="$root" /bin/sh /proof/in_debian.sh

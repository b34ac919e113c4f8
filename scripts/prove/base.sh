#!/bin/sh
# `scripts/prove/base.sh DIRECTORY PACKAGES`: a fresh Debian in DIRECTORY, of this machine's release, from this machine's mirror, with these packages
# (commas between them). One that is there is used again.
set -eu

[ ! -e "$1/proved-base" ] || exit 0
[ "$(id -u)" = 0 ] || {
    echo "prove: a fresh root is made by debootstrap, which needs root" >&2
    exit 1
}
mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Component: main' | head -n 1)
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
rm -rf "$1"
mkdir -p "$1"
echo "prove: a fresh $codename in $1; takes some minutes"
debootstrap --variant=minbase --include="$2" "$codename" "$1" "$mirror" >"$1.log" 2>&1 || {
    tail -n 5 "$1.log" >&2
    exit 1
}
touch "$1/proved-base"

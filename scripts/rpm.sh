#!/bin/sh
# `scripts/rpm.sh VERSION BUILD`, run by `make rpm`: packages in BUILD/rpm, from the tarball that `make dist` makes.
set -eu

top=$(mkdir -p "$2/rpm" && cd "$2/rpm" && pwd)
scripts/dist.sh "$1" "$top/SOURCES"
# Where rpm isn't what installs packages it can't know that what is needed is there.
nodeps=""
[ -e /usr/lib/sysimage/rpm ] || [ -e /var/lib/rpm/rpmdb.sqlite ] || nodeps=--nodeps
# shellcheck disable=SC2086  # no word, or one
rpmbuild -bb $nodeps --define "_topdir $top" --define "etxtbsy_version $1" scripts/rpm/libetxtbsy.spec

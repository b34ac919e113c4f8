#!/bin/sh
# `scripts/dist.sh VERSION BUILD`, run by `make dist`: the sources as BUILD/libetxtbsy-VERSION.tar.gz. Order, times, owners and modes are
# fixed, so the same commit gives the same bytes, whoever makes it where.
set -eu

name=libetxtbsy-$1
archive=$2/$name.tar.gz
git rev-parse --git-dir >/dev/null 2>&1 || {
    echo "dist: this isn't a git work tree, so nobody can say which files are the project's" >&2
    exit 1
}
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

mkdir -p "$2"
git ls-files -z | LC_ALL=C sort -z >"$archive.files"
tar --create --format=ustar --transform="s|^|$name/|" --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
    --no-recursion --null --files-from="$archive.files" --file="$archive.tar"
gzip -9n <"$archive.tar" >"$archive.new"
rm "$archive.files" "$archive.tar"
mv "$archive.new" "$archive"
echo "$archive"

#!/bin/sh
# Fetches Debian source packages into a directory, from where this machine's apt gets its packages, and changes nothing of
# the machine's: `scripts/fetch-source.sh DIRECTORY PACKAGE...`. A package that is there already isn't fetched again.
set -eu

directory=$1
shift
mkdir -p "$directory/lists/partial" "$directory/cache/archives/partial"
directory=$(cd "$directory" && pwd)
# shellcheck disable=SC2016  # the names are apt's
apt-get indextargets --format 'deb-src $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    grep 'debian[^ ]* [a-z]* main$' | grep -v security | sort -u | head -n 1 >"$directory/sources.list"
[ -s "$directory/sources.list" ] || {
    echo "fetch-source: apt knows no mirror here" >&2
    exit 1
}

get() {
    apt-get -qq -o "Dir::Etc::SourceList=$directory/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$directory/lists" -o "Dir::Cache=$directory/cache" -o APT::Sandbox::User=root "$@"
}

cd "$directory"
updated=""
for package in "$@"; do
    [ ! -e "$package" ] || continue
    [ -n "$updated" ] || get update
    updated=yes
    get --only-source source "$package" >"$package.log" 2>&1 || {
        cat "$package.log" >&2
        exit 1
    }
    for tree in "$package"-*/; do
        mv "$tree" "$package"
    done
done

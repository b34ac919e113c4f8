# shellcheck shell=sh disable=SC1090,SC2154,SC2164
# What a recipe meets, and what must be so afterwards. A recipe's own file says `prepare`, `check`, and, where they differ from these here,
# `follow` and `spoils`. All run in /srv/work, where `service` is the next version of the program that runs as /srv/app/service.

say() {
    echo "$RECIPE: $*" >&2
    exit 1
}

# Starts the old version of a program, and returns when it is executing.
runs() {
    mkdir -p "$(dirname "$1")"
    cp /opt/recipe/old "$1"
    "$1" </dev/null >/dev/null 2>&1 &
    running=$!
    until [ "$(readlink "/proc/$running/exe")" = "$1" ]; do sleep 0.02; done
}

# A program that somebody still holds open for writing when it is started.
is_written() {
    cp /opt/recipe/new "$1"
    /opt/recipe/hold "$1" </dev/null >/dev/null 2>&1 &
    until [ -e "$1.held" ]; do sleep 0.02; done
}

is_new() {
    cmp -s /opt/recipe/new "$1" || say "$1 isn't the new version"
    [ -x "$1" ] || say "$1 isn't executable"
}

# The old version goes on under its own inode.
old_lives() {
    kill -0 "$running" 2>/dev/null || say "the running program has ended"
    cmp -s /opt/recipe/old "/proc/$running/exe" || say "the running program has been written to"
}

logged() {
    grep -q "$1" "${2:-$ETXTBSY_LOG}" || say "the log doesn't say $1: $(cat "${2:-$ETXTBSY_LOG}" 2>&1)"
}

# A block that names its interpreter is a program; others are for the shell. `make`, for one, must not find a terminal to wait for.
follow_block() {
    case $(head -n 1 "$1") in
    '#!'*) chmod +x "$1" && "$1" ;;
    *) sh -eu "$1" ;;
    esac </dev/null
}

prepare() {
    runs /srv/app/service
}

follow() {
    follow_block /opt/recipe/1
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"outcome":"replaced"'
}

# Each line is a way to spoil the recipe, for sed.
spoils() {
    echo 's/etxtbsy run\( --[-a-z]*\( [a-z0-9]*s\)\{0,1\}\)*//'
}

cd /srv/work
cp /opt/recipe/new service
. "/opt/recipe/$RECIPE.sh"
if [ "$SPOIL" ]; then
    way=$(spoils | sed -n "${SPOIL}p")
    [ "$way" ] || exit 2
    for block in /opt/recipe/[0-9]*; do
        sed "$way" "$block" >"$block.spoilt"
        cmp -s "$block" "$block.spoilt" || changed=yes
        cat "$block.spoilt" >"$block"
        rm "$block.spoilt"
    done
    [ "${changed-}" ] || { echo "$RECIPE: \"$way\" spoils nothing"; exit 0; }
fi
prepare
follow || say "it ends with status $?"
check

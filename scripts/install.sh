#!/bin/sh
# `scripts/install.sh install|install-library|uninstall`, run by make with the places in the environment (scripts/install.mk).
# What it makes it writes down in $DATADIR/etxtbsy/installed; uninstall goes by that list alone.
set -eu

list=$DESTDIR$DATADIR/etxtbsy/installed
temporary=""

fail() {
    echo "install: $*" >&2
    exit 1
}

check_places() {
    for place in "$PREFIX" "$LIBDIR" "$BINDIR" "$DATADIR"; do
        case $place in
        /*) ;;
        *) fail "PREFIX and the other places are absolute paths, not \"$place\"" ;;
        esac
    done
    case $LIBDIR in
    *[\ :]*) fail "LD_PRELOAD can't name a path with a blank or a colon in it: \"$LIBDIR\"" ;;
    esac
}

# Directories from the top down; those that are there already stay unlisted, and stay at the end.
make_directory() {
    if [ "$1" = / ]; then
        mkdir -p "$DESTDIR/"
        return
    fi
    [ -d "$DESTDIR$1" ] && return
    make_directory "$(dirname "$1")"
    mkdir "$DESTDIR$1"
    printf '%s\n' "$1" >>"$made"
}

# put MODE SOURCE PLACE: a whole file takes the name in one step, also under programs that have the old one open or mapped.
put() {
    make_directory "$(dirname "$3")"
    temporary=$(mktemp "$DESTDIR$(dirname "$3")/.etxtbsy-install.XXXXXX")
    cp "$2" "$temporary"
    chmod "$1" "$temporary"
    sync "$temporary"
    mv -fT "$temporary" "$DESTDIR$3"
    temporary=""
    printf '%s\n' "$3" >>"$made"
}

put_link() {
    temporary=$DESTDIR$(dirname "$2")/.etxtbsy-install.$$
    ln -sfn "$1" "$temporary"
    mv -fT "$temporary" "$DESTDIR$2"
    temporary=""
    printf '%s\n' "$2" >>"$made"
}

# A file that its administrator may have edited stays as he wants it.
put_configuration() {
    if [ -e "$DESTDIR$3" ] && ! cmp -s "$2" "$DESTDIR$3"; then
        echo "install: $DESTDIR$3 is there and differs; it stays as it is" >&2
    else
        put "$@"
    fi
}

install_library() {
    put 0644 "$BUILD/libetxtbsy.so" "$LIBDIR/libetxtbsy.so.$VERSION"
    put_link "libetxtbsy.so.$VERSION" "$LIBDIR/libetxtbsy.so"
}

install_all() {
    install_library
    put 0644 scripts/man/libetxtbsy.7 "$MANDIR/man7/libetxtbsy.7"
    put 0644 scripts/man/etxtbsy.conf.5 "$MANDIR/man5/etxtbsy.conf.5"
    put 0644 README.md "$DOCDIR/README.md"
    put 0644 etxtbsy.conf.example "$DOCDIR/etxtbsy.conf.example"
    put 0644 shim/event/event.schema.json "$DOCDIR/event.schema.json"
    drop_in=$(mktemp)
    sed "s|/usr/local/\$LIB/libetxtbsy.so|$INSTALLED_LIBRARY|" scripts/systemd/etxtbsy.conf >"$drop_in"
    put 0644 "$drop_in" "$DOCDIR/systemd-drop-in.conf"
    rm -f "$drop_in"
    put 0644 scripts/systemd/tmpfiles.conf "$TMPFILESDIR/etxtbsy.conf"
    put_configuration 0644 scripts/logrotate/etxtbsy "$SYSCONFDIR/logrotate.d/etxtbsy"
    if [ -e "$BUILD/etxtbsy" ]; then
        put 0755 "$BUILD/etxtbsy" "$BINDIR/etxtbsy"
        put 0644 scripts/man/etxtbsy.1 "$MANDIR/man1/etxtbsy.1"
        put 0644 scripts/completion/etxtbsy.bash "$BASHDIR/etxtbsy"
        put 0644 scripts/completion/_etxtbsy "$ZSHDIR/_etxtbsy"
    else
        echo "install: the command etxtbsy was not built, so the library is installed without it" >&2
    fi
}

# Also after a failure on the way. An earlier installation's files are on the list already, those of other versions, too: a
# program that is starting just now may have been told their name.
write_list() {
    status=$?
    if [ -d "$DESTDIR$DATADIR/etxtbsy" ]; then
        cat "$list" "$made" 2>/dev/null | awk '!seen[$0]++' >"$list.new"
        mv -f "$list.new" "$list"
    fi
    rm -f "$made" ${temporary:+"$temporary"}
    exit "$status"
}

begin_list() {
    made=$(mktemp)
    trap write_list EXIT
    make_directory "$DATADIR/etxtbsy"
}

uninstall() {
    [ -e "$list" ] || fail "$list isn't there: nothing is installed in these places"
    while IFS= read -r path; do
        case $path in
        "$SYSCONFDIR"/logrotate.d/etxtbsy)
            if ! cmp -s scripts/logrotate/etxtbsy "$DESTDIR$path"; then
                echo "uninstall: $DESTDIR$path was edited, and stays" >&2
                continue
            fi
            ;;
        esac
        if [ -h "$DESTDIR$path" ] || [ ! -d "$DESTDIR$path" ]; then
            rm -f "$DESTDIR$path"
        fi
    done <"$list"
    directories=$(tac "$list")
    rm -f "$list"
    # The deepest first. A directory in which others have put something stays.
    printf '%s\n' "$directories" | while IFS= read -r path; do
        [ ! -d "$DESTDIR$path" ] || [ -h "$DESTDIR$path" ] || rmdir "$DESTDIR$path" 2>/dev/null || true
    done
}

check_places
case ${1:-} in
install)
    begin_list
    install_all
    ;;
install-library)
    begin_list
    install_library
    ;;
uninstall) uninstall ;;
*) fail "install, install-library or uninstall?" ;;
esac

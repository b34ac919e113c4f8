#!/bin/sh
# `scripts/deb.sh VERSION BUILD`, run by `make deb`: libetxtbsy_*.deb and etxtbsy_*.deb in BUILD/deb, for this machine's architecture. The same
# sources, compiler and libraries give the same bytes.
set -eu

version=$1-1
build=$2/deb
arch=$(dpkg-architecture -q DEB_HOST_ARCH)
SOURCE_DATE_EPOCH=$(date -d "$(sed -n 's/^ -- .*>  //p' scripts/debian/changelog | head -n 1)" +%s)
export SOURCE_DATE_EPOCH

head -n 1 scripts/debian/changelog | grep -qF "($version)" || {
    echo "deb: scripts/debian/changelog doesn't begin with version $version" >&2
    exit 1
}

rm -rf "$build"
umask 022
root=$build/root
# Both names of the build directory stay out of what is built.
make --no-print-directory install DESTDIR="$(pwd)/$root" PREFIX=/usr BUILD="$build/build" CFLAGS="-O2 -g -ffile-prefix-map=$(pwd)=." \
    DOCDIR=/usr/share/doc/libetxtbsy ZSHDIR=/usr/share/zsh/vendor-completions
rm -r "$root/usr/share/etxtbsy" # make uninstall's list; dpkg has its own
[ -e "$root/usr/bin/etxtbsy" ] || {
    echo "deb: the command was not built" >&2
    exit 1
}
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root"/usr/lib/*/libetxtbsy.so.* "$root/usr/bin/etxtbsy"
gzip -9n "$root"/usr/share/man/man?/*

# What belongs to the command; all else is the library's.
lib=$build/libetxtbsy
command=$build/etxtbsy
mkdir -p "$lib" "$command/usr/share/man" "$command/usr/lib"
mv "$root/usr/bin" "$command/usr/bin"
mv "$root/usr/share/man/man1" "$command/usr/share/man/man1"
mv "$root/usr/share/bash-completion" "$root/usr/share/zsh" "$command/usr/share"
mv "$root/usr/lib/tmpfiles.d" "$command/usr/lib"
mv "$root/etc" "$command/etc"
mv "$root/usr" "$lib/usr"
rmdir "$root"

# depends_of FILE: the packages that its libraries come from.
depends_of() {
    mkdir -p "$build/shlibs/debian"
    printf 'Source: libetxtbsy\n\nPackage: libetxtbsy\nArchitecture: any\n' >"$build/shlibs/debian/control"
    file=$(realpath "$1")
    (cd "$build/shlibs" && dpkg-shlibdeps -O "$file") | sed -n 's/^shlibs:Depends=//p'
}

make_package() {
    package=$1
    directory=$build/$package
    doc=$directory/usr/share/doc/$package
    mkdir -p "$doc" "$directory/DEBIAN"
    cp scripts/debian/copyright "$doc/copyright"
    gzip -9nc scripts/debian/changelog >"$doc/changelog.Debian.gz"
    if [ -e "scripts/debian/$package.lintian-overrides" ]; then
        mkdir -p "$directory/usr/share/lintian/overrides"
        cp "scripts/debian/$package.lintian-overrides" "$directory/usr/share/lintian/overrides/$package"
    fi
    for script in postinst prerm postrm; do
        if [ -e "scripts/debian/$package.$script" ]; then
            cp "scripts/debian/$package.$script" "$directory/DEBIAN/$script"
            chmod 755 "$directory/DEBIAN/$script"
        fi
    done
    (cd "$directory" && find etc -type f -printf '/%p\n' 2>/dev/null | sort >DEBIAN/conffiles)
    [ -s "$directory/DEBIAN/conffiles" ] || rm "$directory/DEBIAN/conffiles"
    [ "$package" = etxtbsy ] || echo "activate-noawait ldconfig" >"$directory/DEBIAN/triggers"
    (cd "$directory" && find usr -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
    size=$(du -sk --exclude=DEBIAN --apparent-size "$directory" | cut -f1)
    sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@DEPENDS@/$2/" "scripts/debian/$package.control" >"$directory/DEBIAN/control"
    find "$directory" -type d -exec chmod 755 {} +
    dpkg-deb --root-owner-group --build "$directory" "$build"
}

make_package libetxtbsy "$(depends_of "$lib"/usr/lib/*/libetxtbsy.so."$1")"
make_package etxtbsy "$(depends_of "$command/usr/bin/etxtbsy")"
rm -rf "$build/shlibs"

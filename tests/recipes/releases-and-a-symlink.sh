# shellcheck shell=sh
prepare() {
    runs /srv/legacy/service
    legacy=$running
    mkdir -p /srv/app/releases
    runs /srv/app/releases/41/service
    ln -s releases/41 /srv/app/current
}

check() {
    is_new /srv/app/current/service
    old_lives
    cmp -s /opt/recipe/old /srv/app/releases/41/service || say "the old release was written to"
    running=$legacy
    old_lives
    cmp -s /opt/recipe/old /srv/legacy/service || say "the old version isn't back"
    [ "$(find /srv/legacy -name '.service.etxtbsy-was-*' | wc -l)" = 1 ] || say "not one generation is kept"
    logged '"outcome":"replaced"'
}

spoils() {
    echo 's/mv -T.*/true/'
    echo 's/ETXTBSY_KEEP=3 etxtbsy run//'
    echo 's/ETXTBSY_KEEP=3//'
    echo '/rollback/d'
}

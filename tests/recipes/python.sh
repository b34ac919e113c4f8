# shellcheck shell=sh
# needs: python3
prepare() {
    runs /srv/app/service
    is_written migrate
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"outcome":"replaced"'
    logged '"event":"wait".*"outcome":"succeeded"'
}

spoils() {
    echo 's/etxtbsy run//'
}

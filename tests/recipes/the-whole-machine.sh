# shellcheck shell=sh
follow() {
    follow_block /opt/recipe/1
    ETXTBSY_LOG='' cp service /srv/app/service
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"outcome":"replaced"' /var/log/etxtbsy.json
    sh -eu /opt/recipe/2
    runs /srv/app/service
    ! cp service /srv/app/service 2>/dev/null || say "it is still in force"
}

spoils() {
    echo '/preload.new/d'
    echo '/etxtbsy.conf/d'
    echo 's/^rm .*/true/'
}

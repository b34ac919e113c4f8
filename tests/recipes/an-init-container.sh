# shellcheck shell=sh
# It runs a second time while the others run.
prepare() {
    mkdir /image /shared
    cp service /image/tool
    cp /usr/local/lib/libetxtbsy.so /image/
    runs /shared/tool
    tool=$running
    runs /srv/app/service
}

follow() {
    sh -euc '. /opt/recipe/1; cp service /srv/app/service'
}

check() {
    is_new /srv/app/service
    old_lives
    is_new /shared/tool
    running=$tool
    old_lives
    logged '"outcome":"replaced"'
}

spoils() {
    # shellcheck disable=SC2016
    echo 's|/shared/\.\$file.*|/shared/$file; done|'
    echo '/LD_PRELOAD/d'
}

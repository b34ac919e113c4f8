# shellcheck shell=sh
# needs: make
prepare() {
    runs /srv/app/service
    printf 'install:\n\tcp service /srv/app/service\n' >Makefile
}

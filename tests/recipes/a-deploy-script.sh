# shellcheck shell=sh disable=SC2034
spoils() {
    echo '/etxtbsy run/d'
}

# shellcheck shell=sh disable=SC2016
# needs: unshare
# The host's directory /srv/host is the container's /srv/app.
prepare() {
    mkdir /srv/host
    is_written /srv/host/service
}

follow() {
    chmod +x /opt/recipe/1
    unshare -m sh -euc 'mount --bind /srv/host /srv/app && exec /opt/recipe/1 once' >said
}

check() {
    [ "$(cat said)" = "started once" ] || say "it hasn't started: $(cat said)"
    logged '"event":"wait".*"outcome":"succeeded"'

    # What is said of a single file that is bound.
    cp /opt/recipe/old /srv/host/single
    unshare -m sh -euc '
        : >/srv/app/service
        mount --bind /srv/host/single /srv/app/service
        /srv/app/service & running=$!
        until [ "$(readlink /proc/$running/exe)" = /srv/app/service ]; do sleep 0.02; done
        etxtbsy run --max-wait 100ms cp service /srv/app/service 2>said || echo refused >refused
        : >bound
        until [ -e replaced ]; do sleep 0.02; done
        cmp /opt/recipe/old /srv/app/service && echo old >seen
        kill $running' &
    until [ -e bound ]; do sleep 0.02; done
    [ -e refused ] || say "a file that is bound was replaced from within"
    logged '"reason":"mount-point"'
    etxtbsy run cp service /srv/host/single 2>/dev/null
    is_new /srv/host/single
    : >replaced
    wait $!
    [ -e seen ] || say "the container sees what took the place of a file that was bound"
}

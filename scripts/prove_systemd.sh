#!/bin/sh
# `scripts/prove_systemd.sh BUILD`, run by `make prove-systemd`: a fresh Debian with the packages is booted by systemd-nspawn, with a systemd of its
# own as its first process. What it does there is in scripts/prove/in_systemd.sh.
set -eu

prove=$1/prove
root=$prove/systemd
scripts/prove/base.sh "$prove/booting" systemd,systemd-sysv,libpam-systemd,dbus,libjson-c5
rm -rf "$root"
cp -a "$prove/booting" "$root"
mkdir "$root/proof"
cp "$1"/deb/*.deb scripts/prove/in_systemd.sh scripts/systemd/etxtbsy.conf "$root/proof"
cat >"$root/etc/systemd/system/proof.service" <<'END'
[Unit]
After=multi-user.target systemd-user-sessions.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh /proof/in_systemd.sh
StandardOutput=file:/proof/out
StandardError=inherit
TimeoutStartSec=180
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../proof.service "$root/etc/systemd/system/multi-user.target.wants/proof.service"
systemd-nspawn --quiet --register=no --keep-unit --pipe --directory="$root" sh -c "dpkg -i /proof/*.deb" >/dev/null

status=0
timeout 300 systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$root" >"$prove/console.log" 2>&1 </dev/null || status=$?
[ -e "$root/proof/out" ] || {
    echo "prove-systemd: systemd didn't get as far as the proof (status $status); its console:" >&2
    tail -n 20 "$prove/console.log" >&2
    exit 1
}
cat "$root/proof/out"
exit "$status"

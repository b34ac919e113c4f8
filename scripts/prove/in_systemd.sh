#!/bin/sh
# Runs as a service under the systemd that prove_systemd.sh booted.
set -eu

proofs=0
proved() {
    proofs=$((proofs + 1))
    echo "ok: $*"
}
fail() {
    echo "FAILED: $*"
    exit 1
}

units=/etc/systemd/system
cp /bin/sleep /srv/app
cp /bin/sleep /srv/app.new
echo "version 2" >>/srv/app.new
printf '[Service]\nExecStart=/srv/app 10000\n' >$units/app.service
printf '[Service]\nType=oneshot\nExecStart=/bin/cp /srv/app.new /srv/app\n' >$units/deploy.service
printf '[Service]\nExecStart=/bin/sleep 10000\n' >$units/worker@.service
systemctl daemon-reload
systemctl start app
before=$(systemctl show --value -p MainPID app)

if systemctl start deploy 2>/dev/null; then
    echo "skipped: this kernel doesn't enforce ETXTBSY here"
    exit 0
fi
journalctl --sync
journalctl -u deploy -o cat | grep -q "Text file busy" || fail "the deployment failed for another reason"
proved "without the library the deployment over the running service fails: Text file busy"

etxtbsy enable --dry-run deploy >/tmp/would
grep -q "would write $units/deploy.service.d/etxtbsy.conf" /tmp/would || fail "dry-run"
[ ! -e $units/deploy.service.d ] || fail "dry-run wrote"
etxtbsy enable deploy || fail "enable"
[ "$(systemctl show --value -p NeedDaemonReload deploy)" = no ] || fail "systemd wasn't told"
systemctl show --value -p Environment deploy | tr -d '\134' | grep -qF "LD_PRELOAD=/usr/\$LIB/libetxtbsy.so" || fail "systemd reads the drop-in otherwise"
systemctl cat deploy | grep -q "Written by .etxtbsy enable" || fail "the drop-in isn't in force"
etxtbsy enable deploy | grep -q "enabled already" || fail "enable twice"
proved "enabled: written, read by systemd, with \$LIB as it is; once more changes nothing"

systemctl start deploy || fail "the deployment under the library: $(journalctl -u deploy -o cat | tail -n 5)"
cmp -s /srv/app /srv/app.new || fail "the new version isn't in place"
[ "$(systemctl show --value -p MainPID app)" = "$before" ] || fail "the service was touched"
cmp -s "/proc/$before/exe" /bin/sleep || fail "the service doesn't run the old version any more"
journalctl --sync
line=$(journalctl -u deploy -o cat | grep '"outcome":"replaced"') || fail "no line in the journal of deploy"
echo "    journalctl -u deploy: $(printf '%s' "$line" | cut -c1-160)..."
proved "a service is deployed over while it runs, and journalctl -u has the line"

# The journal as a sink of its own, with fields, where this library has that.
if ETXTBSY_LOG=journal etxtbsy check >/dev/null 2>&1; then
    cp /bin/sleep /srv/app.new
    systemctl restart app
    printf '[Service]\nEnvironment=ETXTBSY_LOG=journal\n' >$units/deploy.service.d/log.conf
    systemctl daemon-reload
    systemctl start deploy
    journalctl --sync
    journalctl -u deploy -t etxtbsy ETXTBSY_OUTCOME=replaced -o cat | grep -q . || fail "no record with fields in the journal"
    rm $units/deploy.service.d/log.conf
    systemctl daemon-reload
    proved "log = journal: found by unit and by the field ETXTBSY_OUTCOME"
else
    echo "skipped: this library doesn't have log = journal"
fi

etxtbsy enable app >/dev/null
if etxtbsy status app >/tmp/status; then fail "status of a service that runs without it: $(cat /tmp/status)"; fi
grep -q "enabled *not-loaded" /tmp/status || fail "status: $(cat /tmp/status)"
systemctl restart app
sleep 0.5
etxtbsy status app >/tmp/status || fail "status: $(cat /tmp/status)"
grep -q "enabled *loaded ($(systemctl show --value -p MainPID app))" /tmp/status || fail "status: $(cat /tmp/status)"
etxtbsy status --json | grep -q '"unit":"app.service","state":"enabled","process":"loaded"' || fail "status --json"
proved "status tells a process that has the library from one that hasn't"

etxtbsy enable --runtime worker@ >/dev/null
systemctl start worker@one
sleep 0.5
grep -q libetxtbsy "/proc/$(systemctl show --value -p MainPID worker@one)/maps" || fail "an instance of an enabled template"
etxtbsy status worker@ | grep -q runtime || fail "status of a template: $(etxtbsy status worker@)"
[ -e /run/systemd/system/worker@.service.d/etxtbsy.conf ] || fail "runtime"
etxtbsy disable worker@ >/dev/null
[ ! -e /run/systemd/system/worker@.service.d ] || fail "disable of a runtime drop-in"
proved "a template's instances have it, until the next boot, or until disabled"

mkdir -p $units/worker@two.service.d
printf '[Service]\nEnvironment=LD_PRELOAD=/usr/lib/other.so\n' >$units/worker@two.service.d/own.conf
systemctl daemon-reload
if etxtbsy enable worker@two 2>/tmp/error; then fail "a service with an LD_PRELOAD of its own was enabled"; fi
grep -qF "LD_PRELOAD=/usr/lib/other.so:/usr/\$LIB/libetxtbsy.so" /tmp/error || fail "the message: $(cat /tmp/error)"
proved "a service that has an LD_PRELOAD of its own keeps it, and the message says what to write"

mkdir -p /root/.config/systemd/user
printf '[Service]\nExecStart=/bin/sleep 10000\n' >/root/.config/systemd/user/mine.service
if systemctl start user@0.service 2>/dev/null; then
    export HOME=/root XDG_RUNTIME_DIR=/run/user/0
    etxtbsy enable --user mine >/dev/null || fail "enable --user"
    systemctl --user start mine || fail "the user's service"
    sleep 0.5
    etxtbsy status --user mine | grep -q "enabled *loaded" || fail "status --user: $(etxtbsy status --user mine)"
    etxtbsy disable --user --all >/dev/null
    [ ! -e /root/.config/systemd/user/mine.service.d ] || fail "disable --user"
    proved "a user's own service manager"
else
    echo "skipped: no user manager would start here"
fi

systemd-analyze verify deploy.service app.service 2>/tmp/verify || fail "systemd-analyze verify: $(cat /tmp/verify)"
[ ! -s /tmp/verify ] || fail "systemd-analyze verify: $(cat /tmp/verify)"
proved "systemd-analyze verify has no complaint"

systemctl restart app
etxtbsy disable --all >/dev/null || fail "disable --all"
for unit in deploy app; do
    [ ! -e "$units/$unit.service.d" ] || fail "disable --all left something"
done
cp /bin/true /srv/app.new
if systemctl start deploy 2>/dev/null; then fail "the deployment works although it is disabled"; fi
proved "disabled: the deployment fails as before"

echo "prove-systemd: $proofs proofs, under systemd $(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"

#!/bin/sh
# Runs in the fresh Debian that prove_deb.sh made.
set -eu

proofs=0
proved() {
    proofs=$((proofs + 1))
    echo "ok: $*"
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Every name in the tree, apart from what dpkg and apt write about themselves.
names() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /proof -o -path /var/lib/dpkg \
        -o -path /var/lib/apt -o -path /var/cache -o -path /var/log/apt \) -prune -o -printf '%M %u %g %p\n' | grep -v ' /var/log/dpkg.log$' | sort
}

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
names >/tmp/before

dpkg -i /proof/*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "dpkg -i"; }
for file in /usr/bin/etxtbsy /usr/lib/*/libetxtbsy.so /usr/share/man/man1/etxtbsy.1.gz /usr/share/man/man5/etxtbsy.conf.5.gz \
    /usr/share/man/man7/libetxtbsy.7.gz /usr/share/bash-completion/completions/etxtbsy /usr/share/zsh/vendor-completions/_etxtbsy \
    /usr/lib/tmpfiles.d/etxtbsy.conf /etc/logrotate.d/etxtbsy /usr/share/doc/libetxtbsy/etxtbsy.conf.example; do
    [ -e "$file" ] || fail "$file isn't there"
done
[ "$(stat -c '%a %U' /var/log/etxtbsy)" = "755 root" ] || fail "/var/log/etxtbsy"
dpkg --verify libetxtbsy etxtbsy | grep . && fail "dpkg --verify"
proved "installed, and every file as packed"

etxtbsy --version | grep -q '^etxtbsy [0-9]' || fail "etxtbsy --version"
etxtbsy check /usr/share/doc/libetxtbsy/etxtbsy.conf.example >/dev/null || fail "the example configuration"
proved "the command runs, and finds no fault in the example"

export ETXTBSY_LOG=/var/log/etxtbsy/etxtbsy.json
preload="/usr/\$LIB/libetxtbsy.so"
mkdir /tmp/work
cp /bin/sleep /tmp/work/app
/tmp/work/app 600 &
app=$!
sleep 0.3
if cp /bin/true /tmp/work/app 2>/tmp/error; then
    echo "skipped: this kernel doesn't enforce ETXTBSY here"
else
    grep -q "Text file busy" /tmp/error || fail "cp failed otherwise: $(cat /tmp/error)"
    LD_PRELOAD=$preload cp /bin/true /tmp/work/app || fail "cp under the library"
    cmp -s /bin/true /tmp/work/app || fail "the new file isn't there"
    kill -0 "$app" || fail "the running program is gone"
    grep -q '"outcome":"replaced"' /var/log/etxtbsy/etxtbsy.json || fail "no line in the log"
    [ "$(stat -c %a /var/log/etxtbsy/etxtbsy.json)" = 640 ] || fail "the log's mode"
    proved "a running program is replaced, and the log says so"
fi
kill "$app"

# Programs start all the time while the packages are unpacked over themselves, again and again.
touch /tmp/go
(
    starts=0
    while [ -e /tmp/go ]; do
        LD_PRELOAD=$preload /bin/true
        starts=$((starts + 1))
    done
    echo "$starts" >/tmp/starts
) 2>/tmp/noise &
for _ in 1 2 3; do
    dpkg -i /proof/*.deb >/tmp/dpkg.log 2>&1 || fail "dpkg -i again"
done
rm /tmp/go
wait
[ ! -s /tmp/noise ] || fail "a start during an upgrade: $(head -n 3 /tmp/noise)"
proved "upgraded three times under $(cat /tmp/starts) starts, none without the library"

mkdir -p /etc/systemd/system
printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/one.service
cp /etc/systemd/system/one.service /etc/systemd/system/two.service
etxtbsy enable one two >/dev/null || fail "enable"
echo "# mine now" >>/etc/systemd/system/two.service.d/etxtbsy.conf
dpkg -r etxtbsy >/tmp/dpkg.log 2>&1 || fail "dpkg -r"
[ ! -e /etc/systemd/system/one.service.d ] || fail "the drop-in of an enabled service is left"
[ -e /etc/systemd/system/two.service.d/etxtbsy.conf ] || fail "an edited drop-in was removed"
[ -s /var/log/etxtbsy/etxtbsy.json ] || [ ! -e /tmp/error ] || fail "a removal took the log"
rm -r /etc/systemd/system/one.service /etc/systemd/system/two.service /etc/systemd/system/two.service.d
proved "removed: what enable wrote is gone, what a person wrote is not, nor is the log"

ls /usr/lib/*/libetxtbsy.so >/etc/ld.so.preload
dpkg -r libetxtbsy >/tmp/dpkg.log 2>&1 || fail "dpkg -r"
grep -q "take it out there" /tmp/dpkg.log || fail "nobody was told of /etc/ld.so.preload"
rm /etc/ld.so.preload 2>/dev/null
proved "who has it in /etc/ld.so.preload is told"

dpkg -P etxtbsy libetxtbsy >/tmp/dpkg.log 2>&1 || fail "dpkg -P"
[ ! -e /var/log/etxtbsy ] || fail "/var/log/etxtbsy is left"
names >/tmp/after
diff /tmp/before /tmp/after || fail "the tree isn't what it was"
proved "purged: every name in the tree is what it was before"

echo "prove-deb: $proofs proofs"

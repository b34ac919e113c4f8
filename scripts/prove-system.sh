#!/bin/sh
# A whole Debian with the library in /etc/ld.so.preload, beside the same one without it: `scripts/prove-system.sh BUILD`.
# Both do the same work; what they say and what they leave must be the same. Needs root, debootstrap and a mirror: else skipped,
# and said so. Each of the systems is a chroot in a mount namespace of its own.
set -eu
cd "$(dirname "$0")/.."

library=$(realpath "$1/libetxtbsy.so")
mkdir -p "$1/system"
work=$(realpath "$1/system")
here=$(pwd)

skip() {
    echo "skipped: $*" >&2
    exit 0
}

[ "$(id -u)" = 0 ] || skip "a system in a chroot needs root"
command -v debootstrap >/dev/null || skip "there is no debootstrap here"
unshare -m true 2>/dev/null || skip "there is no mount namespace to be had"

if [ ! -e "$work/base.done" ]; then
    # shellcheck disable=SC2016  # the names are apt's
    source=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null | grep 'debian [a-z]*$' | head -n 1)
    [ -n "$source" ] || skip "apt knows no mirror here"
    rm -rf "$work/base"
    debootstrap --variant=minbase "${source#* }" "$work/base" "${source% *}" >"$work/debootstrap.log" 2>&1 || skip "debootstrap: $(tail -n 1 "$work/debootstrap.log")"
    : >"$work/base.done"
fi

# What is done in each. Everything that a step says is compared, but for what apt says, which tells sizes and times.
cat >"$work/steps" <<'END'
step() { echo "== $*"; }
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
step install packages with maintainer scripts
apt-get -qq update > /apt.log 2>&1; echo $?
apt-get -qq install -y --no-install-recommends gcc libc6-dev python3-minimal at cron adduser sudo man-db > /apt.log 2>&1; echo $?
dpkg -l | awk '/^ii/ { print $2, $3 }' | wc -l
dpkg --verify | grep -v '^??5?????? c' | head
step users and set-id programs
useradd -m -s /bin/sh alice; echo alice:first | chpasswd; echo $?
su - alice -c 'id -un; pwd; umask'; echo $?
printf 'first\nSecond-one-17\nSecond-one-17\n' | su alice -c passwd > /dev/null 2>&1; echo $?
su alice -c 'passwd -S' | awk '{ print $1, $2 }'
su alice -c 'chage -l alice' | tail -n 3
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice
su alice -c 'sudo -n id -un; sudo -n -u nobody id -un' 2>/dev/null
su alice -c 'chsh -s /bin/bash < /dev/null' > /dev/null 2>&1; echo $?
find / -xdev -perm /6000 -type f | sort
step a set-id program with a hostile environment
su alice -c 'ETXTBSY_LOG=/home/alice/evil ETXTBSY_CONF=/home/alice/conf ETXTBSY_STAGES=1 passwd -S' | awk '{ print $1 }'
su alice -c 'ETXTBSY_LOG=/home/alice/evil ETXTBSY_LINE="{}
" sudo -n /usr/bin/env' | grep -c ETXTBSY
ls /home/alice
step a compiler and languages
printf '#include <stdio.h>\nint main(void) { printf("compiled\\n"); return 3; }\n' > /m.c
cc -o /m /m.c && /m; echo $?
python3 -c 'import subprocess; print(subprocess.run(["/m"], capture_output=True)); open("/python", "w").write("x" * 9)'
perl -e 'open(my $f, ">", "/perl"); print $f "y"; close $f; print `cat /perl`, "\n"'
step jobs
echo 'echo ran > /job; id -un >> /job' | at now 2>/dev/null
atd; for i in $(seq 100); do test -s /job && break; sleep .1; done; sleep .2; cat /job; kill $(pidof atd)
mkdir /jobs; printf '#!/bin/sh\necho daily\n' > /jobs/mine; chmod +x /jobs/mine
run-parts --report /jobs
step remove packages
SUDO_FORCE_REMOVE=yes apt-get -qq purge -y gcc at cron man-db sudo > /apt.log 2>&1; echo $?
apt-get -qq autoremove -y --purge > /apt.log 2>&1; echo $?
dpkg -l | awk '/^ii/ { print $2, $3 }'
dpkg --audit; echo $?
END

# Names, types, modes, owners and contents, but for what has a time or a random number in it.
listing() {
    (
        cd "$1"
        find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/log -o -path ./var/cache \
            -o -path ./var/lib/apt -o -name __pycache__ \) -prune -o ! -path './etc/ld.so.preload' ! -path './etc/ld.so.cache' ! -name 'libetxtbsy.so' \
            ! -name 'shadow*' ! -name apt.log ! -name '.pwd.lock' ! -path './m' -printf '%p %y %m %U %G %l\n'
        find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/log -o -path ./var/cache \
            -o -path ./var/lib/apt -o -name __pycache__ \) -prune -o -type f ! -path './etc/ld.so.preload' ! -path './etc/ld.so.cache' \
            ! -name 'libetxtbsy.so' ! -name 'shadow*' ! -name apt.log ! -path './var/lib/at*' -exec sha256sum {} +
    ) | sort
}

for how in plain preloaded; do
    root=$work/$how
    rm -rf "$root"
    cp -a "$work/base" "$root"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp "$work/steps" "$root/steps"
    if [ "$how" = preloaded ]; then
        install -m 644 "$library" "$root/usr/lib/libetxtbsy.so"
        echo /usr/lib/libetxtbsy.so >"$root/etc/ld.so.preload"
    fi
    # shellcheck disable=SC2016  # the arguments are the inner shell's
    timeout 1200 unshare -m -p -f --propagation private sh -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run"
        exec env -i TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin http_proxy="${http_proxy-}" chroot "$1" /bin/sh /steps' - "$root" >"$work/$how.out" 2>"$work/$how.err" </dev/null || true
    rm -f "$root/steps"
    listing "$root" >"$work/$how.list"
done

cd "$here"
status=0
grep -q 'compiled' "$work/plain.out" || {
    echo "system: the packages couldn't be installed without the library: $(tail -n 1 "$work/plain/apt.log")" >&2
    exit 1
}
for what in out err list; do
    if ! diff "$work/plain.$what" "$work/preloaded.$what" >"$work/$what.diff"; then
        echo "system: with the library it differs ($what):" >&2
        head -n 30 "$work/$what.diff" >&2
        status=1
    fi
done
echo "system: $(grep -c '^==' "$work/plain.out") steps, $(wc -l <"$work/plain.out") lines of output, $(wc -l <"$work/plain.list") entries of files compared;" \
    "$(find "$work/preloaded" -xdev -name '*.etxtbsy-*' | wc -l) stages left"
exit "$status"

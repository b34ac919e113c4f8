# shellcheck shell=sh
# needs: sshfs fusermount3
# Another host runs the program: here the machine that serves the files.
prepare() {
    runs /srv/export/service
    mkdir -p /mnt/share
    printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >connect
    chmod +x connect
    sshfs -o ssh_command="$PWD/connect" host:/srv/export /mnt/share </dev/null >/dev/null 2>&1 || say "sshfs doesn't mount"
}

check() {
    is_new /srv/export/service
    old_lives
    logged '"verdict":"replaced"' # whether somebody runs the old one is more than this machine knows
}

spoils() {
    echo 's/--write atomic//'
}

# shellcheck shell=sh
# needs: ssh sftp scp
server=/usr/lib/openssh/sftp-server

# By a server of our own, without a network: ssh talks to it through a pipe. Where there is none, as far as sftp goes.
follow() {
    [ -x $server ] || say "there is no $server"
    echo 'put service /srv/app/service' >commands
    if [ ! -x /usr/sbin/sshd ]; then
        echo "skipped: scp (there is no sshd here)" >&2
        # shellcheck disable=SC2046
        env $(sed -n 's/^SetEnv //p' /opt/recipe/1) sftp -q -b commands -D $server
        return
    fi
    mkdir -p /run/sshd ~/.ssh
    chmod 700 ~/.ssh
    ssh-keygen -q -t ed25519 -N '' -f key
    cp key.pub ~/.ssh/authorized_keys
    { cat /opt/recipe/1 && printf 'HostKey %s/key\nPermitRootLogin yes\nStrictModes no\nUsePAM no\n' "$PWD"; } >sshd_config
    set -- -o "ProxyCommand=/usr/sbin/sshd -i -f $PWD/sshd_config 2>/dev/null" -o StrictHostKeyChecking=no -o LogLevel=ERROR -i key
    sftp -q -b commands "$@" host
    runs /srv/app/other
    scp -q -O "$@" service host:/srv/app/other
    is_new /srv/app/other
    old_lives
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"outcome":"replaced"' /var/log/etxtbsy.json
}

spoils() {
    echo '/^SetEnv/d'
}

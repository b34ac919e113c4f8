# Types at a zsh on a terminal: `zsh complete.zsh DIRECTORY TYPED EXPECTED` presses TAB behind TYPED and waits for EXPECTED.
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
seen=
wait_for() {
    local part
    repeat 400; do
        if zpty -r -t shell part; then
            seen+=$part
            [[ $seen == *$1* ]] && return
        else
            sleep 0.05
        fi
    done
    print -r -- "no $1 in: $seen"
    exit 1
}
zpty -w shell "fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -u -D; PS1='' PS2=''; echo REA''DY"
wait_for READY
seen=
zpty -n -w shell "$2"$'\t'
wait_for "$3"
zpty -d shell

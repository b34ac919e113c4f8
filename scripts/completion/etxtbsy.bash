# bash completion for etxtbsy(1); needs nothing but bash.

_etxtbsy_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_etxtbsy_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_etxtbsy_units() {
    local manager=--system word
    for word in "${COMP_WORDS[@]}"; do
        case $word in -u | --user) manager=--user ;; esac
    done
    _etxtbsy_words "$(systemctl "$manager" list-unit-files --type=service --no-legend --no-pager 2>/dev/null | cut -d' ' -f1)" "$1"
}

_etxtbsy() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options index
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _etxtbsy_words "run check doctor who snapshot report metrics generations rollback sweep enable disable status --help --version" "$word"
        return
    fi

    case $command in
    run) options="--log --write --exec --max-wait --conf --quiet" ;;
    check) options="--path --op --program --json" ;;
    doctor | who | generations) options="--json" ;;
    snapshot) options="--output" ;;
    report) options="--journal --since --until --path --unit --json --html" ;;
    metrics) options="--output --targets" ;;
    rollback) options="--dry-run --json" ;;
    sweep) options="--dry-run --recursive --json" ;;
    enable) options="--user --runtime --root --dry-run" ;;
    disable) options="--all --user --runtime --root --dry-run" ;;
    status) options="--user --root --json" ;;
    *) return ;;
    esac

    # The command that `run` runs has options and words of its own.
    if [[ $command == run ]]; then
        index=2
        while ((index < COMP_CWORD)) && [[ ${COMP_WORDS[index]} == -* && ${COMP_WORDS[index]} != -- ]]; do
            case ${COMP_WORDS[index]} in
            -l | -w | -e | -m | -c | --log | --write | --exec | --max-wait | --conf) index=$((index + 2)) ;;
            *) index=$((index + 1)) ;;
            esac
        done
        [[ ${COMP_WORDS[index]} == -- ]] && ((index < COMP_CWORD)) && index=$((index + 1))
        if ((index < COMP_CWORD)); then
            if declare -F _command_offset >/dev/null; then
                _command_offset "$index"
            else
                _etxtbsy_files "$word"
            fi
            return
        fi
    fi

    case $command:$before in
    run:-w | run:--write) _etxtbsy_words "redirect atomic retry observe off" "$word" ;;
    run:-e | run:--exec) _etxtbsy_words "retry observe off" "$word" ;;
    check:-o | check:--op) _etxtbsy_words "exec write truncate rename" "$word" ;;
    report:-s | report:--since | report:-u | report:--until) _etxtbsy_words "today yesterday now" "$word" ;;
    report:-U | report:--unit) _etxtbsy_units "$word" ;;
    run:-m | run:--max-wait | metrics:-t | metrics:--targets) ;;
    run:-l | run:--log | run:-c | run:--conf | check:-p | check:--path | check:-x | check:--program) _etxtbsy_files "$word" ;;
    snapshot:-o | *:--output | metrics:-o | report:-H | report:--html | report:-p | report:--path | *:-R | *:--root) _etxtbsy_files "$word" ;;
    *)
        if [[ $word == -* ]]; then
            _etxtbsy_words "$options --help" "$word"
        else
            case $command in
            enable | disable | status) _etxtbsy_units "$word" ;;
            run | doctor) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
            *) _etxtbsy_files "$word" ;;
            esac
        fi
        ;;
    esac
}

complete -F _etxtbsy etxtbsy

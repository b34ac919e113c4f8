# Asks bash's completion of etxtbsy: `bash complete.bash COMPLETION WORD...` prints what the last WORD may become, one a line.
# shellcheck source=/dev/null
source "$1"
shift
complete -p etxtbsy >/dev/null || exit 1
function=$(complete -p etxtbsy | sed -n 's/.*-F \([^ ]*\) .*/\1/p')
# shellcheck disable=SC2034  # bash's own variables
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$function" etxtbsy "${*: -1}" "${*: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"

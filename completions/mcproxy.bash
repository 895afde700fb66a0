# bash completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local line=${COMP_LINE:0:COMP_POINT} kind value help
    # What the shell takes for the word is replaced, and what stands before it in ours is not.
    local typed=${line##*[[:space:]=]}
    local before=${typed%"$2"}
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) COMPREPLY+=("${value#"$before"}") ;;
            file) compopt -o default 2>/dev/null ;;
            dir) compopt -o dirnames 2>/dev/null ;;
        esac
    done < <(_MCPROXY_COMPLETE=line "${1/#\~/$HOME}" "$line" 2>/dev/null)
}
complete -o nosort -F _mcproxy mcproxy 2>/dev/null || complete -F _mcproxy mcproxy

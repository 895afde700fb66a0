# bash completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local words=("${COMP_WORDS[@]}") cword=$COMP_CWORD kind value help
    if declare -F _get_comp_words_by_ref >/dev/null; then
        # A colon ends a word for bash; for us it belongs to the name.
        _get_comp_words_by_ref -n : -w words -i cword
    fi
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default 2>/dev/null ;;
            dir) compopt -o dirnames 2>/dev/null ;;
        esac
    done < <(_MCPROXY_COMPLETE=1 "$1" "${words[@]:1:cword}" 2>/dev/null)
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "${words[cword]}"
    fi
}
complete -o nosort -F _mcproxy mcproxy 2>/dev/null || complete -F _mcproxy mcproxy

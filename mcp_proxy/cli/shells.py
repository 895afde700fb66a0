"""The completion scripts of the shells, and where each shell looks for its own.

A script runs `mcproxy` with `_MCPROXY_COMPLETE` set and the words up to the cursor as arguments,
the one to be completed last. Each line of the answer is a kind (`plain`, `file`, `dir`), a value
and what it means, with tabs between. bash's works with the 3.2 of macOS, too.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_BASH = """\
# bash completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local words=("${COMP_WORDS[@]}") cword=$COMP_CWORD kind value help
    if declare -F _get_comp_words_by_ref >/dev/null; then
        # A colon ends a word for bash; for us it belongs to the name.
        _get_comp_words_by_ref -n : -w words -i cword
    fi
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value help; do
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
"""

_ZSH = """\
#compdef mcproxy
# zsh completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local -a described
    local kind value help
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) described+=("${value//:/\\\\:}${help:+:$help}") ;;
            file) _files ;;
            dir) _files -/ ;;
        esac
    done < <(_MCPROXY_COMPLETE=1 $words[1] "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( $#described )) && _describe -V mcproxy described
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _mcproxy "$@"
else
    compdef _mcproxy mcproxy
fi
"""

_FISH = """\
# fish completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
function __mcproxy_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    env _MCPROXY_COMPLETE=1 $words[1] $words[2..-1] "$current" 2>/dev/null |
        while read -l -d \\t kind value help
            switch $kind
                case plain
                    printf '%s\\t%s\\n' $value $help
                case file
                    __fish_complete_path "$current"
                case dir
                    __fish_complete_directories "$current"
            end
        end
end
complete --no-files --command mcproxy --arguments "(__mcproxy_complete)"
"""


class Shell(NamedTuple):
    """A shell that words can be completed in."""

    file_name: str
    """In `completions/`."""
    script: str
    home_variable: str
    """What moves the directory that the shell reads users' own completions below."""
    home: str
    """That directory where the variable is not set, below the user's home."""
    below: str
    hint: str
    """What else it takes; empty when the shell finds the file by itself."""

    def place(self, env: Mapping[str, str], home: Path) -> Path:
        """Where the user's own script of this shell belongs."""
        named = env.get(self.home_variable, "")
        # The XDG specification: what is not absolute is to be ignored.
        base = Path(named) if named.startswith("/") else home / self.home
        return base / self.below


SHELLS = {
    "bash": Shell(
        "mcproxy.bash",
        _BASH,
        "XDG_DATA_HOME",
        ".local/share",
        "bash-completion/completions/mcproxy",
        "Needs the package bash-completion; without it, source the file in ~/.bashrc.",
    ),
    "zsh": Shell(
        "_mcproxy",
        _ZSH,
        "XDG_DATA_HOME",
        ".local/share",
        "zsh/site-functions/_mcproxy",
        "zsh looks there when ~/.zshrc says so before compinit: fpath=({directory} $fpath)",
    ),
    "fish": Shell(
        "mcproxy.fish", _FISH, "XDG_CONFIG_HOME", ".config", "fish/completions/mcproxy.fish", ""
    ),
}

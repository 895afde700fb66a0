"""The completion scripts of the shells, and where each shell looks for its own.

A script runs `mcproxy` with `_MCPROXY_COMPLETE` set. With `words` there the arguments are the words
up to the cursor, the one to be completed last; with `line` there is one, the line up to the cursor:
bash breaks words at `=` and `:`, which are parts of ours, and leaves their quotes on. Each line of
the answer is a kind (`plain`, `file`, `dir`), a value and what it means, with tabs between.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_BASH = """\
# bash completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local line=${COMP_LINE:0:COMP_POINT} kind value help
    # What the shell takes for the word is replaced, and what stands before it in ours is not.
    local typed=${line##*[[:space:]=]}
    local before=${typed%"$2"}
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) COMPREPLY+=("${value#"$before"}") ;;
            file) compopt -o default 2>/dev/null ;;
            dir) compopt -o dirnames 2>/dev/null ;;
        esac
    done < <(_MCPROXY_COMPLETE=line "${1/#\\~/$HOME}" "$line" 2>/dev/null)
}
complete -o nosort -F _mcproxy mcproxy 2>/dev/null || complete -F _mcproxy mcproxy
"""

_ZSH = """\
#compdef mcproxy
# zsh completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
_mcproxy() {
    local -a described
    local kind value help found=1
    [[ $words[CURRENT] == --*=* ]] && compset -P '*='
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) described+=("${value//:/\\\\:}${help:+:$help}") ;;
            file) _files && found=0 ;;
            dir) _files -/ && found=0 ;;
        esac
    done < <(_MCPROXY_COMPLETE=words ${~words[1]} "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( $#described )) && _describe -V mcproxy described && found=0
    return found
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
    # What is offered has to begin with the whole word, of which an option may be a part.
    set -l option (string match --regex -- '^--[a-z-]+=' $current)
    set -l rest (string replace --regex -- '^--[a-z-]+=' '' $current)
    env _MCPROXY_COMPLETE=words $words "$current" 2>/dev/null |
        while read -l -d \\t kind value help
            switch $kind
                case plain
                    printf '%s%s\\t%s\\n' "$option" $value $help
                case file
                    printf '%s\\n' "$option"(__fish_complete_path "$rest")
                case dir
                    printf '%s\\n' "$option"(__fish_complete_directories "$rest")
            end
        end
end
complete --no-files --keep-order --command mcproxy --arguments "(__mcproxy_complete)"
"""


class Shell(NamedTuple):
    """A shell that words can be completed in."""

    file_name: str
    """In `completions/`."""
    script: str
    variables: Mapping[str, str]
    """What moves the place of users' own completions: variable -> the file below the directory that
    it names. The first one that is set counts."""
    usual: str
    """The file below the user's home where none is set."""
    hint: str
    """What else it takes; empty when the shell finds the file by itself."""

    def place(self, env: Mapping[str, str], home: Path) -> Path:
        """Where the user's own script of this shell belongs."""
        for variable, below in self.variables.items():
            # The XDG specification: what is not absolute is to be ignored.
            if env.get(variable, "").startswith("/"):
                return Path(env[variable], below)
        return home / self.usual


SHELLS = {
    "bash": Shell(
        "mcproxy.bash",
        _BASH,
        {
            "BASH_COMPLETION_USER_DIR": "completions/mcproxy",
            "XDG_DATA_HOME": "bash-completion/completions/mcproxy",
        },
        ".local/share/bash-completion/completions/mcproxy",
        "Needs the package bash-completion; without it, source the file in ~/.bashrc.",
    ),
    "zsh": Shell(
        "_mcproxy",
        _ZSH,
        {"XDG_DATA_HOME": "zsh/site-functions/_mcproxy"},
        ".local/share/zsh/site-functions/_mcproxy",
        "zsh looks there when ~/.zshrc says so before compinit: fpath=({directory} $fpath)",
    ),
    "fish": Shell(
        "mcproxy.fish",
        _FISH,
        {"XDG_CONFIG_HOME": "fish/completions/mcproxy.fish"},
        ".config/fish/completions/mcproxy.fish",
        "",
    ),
}

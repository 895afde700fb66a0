# fish completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
function __mcproxy_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    env _MCPROXY_COMPLETE=1 $words[1] $words[2..-1] "$current" 2>/dev/null |
        while read -l -d \t kind value help
            switch $kind
                case plain
                    printf '%s\t%s\n' $value $help
                case file
                    __fish_complete_path "$current"
                case dir
                    __fish_complete_directories "$current"
            end
        end
end
complete --no-files --command mcproxy --arguments "(__mcproxy_complete)"

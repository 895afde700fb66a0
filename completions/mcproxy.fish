# fish completion for mcproxy. Made by python -m mcp_proxy.cli.reference --write; do not edit.
function __mcproxy_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # What is offered has to begin with the whole word, of which an option may be a part.
    set -l option (string match --regex -- '^--[a-z-]+=' $current)
    set -l rest (string replace --regex -- '^--[a-z-]+=' '' $current)
    env _MCPROXY_COMPLETE=words $words "$current" 2>/dev/null |
        while read -l -d \t kind value help
            switch $kind
                case plain
                    printf '%s%s\t%s\n' "$option" $value $help
                case file
                    printf '%s\n' "$option"(__fish_complete_path "$rest")
                case dir
                    printf '%s\n' "$option"(__fish_complete_directories "$rest")
            end
        end
end
complete --no-files --keep-order --command mcproxy --arguments "(__mcproxy_complete)"

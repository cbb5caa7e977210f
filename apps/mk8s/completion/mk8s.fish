# Completion of mk8s for fish: mk8s completion fish >~/.config/fish/completions/mk8s.fish
#
# `mk8s __complete` answers as kubectl's own completion does: a line `value<TAB>description` for each candidate, then
# `:N`, whose bits are 1 error, 2 no space after, 4 no file names, 8 file names only, 16 directories only.

function __mk8s_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    type -q $program; or set program mk8s
    set -l lines ($program __complete -- $words[2..-1] "$current" 2>/dev/null)
    test (count $lines) -gt 0; or return
    set -l directive (string replace -r '^:' '' -- $lines[-1])
    set -e lines[-1]
    test (math "bitand($directive, 1)") -eq 0; or return
    if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories "$current"
    else if test (math "bitand($directive, 8)") -ne 0
        __fish_complete_path "$current"
    else if test (count $lines) -gt 0
        printf '%s\n' $lines
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path "$current"
    end
end

complete -c mk8s -f -a '(__mk8s_complete)'

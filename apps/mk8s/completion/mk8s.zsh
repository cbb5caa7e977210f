#compdef mk8s
# Completion of mk8s for zsh: mk8s completion zsh >"${fpath[1]}/_mk8s", or source <(mk8s completion zsh)
#
# `mk8s __complete` answers as kubectl's own completion does: a line `value<TAB>description` for each candidate, then
# `:N`, whose bits are 1 error, 2 no space after, 4 no file names, 8 file names only, 16 directories only.

_mk8s() {
    local program=$words[1] line value
    local -i directive=0
    local -a candidates options
    (( $+commands[$program] )) || [[ -x $program ]] || program=mk8s
    for line in "${(@f)$("$program" __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :<-> ]]; then
            directive=${line#:}
        elif [[ -n $line ]]; then
            value=${line%%$'\t'*}
            if [[ $line == *$'\t'* ]]; then
                candidates+=("${value//:/\\:}:${line#*$'\t'}")
            else
                candidates+=("${value//:/\\:}")
            fi
        fi
    done
    (( directive & 1 )) && return 1
    (( directive & 16 )) && { _files -/; return }
    (( directive & 8 )) && { _files; return }
    (( directive & 2 )) && options=(-S '')
    if (( $#candidates )); then
        _describe -t mk8s 'mk8s' candidates $options
    elif (( ! (directive & 4) )); then
        _files
    fi
}

if [[ $funcstack[1] == _mk8s ]]; then
    _mk8s "$@"
else
    compdef _mk8s mk8s
fi

# Completion of mk8s for bash: source <(mk8s completion bash)
#
# `mk8s __complete` answers as kubectl's own completion does: a line `value<TAB>description` for each candidate, then
# `:N`, whose bits are 1 error, 2 no space after, 4 no file names, 8 file names only, 16 directories only.

__mk8s_complete() {
    # COMP_WORDS is split at = and : too; what has no space between belongs together.
    local words=() word rest=$COMP_LINE i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $rest != [[:space:]]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
    done
    local current=${words[${#words[@]} - 1]} last=${COMP_WORDS[COMP_CWORD]}
    # Only what follows the last = or : is replaced.
    local kept=${current%"$last"}
    if [[ $last == [=:] ]]; then kept=$current; fi

    local program=${words[0]}
    type -P "$program" >/dev/null || program=mk8s
    local line directive=0 candidates=()
    while IFS= read -r line; do
        if [[ $line =~ ^:[0-9]+$ ]]; then
            directive=${line#:}
        elif [[ -n $line ]]; then
            candidates+=("${line%%$'\t'*}")
        fi
    done < <("$program" __complete -- "${words[@]:1}" 2>/dev/null)

    COMPREPLY=()
    if ((directive & 1)); then return; fi
    if ((directive & 16)); then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$last")
        return
    fi
    if ((directive & 8)); then return; fi
    if ((directive & 2)); then compopt -o nospace 2>/dev/null; fi
    if ((directive & 4)); then compopt +o default 2>/dev/null; fi
    for line in "${candidates[@]+"${candidates[@]}"}"; do
        if [[ $line == "$current"* ]]; then COMPREPLY+=("${line#"$kept"}"); fi
    done
}

complete -o default -F __mk8s_complete mk8s

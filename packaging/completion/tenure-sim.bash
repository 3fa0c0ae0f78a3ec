# bash completion for tenure-sim. tests/cluster/manual.test.py compares it with --help.

_tenure_sim() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} options
    case ${COMP_CWORD}:${COMP_WORDS[1]} in
    1:*)
        mapfile -t COMPREPLY < <(compgen -W "explore run play --help --version" -- "$word")
        return
        ;;
    *:explore)
        options="--config --mutant --all --quick --list --threads --memory-gib --seed --invariant
            --no-reduction --trace --json --help --version"
        ;;
    *:run)
        options="--seed --seeds --seconds --events --nodes --threads --without --workload --trace
            --quiet --json --help"
        ;;
    *:play)
        options="--rewrite --svg --json --help --version"
        ;;
    *)
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [[ ${COMP_WORDS[1]} == play || $previous == --trace || $previous == --svg ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _tenure_sim tenure-sim

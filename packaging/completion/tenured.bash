# bash completion for tenured. tests/cluster/manual.test.py compares it with --help.

_tenured() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local options="--name --cluster --peers --bootstrap --data-dir --diskless --listen-client
        --listen-peer --advertise-client --lease --table --names-max --drift-ppm --want --peer-ca
        --peer-cert --peer-key --client-ca --client-cert --client-key --insecure --config-file
        --log-format --log-level --help --version"
    case $previous in
    --data-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        ;;
    --peer-ca | --peer-cert | --peer-key | --client-ca | --client-cert | --client-key | --config-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ;;
    --log-format)
        mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word")
        ;;
    --log-level)
        mapfile -t COMPREPLY < <(compgen -W "error warning info debug" -- "$word")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        ;;
    esac
}
complete -F _tenured tenured

# bash completion for tenure. tests/cluster/manual.test.py compares it with --help.

_tenure() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= i
    local commands="status leases who watch acquire release hand-over hold top log"
    local options="--endpoints --timeout --json --ca --cert --key --help --version"
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) # what is held is a command of its own
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            fi
            return
            ;;
        status | leases | who | watch | acquire | release | hand-over | hold | top | log)
            command=${command:-${COMP_WORDS[i]}}
            ;;
        esac
    done
    case $command in
    status) options+=" --groups" ;;
    leases) options+=" --table --prefix" ;;
    who) options+=" --table" ;;
    watch) options+=" --table --prefix --duration" ;;
    acquire) options+=" --table --wait --ttl --label --priority --keep" ;;
    hand-over) options+=" --table --to" ;;
    hold) options+=" --table --wait --ttl --label --priority --margin" ;;
    top) options+=" --table --duration --control" ;;
    log) options+=" --group --from" ;;
    esac
    case $previous in
    --ca | --cert | --key | --control)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    fi
}
complete -F _tenure tenure

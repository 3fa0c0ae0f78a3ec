#!/usr/bin/env bash
# Three members on loopback with a lease of one second, that all want the name "demo", and a live
# view of who has it: `make run`.
#
# On a terminal: k kills the owner (SIGKILL), r restarts who is gone, q or Ctrl-C ends; so does
# DURATION=n after n seconds. Without a terminal: one line an event; with DURATION the owner is
# killed once after a third of the time and restarted after two thirds, so that the lines show the
# next owner and the return of the former. The end is status 0. Ports are free ones, the data lies
# in a temporary directory, and everything that was started is ended, by its number, on every way
# out.
set -u
cd "$(dirname "$0")/.." || exit 1
bin=${BIN:-build/bin}
names=(n1 n2 n3)
lease=1s
duration=${DURATION:-}
if [ -n "$duration" ] && ! [[ $duration =~ ^[0-9]+$ ]]; then
    echo "DURATION=$duration: write a number of seconds" >&2
    exit 2
fi
for program in tenured tenure; do
    if ! [ -x "$bin/$program" ]; then
        echo "$bin/$program is missing: run make first" >&2
        exit 1
    fi
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/tenure-run.XXXXXX") || exit 1
declare -A pids=()
view=

end_all() {
    trap - EXIT INT TERM HUP
    local pid
    for pid in $view "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null
    done
    for pid in $view "${pids[@]}"; do
        for _ in {1..60}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$folder"
}
trap end_all EXIT
trap 'exit 0' INT TERM
trap 'exit 129' HUP

# Six free ports: the system chooses them; all are taken at once, so that no two are the same.
mapfile -t ports < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(6)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print("\n".join(str(one.getsockname()[1]) for one in sockets))
PYTHON
)
if [ "${#ports[@]}" -ne 6 ]; then
    echo "no free ports on 127.0.0.1" >&2
    exit 1
fi
peers=
endpoints=
for i in 0 1 2; do
    peers+=${peers:+,}${names[i]}=127.0.0.1:${ports[i]}
    endpoints+=${endpoints:+,}127.0.0.1:${ports[i + 3]}
done

# start INDEX [--bootstrap]: only the first start of an empty directory may say --bootstrap.
start() {
    local name=${names[$1]}
    "$bin/tenured" --name "$name" --peers "$peers" --cluster run --lease "$lease" --want demo \
        --listen-client "127.0.0.1:${ports[$1 + 3]}" --data-dir "$folder/$name" "${@:2}" \
        </dev/null >>"$folder/$name.log" 2>&1 &
    pids[$name]=$!
}

restart_gone() {
    local i
    for i in 0 1 2; do
        if ! kill -0 "${pids[${names[i]}]}" 2>/dev/null; then
            wait "${pids[${names[i]}]}" 2>/dev/null
            start "$i"
        fi
    done
}

for i in 0 1 2; do
    start "$i" --bootstrap
done
sleep 0.3
for name in "${names[@]}"; do
    if ! kill -0 "${pids[$name]}" 2>/dev/null; then
        echo "$name did not start:" >&2
        tail -n 3 "$folder/$name.log" >&2
        exit 1
    fi
done

exec 3<&0 # job control redirects the input of what runs beside; the view needs the terminal
mkfifo "$folder/control"
exec 4<>"$folder/control"
view_flags=(--endpoints "$endpoints" --control "$folder/control")
if [ -n "$duration" ]; then
    view_flags+=(--duration "${duration}s")
fi
if ! [ -t 0 ] || ! [ -t 1 ]; then
    echo "three members on 127.0.0.1, clients at $endpoints; lease $lease; data and logs in $folder"
    if [ -z "$duration" ]; then
        echo "kill one of them and see who is next: ${pids[*]}"
    fi
fi
"$bin/tenure" top demo "${view_flags[@]}" <&3 &
view=$!

# Without a terminal nobody presses keys: then the clock does, twice.
kill_at=0
restart_at=0
if [ -n "$duration" ] && { ! [ -t 0 ] || ! [ -t 1 ]; }; then
    kill_at=$((SECONDS + (duration + 2) / 3))
    restart_at=$((SECONDS + (2 * duration + 2) / 3))
fi

# What the view or the clock asks for; ends when the view does.
while kill -0 "$view" 2>/dev/null; do
    word=
    read -r -t 0.2 -u 4 word member || true
    if [ "$kill_at" -ne 0 ] && [ "$SECONDS" -ge "$kill_at" ]; then
        kill_at=0
        word=kill
        member=owner
    elif [ "$restart_at" -ne 0 ] && [ "$SECONDS" -ge "$restart_at" ]; then
        restart_at=0
        word=restart
    fi
    if [ -n "$word" ]; then
        if [ "$word" = kill ] && [ "$member" = owner ]; then
            member=$("$bin/tenure" who demo --json --endpoints "$endpoints" --timeout 2s |
                sed -n 's/.*"owner": *{[^}]*"name": *"\([^"]*\)".*/\1/p')
        fi
        if [ "$word" = kill ] && [ -n "${pids[$member]:-}" ]; then
            kill -KILL "${pids[$member]}" 2>/dev/null
            [ -t 1 ] || echo "           kill -9 $member"
        elif [ "$word" = restart ]; then
            restart_gone
        fi
    fi
done
wait "$view"
exit $?

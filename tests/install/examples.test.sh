#!/usr/bin/env bash
# Each example is built, runs, and does what its first comment says. TAP.
set -u
bin="${TN_BUILD_DIR:?}/bin/examples"
number=0
check() { # check NAME STATUS: 0 is good
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}

out=$("$bin/lease_in_memory")
status=$?
echo "$out" | sed 's/^/# /'
[ $status -eq 0 ] && echo "$out" | grep -q 'node 1 wins the lease' &&
    echo "$out" | grep -q 'node 1 has lost the lease' &&
    echo "$out" | grep -q 'node 2 wins the lease'
check lease_in_memory_moves_the_lease_from_a_silent_owner $?

out=$(timeout 60 "$bin/own_event_loop")
status=$?
echo "$out" | sed 's/^/# /'
[ $status -eq 0 ] && [ "$(echo "$out" | grep -c 'has renewed its lease')" -ge 2 ]
check own_event_loop_owns_and_renews_over_sockets $?

out=$(timeout 60 "$bin/leader_task")
status=$?
echo "$out" | sed 's/^/# /'
[ $status -eq 0 ] && [ "$(echo "$out" | grep -c 'as the leader, token 0$')" -eq 3 ]
check leader_task_leads_a_cell_of_one $?

# Three members with disks: each leads in turn, and no token falls.
dir=$(mktemp -d)
base=$((20000 + $$ % 20000))
members="a=127.0.0.1:$base b=127.0.0.1:$((base + 1)) c=127.0.0.1:$((base + 2))"
pids=
for name in a b c; do
    # shellcheck disable=SC2086
    BOOTSTRAP=1 timeout 60 "$bin/leader_task" $name "$dir/$name" $members \
        >"$dir/$name.out" 2>"$dir/$name.err" &
    pids="$pids $!"
done
# A member that is done leaves; the last one alone has no majority: the first two to finish count.
for _ in $(seq 1 300); do
    done=$(cat "$dir"/?.out | grep -c 'round 3 ')
    [ "$done" -ge 2 ] && break
    sleep 0.1
done
# shellcheck disable=SC2086
kill $pids 2>/dev/null
wait 2>/dev/null
sed 's/^/# /' "$dir"/?.out "$dir"/?.err
tokens=$(cat "$dir"/?.out | sed 's/.*token //' | sort -n | uniq | wc -l)
[ "$done" -ge 2 ] && [ "$tokens" -ge 2 ] && ! grep -q 'token 0$' "$dir"/?.out
check leader_task_leads_in_turn_under_a_token_of_its_own $?
rm -rf "$dir"
echo "1..$number"

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

# The examples of the log: three processes each, all at once; after a while one of each is killed
# and started again. LINES is what each has printed by then, at every member.
dir=$(mktemp -d)
base=$((20003 + $$ % 20000))
start() { # start EXAMPLE MEMBER: its process is remembered in pid_EXAMPLE_MEMBER
    timeout 60 "$bin/$1" --id "$2" --peers "$peers" --data-dir "$dir/$1.$2" --every 50 \
        >>"$dir/$1.$2.out" 2>>"$dir/$1.$2.err" &
    eval "pid_$1_$2=$!"
}
lines() { # lines FILE PATTERN: how many there are
    grep -c "$2" "$1" 2>/dev/null
}
wait_for_lines() { # wait_for_lines EXAMPLE PATTERN COUNT: at every member
    for _ in $(seq 1 300); do
        least=$3
        for member in 1 2 3; do
            have=$(lines "$dir/$1.$member.out" "$2")
            [ "${have:-0}" -lt "$least" ] && least=$have
        done
        [ "$least" -ge "$3" ] && return 0
        sleep 0.1
    done
    return 1
}
port=$base
for example in counter bank queue; do
    peers="127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
    eval "peers_$example=$peers"
    port=$((port + 3))
    for member in 1 2 3; do start $example $member; done
done
begun=0
wait_for_lines counter '^total' 5 && wait_for_lines bank 'right$' 5 &&
    wait_for_lines queue '^took' 5 && begun=1
victim=$(($$ % 3 + 1))
echo "# member $victim of each is killed"
for example in counter bank queue; do
    # timeout passes no KILL on: its child is what is killed.
    eval "pkill -KILL -P \$pid_$example""_$victim"
    cp "$dir/$example.$victim.out" "$dir/$example.before"
done
sleep 1
for example in counter bank queue; do
    eval "peers=\$peers_$example"
    start $example $victim
done
more() { # more EXAMPLE PATTERN: five lines more than the killed member had
    wait_for_lines "$1" "$2" $(($(lines "$dir/$1.before" "$2") + 5))
}
again=0
more counter '^total' && more bank 'right$' && more queue '^took' && again=1
for example in counter bank queue; do
    for member in 1 2 3; do
        eval "kill \$pid_$example""_$member 2>/dev/null"
    done
done
wait 2>/dev/null
cat "$dir"/*.err | sed 's/^/# /'
[ $begun -eq 1 ] && [ $again -eq 1 ]
check three_processes_of_each_go_on_and_so_does_one_that_was_killed $?

# Every number up to the highest was told to somebody, less those whose teller was killed or does
# not know; none twice; and each process saw them rise.
tail -n 3 "$dir"/counter.?.out | sed 's/^/# /'
unknown=$(cat "$dir"/counter.?.out | grep -c '^perhaps')
sed -n 's/^total \([0-9]*\),.*/\1/p' "$dir"/counter.?.out | sort -n >"$dir/totals"
highest=$(tail -n 1 "$dir/totals")
told=$(wc -l <"$dir/totals")
[ -n "$highest" ] && [ -z "$(uniq -d "$dir/totals")" ] &&
    [ $((highest - told)) -ge 0 ] && [ $((highest - told)) -le $((unknown + 4)) ]
status=$?
for member in 1 2 3; do
    sed -n 's/^total \([0-9]*\),.*/\1/p' "$dir/counter.$member.out" | sort -n -c -u || status=1
done
check counter_counts_each_addition_once_and_loses_none $status

grep -h -m 3 -v 'right$' "$dir"/bank.?.out | sed 's/^/# /'
! grep -q 'WRONG' "$dir"/bank.?.out && grep -q 'refused$' "$dir"/bank.?.out
check bank_finds_all_its_money_at_every_audit $?

cat "$dir"/queue.?.out | grep '^took' | sort >"$dir/jobs"
uniq -d "$dir/jobs" | sed 's/^/# twice: /'
[ -s "$dir/jobs" ] && [ -z "$(uniq -d "$dir/jobs")" ]
check queue_gives_no_job_to_two $?
rm -rf "$dir"
echo "1..$number"

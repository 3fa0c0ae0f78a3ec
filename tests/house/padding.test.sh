#!/usr/bin/env bash
# States are compared and hashed as bytes, so no struct of the protocol has padding. TAP.
set -u
cd "${TN_SOURCE_DIR:?}" || exit 1
number=0
check() {
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}
padded() { # padded FILE: the compiler's complaints
    gcc -std=c17 -Wpadded -Isrc -Iinclude -fsyntax-only -x c "$1" 2>&1 | grep 'Wpadded' |
        sed 's/^/# /'
}
for header in include/tenure/types.h include/tenure/event.h include/tenure/lease.h \
    src/paxos/ceiling.h src/paxos/lease_acceptor.h src/paxos/lease_proposer.h \
    src/paxos/lease_learner.h src/paxos/lease_table.h src/paxos/lease_machine.h; do
    out=$(padded "$header")
    [ -n "$out" ] && echo "$out"
    [ -z "$out" ]
    check "no_padding_in_$(basename "$header")" $?
done
# The check can fail: a struct with a hole is seen.
hole=$(mktemp --suffix=.h)
echo 'struct hole { char a; long b; };' >"$hole"
[ -n "$(padded "$hole")" ]
check "a_hole_is_seen" $?
rm -f "$hole"
echo "1..$number"

#!/bin/sh
# The same seeds give the same hash, whatever the compiler and its level of optimisation.
# timeout: 900
# build: plain
set -eu
cd "$TN_SOURCE_DIR"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/main.c" <<'MAIN'
#include "cmd/simulate.h"
int main(int argc, char **argv)
{
    return tn__simulate_run(argc, argv);
}
MAIN
sources="$work/main.c src/cmd/simulate_run*.c src/check/linear.c \
    src/check/linear_search.c"
for file in src/sim/*.c src/paxos/*.c src/wire/*.c src/store/*.c src/base/*.c src/os/assert.c; do
    case "$file" in
    src/sim/scenario* | src/sim/log_scenario*) ;; # plays scripts, not seeds
    *) sources="$sources $file" ;;
    esac
done
hash_of() {
    # shellcheck disable=SC2086
    "$1" -std=c17 "$2" -D_GNU_SOURCE -Iinclude -Isrc $sources -pthread -o "$work/sim" || return 1
    "$work/sim" --seed 700 --seeds 20 --quiet | sed -n 's/^hash //p' | tr -d '\n'
    "$work/sim" --workload log --seed 700 --seeds 10 --events 4000 --quiet | sed -n 's/^hash / /p'
}
echo "1..2"
first=$(hash_of gcc -O2)
second=$(hash_of gcc -O0)
if [ -n "$first" ] && [ "$first" = "$second" ]; then
    echo "ok 1 - gcc -O2 and -O0 make the same 20 runs ($first)"
else
    echo "not ok 1 - gcc -O2 says $first, -O0 says $second"
fi
if ! command -v clang >/dev/null 2>&1; then
    echo "ok 2 # SKIP clang is not installed"
    exit 0
fi
third=$(hash_of clang -O2)
if [ -n "$first" ] && [ "$first" = "$third" ]; then
    echo "ok 2 - clang -O2 makes the same 20 runs"
else
    echo "not ok 2 - gcc says $first, clang says $third"
fi

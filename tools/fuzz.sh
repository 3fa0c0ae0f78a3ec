#!/bin/sh
# Runs every fuzz target for a while, each from its corpus.
#
#   tools/fuzz.sh BUILD SECONDS
#
# What the fuzzer finds grows a corpus in BUILD/corpus/; the one in the tree
# (tests/fuzz/corpus/<target>/) is only read. An input that crashes is left in BUILD/ and named.
# Last line: how many targets ran and how many failed; status 1 if any failed or none ran.
set -eu
cd "$(dirname "$0")/.."
build=$1
seconds=$2
ran=0
failed=0
for program in "$build"/tests/*_fuzz; do
    target=$(basename "$program" _fuzz)
    # One whose source is gone may still lie there.
    [ -x "$program" ] && [ -e "tests/fuzz/${target}_fuzz.c" ] || continue
    found=$build/corpus/$target
    seeds=tests/fuzz/corpus/$target
    mkdir -p "$found"
    [ -d "$seeds" ] || seeds=
    ran=$((ran + 1))
    echo "fuzz $target, $seconds s"
    if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=70000 \
        -artifact_prefix="$build/$target-" -print_final_stats=1 "$found" $seeds \
        >"$build/$target.log" 2>&1 </dev/null; then
        failed=$((failed + 1))
        tail -n 40 "$build/$target.log"
        echo "FAILED: $target, log in $build/$target.log"
    else
        grep -E 'stat::(number_of_executed_units|peak_rss_mb)' "$build/$target.log" || true
    fi
done
echo "$ran fuzz targets, $failed failed"
[ "$ran" -gt 0 ] && [ "$failed" -eq 0 ]

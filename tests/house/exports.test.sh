#!/bin/sh
# The shared library shows what packaging/exports.txt lists, what include/tenure declares, and
# nothing else.
# build: plain
cd "$TN_SOURCE_DIR" || exit 1
scratch=$TMPDIR
failed=0

report() {
    if [ "$2" -eq 0 ]; then
        echo "ok $1 - exports_$3"
    else
        failed=1
        echo "not ok $1 - exports_$3"
        sed 's/^/# /' "$scratch/said"
    fi
}

tools/exports.sh "$TN_BUILD_DIR" >"$scratch/said" 2>&1
report 1 $? are_those_of_the_list

LC_ALL=C sort -c packaging/exports.txt 2>"$scratch/said"
report 2 $? are_listed_in_order

# Each declaration is TN_EXPORT <type> <name>(...; the name is the word before the first bracket.
grep -hv '^#' include/tenure/*.h | tr '\n' ' ' | grep -oE 'TN_EXPORT [^(;]*\(' |
    sed 's/ *($//; s/.*[ *]//' | LC_ALL=C sort -u >"$scratch/declared"
LC_ALL=C sort -u packaging/exports.txt | diff "$scratch/declared" - >"$scratch/said"
report 3 $? are_declared_and_what_is_declared_exists

echo 1..3
exit $failed

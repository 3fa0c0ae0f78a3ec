#!/bin/sh
# Compares the symbols that the shared library shows with packaging/exports.txt.
#
#   tools/exports.sh [--rewrite] [BUILD]
#
# A difference is printed (status 1); --rewrite writes the list anew instead.
set -eu
cd "$(dirname "$0")/.."
rewrite=no
if [ "${1:-}" = --rewrite ]; then
    rewrite=yes
    shift
fi
build=${1:-build}
list=packaging/exports.txt
library=$build/lib/libtenure.so
if [ ! -e "$library" ]; then
    echo "$library is not built" >&2
    exit 1
fi
shown=$(nm -D --defined-only --format=posix "$library" | awk '{ print $1 }' | LC_ALL=C sort)
if [ "$rewrite" = yes ]; then
    printf '%s\n' "$shown" >"$list"
elif ! printf '%s\n' "$shown" | diff -u --label "$list" --label "$library" "$list" -; then
    echo "the exported symbols changed; if that is meant: tools/exports.sh --rewrite" >&2
    exit 1
fi

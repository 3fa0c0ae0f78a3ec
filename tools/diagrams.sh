#!/bin/sh
# Draws docs/diagrams/: one picture for each scenario with a line `# diagram: yes`.
# Usage: tools/diagrams.sh [BUILD]    (default: build). scenario_test compares them with fresh ones.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
mkdir -p docs/diagrams
for scenario in tests/scenarios/*.txt; do
    if grep -q '^# diagram: yes$' "$scenario"; then
        picture=docs/diagrams/$(basename "$scenario" .txt).svg
        "$build/bin/tenure-sim" play --svg "$picture" "$scenario" >/dev/null
        echo "$picture"
    fi
done

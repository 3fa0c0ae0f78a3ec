#!/bin/sh
# The tree keeps the rules of the house; tools/tidy.py prints one TAP line a rule.
# build: plain
exec python3 "$TN_SOURCE_DIR/tools/tidy.py" --root "$TN_SOURCE_DIR" --build "$TN_BUILD_DIR"

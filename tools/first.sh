#!/bin/bash
# Runs README's first command and checks what it promises: lenet-relu ends
# between 97 and 99.5 % on digits. Called by `make first` from the root of the
# checkout.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
begin=$SECONDS
go run ./cmd/coordinator train --out "$work/run" --no-progress --output json >"$work/result"
accuracy=$(sed -n 's/^  "test_accuracy": \([0-9.]*\),\{0,1\}$/\1/p' "$work/result")
digest=$(sed -n 's/^  "digest": "\([0-9a-f]*\)",\{0,1\}$/\1/p' "$work/result")
echo "first command: test accuracy $accuracy, digest $digest, $((SECONDS - begin)) s with compiling"
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.97 && a <= 0.995) }' || {
	echo "first command: FAILED: want a test accuracy from 0.97 to 0.995" >&2
	exit 1
}

#!/bin/bash
# Runs go generate on a copy of the checkout and compares. The line in which
# protoc names its own release may differ. Called by `make generated` from the
# root of the checkout.
set -euo pipefail

if ! command -v protoc >/dev/null; then
	echo "generated code cannot be checked without protoc: install protobuf-compiler" >&2
	exit 1
fi
# Two copies, since somebody may be editing the checkout meanwhile.
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
mkdir "$copies/before"
tar --create --exclude ./.git --exclude ./bin --exclude ./runs . | tar --extract --directory "$copies/before"
cp -a "$copies/before" "$copies/after"
(cd "$copies/after" && go generate ./...)
if ! (cd "$copies" && diff --recursive --brief --ignore-matching-lines '^// .*protoc ' before after); then
	echo "generated code differs from its sources: run go generate ./... and commit the result" >&2
	exit 1
fi

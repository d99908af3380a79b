#!/bin/bash
# Builds the images convoy-coordinator, convoy-worker and convoy-nats FROM
# scratch around static binaries; no registry is asked. Called by `make images`
# from the root of the checkout.
set -euo pipefail

# The engine's, not this machine's: a Mac builds for its Linux machine.
export CGO_ENABLED=0 GOOS=linux
GOARCH=$(docker version --format '{{.Server.Arch}}')
export GOARCH

# image NAME BINARY FOLDER... builds an image of bin/image/NAME: the binary and
# the folders, /tmp among them, which belong to the image's user. A tar says
# who owns a folder in every builder; COPY --chown differs between them.
image() {
	local name=$1 context=bin/image/$1
	shift
	local root
	root=$(mktemp -d)
	mkdir "$root/tmp" "${@/#/$root/}"
	chmod 0750 "$root"/*
	chmod 1777 "$root/tmp"
	tar --create --file "$context/folders.tar" --directory "$root" \
		--owner 65532 --group 65532 --numeric-owner --sort name --mtime @0 tmp "$@"
	rm -r "$root"
	docker build --quiet --tag "convoy-$name" --file "deploy/$name.Dockerfile" "$context"
}

rm -rf bin/image
mkdir -p bin/image/{coordinator,worker,nats}
build=(go build -trimpath -ldflags "-s -w")
"${build[@]}" -o bin/image/coordinator/ ./cmd/coordinator
"${build[@]}" -o bin/image/worker/ ./cmd/worker
"${build[@]}" -modfile tools/go.mod -o bin/image/nats/ github.com/nats-io/nats-server/v2
cp deploy/nats.conf bin/image/nats/

image coordinator data
image worker cache
image nats

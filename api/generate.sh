#!/bin/sh
# Regenerates the Go code of the .proto files. Needs protoc (Debian:
# protobuf-compiler); the plug-ins come from tools/go.mod.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for tool in google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc; do
	go build -modfile=../tools/go.mod -o "$bin/" "$tool"
done
PATH="$bin:$PATH" protoc --go_out=.. --go_opt=module=convoy --go-grpc_out=.. --go-grpc_opt=module=convoy \
	jobs.proto log.proto wire.proto

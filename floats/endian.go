//go:build !(386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64 || wasm)

package floats

var _ = convoy_needs_a_little_endian_machine

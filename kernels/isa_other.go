//go:build purego || !(amd64 || arm64)

package kernels

func machineImplementations() []*isa { return nil }

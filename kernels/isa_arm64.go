//go:build !purego

package kernels

// machineImplementations is NEON, which every arm64 has.
func machineImplementations() []*isa {
	return []*isa{{
		name: "neon", rows: 6, cols: 16,
		tileRows: neonTileRows, tileColumns: neonTileColumns, vectors: neonVectors,
		peak: neonPeak,
	}}
}

var neonVectors = vectors{neonTransforms, neonElements, neonPooling, neonLinear, neonLRN, neonCopies, neonLanes}

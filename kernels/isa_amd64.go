//go:build !purego

package kernels

import "golang.org/x/sys/cpu"

// machineImplementations are those of amd64 that this machine can run.
func machineImplementations() []*isa {
	var list []*isa
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		list = append(list, &isa{
			name: "avx512", rows: 14, cols: 32,
			tileRows: avx512TileRows, tileColumns: avx512TileColumns, vectors: avx512Vectors,
			peak: avx512Peak,
		})
	}
	if x.HasAVX2 && x.HasFMA {
		list = append(list, &isa{
			name: "avx2", rows: 6, cols: 16,
			tileRows: avx2TileRows, tileColumns: avx2TileColumns, vectors: avx2Vectors,
			peak: avx2Peak,
		})
	}
	return list
}

var (
	avx512Vectors = vectors{avx512Transforms, avx512Elements, avx512Pooling, avx512Linear, avx512LRN, avx512Copies, avx512Lanes}
	avx2Vectors   = vectors{avx2Transforms, avx2Elements, avx2Pooling, avx2Linear, avx2LRN, avx2Copies, avx2Lanes}
)

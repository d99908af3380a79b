package kernels

import (
	"fmt"
	"testing"
	"unsafe"
)

// BenchmarkTree is the largest tile over eight leaves, operands in the first cache.
func BenchmarkTree(b *testing.B) {
	for _, impl := range implementations[:len(implementations)-1] {
		for _, n := range []int{1, 4, 32} {
			b.Run(fmt.Sprintf("%s/%d", impl.name, n), func(b *testing.B) {
				const panels = 2
				cuts := []int{0, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n, 8 * n}
				leaves, width := linearPieces.leaves(nil, cuts), panels*impl.cols
				x, y, z, stack := Floats(8*n*impl.rows), Floats(8*n*width), Floats(impl.rows*width), Floats(treeStack(cuts, impl))
				t := treeTile{leaves: unsafe.Pointer(&leaves[0]), count: 8, stack: unsafe.Pointer(&stack[0])}
				for b.Loop() {
					t.a, t.aStep, t.b, t.bStep = unsafe.Pointer(&x[0]), uintptr(4*impl.rows), unsafe.Pointer(&y[0]), uintptr(4*width)
					t.c, t.cRow = unsafe.Pointer(&z[0]), uintptr(4*width)
					impl.tree(&t, impl.rows, width)
				}
				b.ReportMetric(float64(2*8*n*impl.rows*width)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}

package kernels

import (
	"fmt"
	"testing"
	"unsafe"
)

// BenchmarkTiles is the largest tile of each form, operands in the first cache.
func BenchmarkTiles(b *testing.B) {
	for _, impl := range implementations[:len(implementations)-1] {
		for form, table := range []*[3][maxRows + 1]micro{&impl.tileRows, &impl.tileColumns} {
			for _, rows := range []int{impl.rows, (impl.rows + 1) / 2, 3, 1} {
				b.Run(fmt.Sprintf("%s/%s/%dx%d", impl.name, []string{"rows", "columns"}[form], rows, impl.cols), func(b *testing.B) {
					const k = 128
					x, y, z := Floats(maxRows*k), Floats(impl.cols*k), Floats(maxRows*impl.cols)
					t := tile{
						a: unsafe.Pointer(&x[0]), aRow: 4 * k, aStep: uintptr(4 * rows),
						b: unsafe.Pointer(&y[0]), bStep: uintptr(4 * impl.cols),
						c: unsafe.Pointer(&z[0]), cRow: uintptr(4 * impl.cols), k: k, segs: 1, low: noLow,
					}
					f := table[impl.cols/16][rows]
					for b.Loop() {
						f(&t)
					}
					b.ReportMetric(float64(2*k*rows*impl.cols)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}

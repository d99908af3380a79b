package kernels

import (
	"fmt"
	"testing"
	"unsafe"
)

func TestTranspose(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for rows := 1; rows <= 3; rows++ {
			for columns := 1; columns <= 3; columns++ {
				z := noise(rows)
				src := z.floats(16 * rows * (16*columns + 3))
				run := func(f func(m *matrices)) []float32 {
					dst := stale(16 * columns * (16*rows + 5))
					f(&matrices{
						src: unsafe.Pointer(&src[0]), srcRow: uintptr(4 * (16*columns + 3)),
						dst: unsafe.Pointer(&dst[0]), dstRow: uintptr(4 * (16*rows + 5)),
						rows: uintptr(rows), columns: uintptr(columns),
					})
					return dst
				}
				sameBits(t, fmt.Sprintf("%d×%d", 16*rows, 16*columns), run(active.transpose), run(generic.transpose))
			}
		}
	})
}

func TestTrees(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for levels := range 4 {
			for rows := 1; rows <= active.treeRows; rows++ {
				z := noise(levels*8 + rows)
				k, n := [maxTreeLeaves]uintptr{}, 0
				for m := range 1 << levels {
					k[m] = uintptr((m*5+rows)%4 + 1)
					n += int(k[m])
				}
				a, b := z.floats(n*(rows+2)), z.floats(n*50)
				run := func(f func(t *treeTile)) []float32 {
					c := Floats(rows * 64)
					f(&treeTile{
						a: unsafe.Pointer(&a[0]), aStep: uintptr(4 * (rows + 2)),
						b: unsafe.Pointer(&b[0]), bStep: 4 * 50,
						c: unsafe.Pointer(&c[0]), cRow: 4 * 64, groups: 3, stream: uintptr(rows % 2), k: k,
					})
					return c
				}
				sameBits(t, fmt.Sprintf("%d×%d", 1<<levels, rows), run(active.trees[levels][rows]), run(generic.trees[levels][rows]))
			}
		}
	})
}

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

func TestGatherPanels(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for rows := 1; rows <= 3; rows++ {
			for panels := 1; panels <= 3; panels++ {
				for width := 1; width <= 2; width++ {
					z := noise(rows)
					columns := 16*width*panels + 3
					src := z.floats(rows * columns)
					run := func(f func(g *panelGather)) []float32 {
						dst := stale(panels * (16*width*rows + 5))
						f(&panelGather{
							src: unsafe.Pointer(&src[0]), srcRow: uintptr(4 * columns),
							dst: unsafe.Pointer(&dst[0]), dstPanel: uintptr(4 * (16*width*rows + 5)),
							rows: uintptr(rows), panels: uintptr(panels), width: uintptr(width),
						})
						return dst
					}
					sameBits(t, fmt.Sprintf("%d×%d×%d", rows, panels, 16*width), run(active.gather), run(generic.gather))
				}
			}
		}
	})
}

func TestTrees(t *testing.T) {
	cuts := [][]int{{0, 3}, {0, 1, 3, 4, 4}, {0, 0, 5, 5, 5, 6, 7, 11, 13}, {0, 2, 300}}
	eachImpl(t, func(t *testing.T) {
		for i, cut := range cuts {
			leaves, n := linearPieces.leaves(nil, cut), cut[len(cut)-1]
			for rows := 1; rows <= active.rows; rows++ {
				z := noise(i*16 + rows)
				columns := 16 * (1 + (i+rows)%5)
				a, b := z.floats(n*(rows+2)), z.floats(n*90)
				run := func(i *isa) []float32 {
					c, stack := Floats(rows*96), Floats(treeStack(cut, active))
					i.tree(&treeTile{
						a: unsafe.Pointer(&a[0]), aStep: uintptr(4 * (rows + 2)),
						b: unsafe.Pointer(&b[0]), bStep: 4 * 90,
						c: unsafe.Pointer(&c[0]), cRow: 4 * 96, stream: uintptr(rows % 2),
						leaves: unsafe.Pointer(&leaves[0]), count: uintptr(len(leaves)), stack: unsafe.Pointer(&stack[0]),
					}, rows, columns)
					return c
				}
				sameBits(t, fmt.Sprintf("%v, %d×%d", cut, rows, columns), run(active), run(generic))
			}
		}
	})
}

package kernels

import "unsafe"

// matrices is the argument of a transposition: dst[c][r] = src[r][c] for
// 16·rows × 16·columns floats, rows of both being so many bytes apart. The layout
// is known to internal/gen.
type matrices struct {
	src, dst       unsafe.Pointer
	srcRow, dstRow uintptr
	rows, columns  uintptr // in 16s, at least 1
}

// linearVectors are the inner loops of fully connected layers beside the tiles.
type linearVectors struct {
	transpose func(m *matrices)
	// trees are the kernels for treeTiles by columns/16 and rows.
	trees [3][maxRows + 1]func(t *treeTile)
}

var genericLinear = newGenericLinear()

func newGenericLinear() linearVectors {
	g := linearVectors{transpose: genericTranspose}
	for nv := 1; nv <= 2; nv++ {
		for rows := 1; rows <= maxRows; rows++ {
			g.trees[nv][rows] = func(t *treeTile) { genericTree(t, rows, 16*nv) }
		}
	}
	return g
}

func genericTranspose(m *matrices) {
	for r := range 16 * m.rows {
		for c := range 16 * m.columns {
			*element(m.dst, c*m.dstRow, int(r)) = *element(m.src, r*m.srcRow, int(c))
		}
	}
}

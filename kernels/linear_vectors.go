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

// panelGather is the argument of a copy of rows × panels·16·width floats, row r and
// column 16·width·p+j of which go to dst + p·dstPanel + 4·(16·width·r+j). Strides
// are in bytes. The layout is known to internal/gen.
type panelGather struct {
	src                 unsafe.Pointer
	srcRow              uintptr
	dst                 unsafe.Pointer
	dstPanel            uintptr
	rows, panels, width uintptr // at least 1 each
}

// linearVectors are the inner loops of fully connected layers beside the tiles.
type linearVectors struct {
	transpose func(m *matrices)
	gather    func(g *panelGather)
	// trees are the kernels for treeTiles by columns/16 and rows.
	trees [3][maxRows + 1]func(t *treeTile)
}

var genericLinear = newGenericLinear()

func newGenericLinear() linearVectors {
	g := linearVectors{transpose: genericTranspose, gather: genericGather}
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

func genericGather(g *panelGather) {
	width := 16 * g.width
	for r := range g.rows {
		for c := range g.panels * width {
			*element(g.dst, c/width*g.dstPanel, int(r*width+c%width)) = *element(g.src, r*g.srcRow, int(c))
		}
	}
}

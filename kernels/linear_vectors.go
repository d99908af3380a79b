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

// A treeTile is the argument of a kernel that sums a tile of weight gradients
// over micro-batches: for each row r and column j of 16·groups,
//
//	C[r][j] = Σ A[k][r] · B[k][j]
//
// with one FMA chain from +0 for each micro-batch of k[m] products, which are
// added in tree order. A's rows are contiguous and aStep bytes apart for each k,
// B's bStep bytes. The layout is known to internal/gen.
type treeTile struct {
	a      unsafe.Pointer
	aStep  uintptr
	b      unsafe.Pointer
	bStep  uintptr
	c      unsafe.Pointer
	cRow   uintptr
	groups uintptr
	stream uintptr                // 1 to store past the cache; C and cRow are aligned then
	k      [maxTreeLeaves]uintptr // at least 1 each
}

const (
	maxTreeRows   = 7
	maxTreeLeaves = 8
)

// linearVectors are the inner loops of fully connected layers beside the tiles.
type linearVectors struct {
	transpose func(m *matrices)
	treeRows  int
	// trees are the kernels for treeTiles by log2 of the micro-batches and rows.
	trees [4][maxTreeRows + 1]func(t *treeTile)
}

var genericLinear = newGenericLinear()

func newGenericLinear() linearVectors {
	g := linearVectors{transpose: genericTranspose, treeRows: maxTreeRows}
	for levels := range g.trees {
		for rows := 1; rows <= maxTreeRows; rows++ {
			g.trees[levels][rows] = func(t *treeTile) { genericTree(t, levels, rows) }
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

func genericTree(t *treeTile, levels, rows int) {
	for r := range rows {
		for j := range int(16 * t.groups) {
			*element(t.c, uintptr(r)*t.cRow, j) = t.node(levels, 0, 0, r, j)
		}
	}
}

// node sums micro-batches from leaf on, 2^level of them, which begin with product k.
func (t *treeTile) node(level, leaf int, k uintptr, r, j int) float32 {
	if level > 0 {
		half := 1 << (level - 1)
		middle := k
		for _, n := range t.k[leaf : leaf+half] {
			middle += n
		}
		left := t.node(level-1, leaf, k, r, j)
		return left + t.node(level-1, leaf+half, middle, r, j)
	}
	var sum float32
	for i := k; i < k+t.k[leaf]; i++ {
		sum = fma(*element(t.a, i*t.aStep, r), *element(t.b, i*t.bStep, j), sum)
	}
	return sum
}

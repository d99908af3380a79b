package kernels

import "unsafe"

// A treeTile is the argument of a kernel that sums a block of weight gradients over
// the leaves of a tree: for each row r and column j of 16 or 32·groups,
//
//	sum     = Σ A[k][r] · B[k][j], one FMA chain from +0 for each leaf
//	C[r][j] = the leaves' sums, added as their additions say
//
// A's rows are contiguous and aStep bytes apart for each k, B's columns bStep bytes.
// The stack has room for as many tiles as wait for their sibling at a time. The
// layout is known to internal/gen.
type treeTile struct {
	a      unsafe.Pointer
	aStep  uintptr
	b      unsafe.Pointer
	bStep  uintptr
	c      unsafe.Pointer
	cRow   uintptr
	groups uintptr        // at least 1
	stream uintptr        // 1 to store past the cache; C and cRow are aligned then
	leaves unsafe.Pointer // treeLeaf, count of them
	count  uintptr        // at least 1
	stack  unsafe.Pointer
}

// A treeLeaf is k products of one chain. After it, the sums on top of the stack are
// added to its own, one after another, as many as additions says; what comes of it
// is put on the stack. The layout is known to internal/gen.
type treeLeaf struct {
	k, additions uintptr // k at least 1
}

// treeStack is the floats of a stack for the leaves of cuts.
func treeStack(cuts []int, i *isa) int { return stackDepth(cuts) * i.rows * i.cols }

// leaves lists the pieces of micro-batches in dst: those of one are added in order,
// the micro-batches as tree.Sum does.
func (q *pixelPieces) leaves(dst []treeLeaf, cuts []int) []treeLeaf {
	dst = dst[:0]
	area := q.lines.n * q.parts.n
	var order treeOrder
	for m := range len(cuts) - 1 {
		low, high := cuts[m]*area, cuts[m+1]*area
		for p := low; p < high; {
			leaf := treeLeaf{k: uintptr(q.next(p, high).pixels())}
			if p > low {
				leaf.additions = 1
			}
			dst = append(dst, leaf)
			p += int(leaf.k)
		}
		if n := order.after(low < high); n > 0 { // an absent micro-batch may complete a block
			dst[len(dst)-1].additions += uintptr(n)
		}
	}
	return dst
}

// tree computes t for rows and so many columns, a multiple of 16, whatever t.groups says.
func (i *isa) tree(t *treeTile, rows, columns int) {
	wide := i.cols / 16
	if t.groups = uintptr(columns / i.cols); t.groups > 0 {
		i.trees[wide][rows](t)
	}
	if whole := columns / i.cols * i.cols; whole < columns {
		t.b, t.c, t.groups = unsafe.Add(t.b, 4*whole), unsafe.Add(t.c, 4*whole), 1
		i.trees[1][rows](t)
	}
}

func genericTree(t *treeTile, rows, columns int) {
	leaves := unsafe.Slice((*treeLeaf)(t.leaves), t.count)
	for r := range rows {
		for j := range columns * int(t.groups) {
			*element(t.c, uintptr(r)*t.cRow, j) = t.sum(leaves, r, j)
		}
	}
}

// sum is C[r][j]; the stack that it needs is one column of t's.
func (t *treeTile) sum(leaves []treeLeaf, r, j int) (sum float32) {
	var k, depth uintptr
	for i, leaf := range leaves {
		if i > 0 {
			*element(t.stack, 4*depth, 0) = sum
			depth++
		}
		sum = 0
		for end := k + leaf.k; k < end; k++ {
			sum = fma(*element(t.a, k*t.aStep, r), *element(t.b, k*t.bStep, j), sum)
		}
		for range leaf.additions {
			depth--
			sum = *element(t.stack, 4*depth, 0) + sum
		}
	}
	return sum
}

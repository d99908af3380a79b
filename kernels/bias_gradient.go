package kernels

import "unsafe"

// A biasGradient computes the gradient of a convolution's bias by itself:
//
//	gb[o] = Σ gy[oh][ow][o]
//
// in the pieces and the tree of the direct convolution's backward-weights. A task
// adds up pieces, whose pixels lie together in memory; then the pieces are added.
type biasGradient struct {
	s   Conv
	isa *isa

	// Of the call.
	pool   *Pool
	gy     Maps
	pieces []pixelPiece
	sums   []float32 // [piece][output], outputs padded to panels
}

func (g *biasGradient) run(p *Pool, gy Maps, cuts []int, gb []float32) {
	g.pool, g.gy = p, gy
	g.pieces = g.pieces[:0]
	area, cut := g.s.OutH()*g.s.OutW(), newPixelPieces(g.s)
	for m := range len(cuts) - 1 {
		for q, high := cuts[m]*area, cuts[m+1]*area; q < high; {
			g.pieces = append(g.pieces, cut.next(q, high))
			q += g.pieces[len(g.pieces)-1].pixels()
		}
	}
	g.sums = grow(g.sums, len(g.pieces)*g.width())
	p.reserve(piece * g.isa.cols)
	p.run(len(g.pieces), (*biasJob)(g))
	g.add(cuts, gb)
	g.pool, g.gy = nil, Maps{}
}

// width is the outputs, padded to panels.
func (g *biasGradient) width() int { return newPartition(g.s.O, g.isa.cols).parts * g.isa.cols }

// add adds the pieces of a micro-batch in order, and the micro-batches, in the
// place of their first piece's sums.
func (g *biasGradient) add(cuts []int, gb []float32) {
	width, area, next, top := g.width(), g.s.OutH()*g.s.OutW(), 0, 0
	sum := func(i int) []float32 { return g.sums[i*width:][:width] }
	l := &g.pool.locals[0]
	var order treeOrder
	for m := range len(cuts) - 1 {
		present := cuts[m] < cuts[m+1]
		if present {
			copy(sum(top), sum(next))
			for next++; next < len(g.pieces) && g.pieces[next].p < cuts[m+1]*area; next++ {
				g.isa.addTo(l, sum(top), sum(next))
			}
			top++
		}
		for range order.after(present) {
			top--
			g.isa.addTo(l, sum(top-1), sum(top))
		}
	}
	copy(gb, g.sums)
}

// A biasJob adds up a piece of pixels.
type biasJob biasGradient

func (j *biasJob) do(thread, task int) {
	g := (*biasGradient)(j)
	q, cols := g.pieces[task], g.isa.cols
	t := &g.pool.locals[thread].tile
	for o := 0; o < g.s.O; o += cols {
		*t = tile{
			a: unsafe.Pointer(&one[0]), b: g.gy.at(q.p, o), bStep: uintptr(4 * g.gy.Pitch),
			c: unsafe.Pointer(&g.sums[task*g.width()+o]), k: uintptr(q.pixels()), segs: 1, low: noLow,
		}
		if present := g.s.O - o; present < cols {
			copied := g.pool.space(thread, piece*cols)
			for i := range q.pixels() {
				row := copied[i*cols:][:cols]
				clear(row[copy(row, g.gy.V[(q.p+i)*g.gy.Pitch+o:][:present]):])
			}
			t.b, t.bStep = unsafe.Pointer(&copied[0]), uintptr(4*cols)
		}
		g.isa.tileColumns[cols/16][1](t)
	}
	*t = tile{}
}

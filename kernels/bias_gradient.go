package kernels

import "unsafe"

// A biasGradient computes the gradient of a convolution's bias by itself:
//
//	gb[o] = Σ gy[oh][ow][o]
//
// in the pieces and the tree of the direct convolution's backward-weights.
type biasGradient struct {
	s   Conv
	isa *isa

	// Of the call.
	pool *Pool
	gy   Maps
	cuts []int
	gb   []float32
}

func (g *biasGradient) run(p *Pool, gy Maps, cuts []int, gb []float32) {
	g.pool, g.gy, g.cuts, g.gb = p, gy, cuts, gb
	p.reserve((piece + stackDepth(cuts)) * g.isa.cols)
	p.run((g.s.O+g.isa.cols-1)/g.isa.cols, (*biasJob)(g))
	g.pool, g.gy, g.cuts, g.gb = nil, Maps{}, nil, nil
}

// A biasJob adds up the gradients of a panel of outputs.
type biasJob biasGradient

func (j *biasJob) do(thread, task int) {
	g := (*biasGradient)(j)
	o, cols := task*g.isa.cols, g.isa.cols
	space := g.pool.space(thread, (piece+stackDepth(g.cuts))*cols)
	stack, copied := space[:stackDepth(g.cuts)*cols], space[stackDepth(g.cuts)*cols:]
	var order treeOrder
	depth, pixels := 0, g.s.OutH()*g.s.OutW()
	for m := range len(g.cuts) - 1 {
		low, high := g.cuts[m]*pixels, g.cuts[m+1]*pixels
		if low < high {
			g.sum(&g.pool.locals[thread].tile, o, low, high, stack[depth*cols:][:cols], copied)
			depth++
		}
		for range order.after(low < high) {
			depth--
			addTo(stack[(depth-1)*cols:][:cols], stack[depth*cols:][:cols])
		}
	}
	copy(g.gb[o:], stack[:min(cols, g.s.O-o)])
}

// sum adds up the pixels of a micro-batch, from low to high.
func (g *biasGradient) sum(t *tile, o, low, high int, total, copied []float32) {
	cols := g.isa.cols
	for p := low; p < high; {
		n := g.s.pixelPiece(p-low, high-low)
		*t = tile{
			a: unsafe.Pointer(&one[0]), b: g.gy.at(p, o), bStep: uintptr(4 * g.gy.Pitch),
			c: unsafe.Pointer(&total[0]), k: uintptr(n), segs: 1, low: noLow,
		}
		if present := g.s.O - o; present < cols {
			for i := range n {
				row := copied[i*cols:][:cols]
				clear(row[copy(row, g.gy.V[(p+i)*g.gy.Pitch+o:][:present]):])
			}
			t.b, t.bStep = unsafe.Pointer(&copied[0]), uintptr(4*cols)
		}
		if p > low {
			t.init = t.c
		}
		g.isa.tileColumns[cols/16][1](t)
		p += n
	}
	*t = tile{}
}

// pixelPiece is how many output pixels make the piece that begins at pixel p of
// a micro-batch of n pixels: as many whole examples as have at most 256, else
// whole rows of one example, or one row cut, in even parts.
func (s Conv) pixelPiece(p, n int) int {
	image, width := s.OutH()*s.OutW(), s.OutW()
	if image <= piece {
		return min(n-p, piece/image*image)
	}
	unit, parts := 1, newPartition(width, piece)
	if width <= piece {
		unit, parts = width, newPartition(s.OutH(), piece/width)
	}
	for i := 0; ; i++ {
		if parts.from(i)*unit == p%(parts.n*unit) {
			return (parts.from(i+1) - parts.from(i)) * unit
		}
	}
}

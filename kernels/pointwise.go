package kernels

import "unsafe"

// A pointwiseGradient is backward-weights of a 1×1 convolution of stride 1 without
// padding: the product of gy, transposed, with x, pixel by pixel. A task computes
// some outputs' weights for some channels. Tiles have outputs as rows and
// channels as columns, so that they come in the weights' own order.
type pointwiseGradient struct {
	s        Conv
	isa      *isa
	outputs  partition
	channels partition // in 16s
	leaves   []treeLeaf
	call     weightCall
}

// pointwise reports whether pixel p of the output sees pixel p of the input alone.
func pointwise(s Conv) bool {
	return s.KH*s.KW == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadH == 0 && s.PadW == 0
}

func (g *pointwiseGradient) run(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	g.call = weightCall{p, x, gy, cuts, gw, gb}
	g.divide(p.threads)
	pieces := newPixelPieces(g.s)
	g.leaves = pieces.leaves(g.leaves, cuts)
	p.reserve(g.scratch())
	p.run(g.outputs.parts*g.channels.parts, (*pointwiseJob)(g))
	g.call = weightCall{}
}

// divide halves the longer side of a task's block until its sums stay in the cache
// and there are enough tasks.
func (g *pointwiseGradient) divide(threads int) {
	g.outputs, g.channels = partition{g.s.O, 1}, partition{g.s.C / 16, 1}
	for {
		o, c := g.outputs.longest(), 16*g.channels.longest()
		if o*c <= maxBlock && g.outputs.parts*g.channels.parts >= threads {
			return
		}
		switch {
		case o >= c && o > 1 || c == 16:
			g.outputs.parts = min(g.s.O, 2*g.outputs.parts)
		default:
			g.channels.parts = min(g.channels.n, 2*g.channels.parts)
		}
		if g.outputs.parts == g.s.O && g.channels.parts == g.channels.n {
			return
		}
	}
}

// blockFloats is the size of a block of sums: [outputs][channels], then those of the bias.
func (g *pointwiseGradient) blockFloats() int {
	o := g.outputs.longest()
	return o*16*g.channels.longest() + padded(o, g.isa.cols)
}

func (g *pointwiseGradient) scratch() int {
	sums := piece*g.isa.cols + stackDepth(g.call.cuts)*g.blockFloats()
	if g.fewPixels() {
		return max(sums, g.pixels()*g.isa.rows+treeStack(g.call.cuts, g.isa))
	}
	return sums
}

// treePixels is up to how many pixels the operands of a tile stay in a core's cache
// over all micro-batches.
const treePixels = 2048

func (g *pointwiseGradient) pixels() int {
	return g.call.cuts[len(g.call.cuts)-1] * g.s.OutH() * g.s.OutW()
}

func (g *pointwiseGradient) fewPixels() bool { return g.pixels() <= treePixels }

// A pointwiseJob computes a block of the weights' gradients a task.
type pointwiseJob pointwiseGradient

// A pointwiseBlock is what a task of pointwiseJob works on.
type pointwiseBlock struct {
	output, outputs   int
	channel, channels int
	bias              bool
	sums              []float32
	add               bool // to what sums holds
	copied            []float32
	t                 *tile
}

func (j *pointwiseJob) do(thread, task int) {
	g := (*pointwiseGradient)(j)
	call := &g.call
	l := &call.pool.locals[thread]
	b := &l.pointwise
	b.output, b.outputs = g.outputs.part(task / g.channels.parts)
	b.channel, b.channels = g.channels.part(task % g.channels.parts)
	b.channel, b.channels = 16*b.channel, 16*b.channels
	b.bias = call.gb != nil && b.channel == 0
	b.t = &l.tile
	space := call.pool.space(thread, g.scratch())
	b.copied = space[:piece*g.isa.cols]
	stack, size := space[len(b.copied):], g.blockFloats()
	trees := g.fewPixels()
	if trees {
		g.trees(l, b, space)
	}
	if !trees || b.bias {
		g.sum(l, b, stack, size, trees)
	}
	if !trees {
		for o := range b.outputs {
			copy(call.gw[(b.output+o)*g.s.C+b.channel:][:b.channels], stack[o*b.channels:])
		}
	}
	if b.bias {
		copy(call.gb[b.output:][:b.outputs], stack[b.outputs*b.channels:])
	}
	*b.t, *b = tile{}, pointwiseBlock{}
}

// trees computes the block a tile at a time, over all micro-batches.
func (g *pointwiseGradient) trees(l *local, b *pointwiseBlock, space []float32) {
	call, n := &g.call, g.pixels()
	gy, stack := space[:n*g.isa.rows], space[n*g.isa.rows:]
	t, tiles := &l.tree, newPartition(b.outputs, g.isa.rows)
	for q := range tiles.parts {
		o, rows := tiles.part(q)
		gatherColumns(gy, rows, call.gy.V[b.output+o:], call.gy.Pitch, n)
		for c := 0; c < b.channels; c += treeChunk(n) {
			*t = treeTile{
				a: unsafe.Pointer(&gy[0]), aStep: uintptr(4 * rows),
				b: call.x.at(0, b.channel+c), bStep: uintptr(4 * call.x.Pitch),
				c: unsafe.Pointer(&call.gw[(b.output+o)*g.s.C+b.channel+c]), cRow: uintptr(4 * g.s.C),
				leaves: unsafe.Pointer(&g.leaves[0]), count: uintptr(len(g.leaves)), stack: unsafe.Pointer(&stack[0]),
			}
			g.isa.tree(t, rows, min(treeChunk(n), b.channels-c))
		}
	}
	*t = treeTile{}
}

// sum leaves the sums of the block, or of the bias alone, at the bottom of the stack.
func (g *pointwiseGradient) sum(l *local, b *pointwiseBlock, stack []float32, size int, biasOnly bool) {
	var order treeOrder
	depth, from := 0, 0
	if biasOnly {
		from = b.outputs * b.channels
	}
	used := b.outputs*b.channels + padded(b.outputs, g.isa.cols)
	pixels, pieces := g.s.OutH()*g.s.OutW(), newPixelPieces(g.s)
	for m := range len(g.call.cuts) - 1 {
		low, high := g.call.cuts[m]*pixels, g.call.cuts[m+1]*pixels
		if low < high {
			b.sums, b.add = stack[depth*size:][:size], false
			for p := low; p < high; {
				q := pieces.next(p, high)
				if !biasOnly {
					g.piece(b, p, q.pixels())
				}
				if b.bias {
					g.biasPiece(b, p, q.pixels())
				}
				p += q.pixels()
				b.add = true
			}
			depth++
		}
		for range order.after(low < high) {
			depth--
			g.isa.addTo(l, stack[(depth-1)*size+from:(depth-1)*size+used], stack[depth*size+from:][:used-from])
		}
	}
}

// piece adds the products of n pixels from p on to the sums.
func (g *pointwiseGradient) piece(b *pointwiseBlock, p, n int) {
	x, gy := g.call.x, g.call.gy
	t := b.t
	*t = tile{
		aStep: uintptr(4 * gy.Pitch), bStep: uintptr(4 * x.Pitch), k: uintptr(n), segs: 1,
		cRow: uintptr(4 * b.channels), initRow: uintptr(4 * b.channels), low: noLow,
	}
	tiles := newPartition(b.outputs, g.isa.rows)
	for c := 0; c < b.channels; c += g.isa.cols {
		width := panelWidth(b.channels-c, g.isa.cols)
		t.b = x.at(p, b.channel+c)
		for q := range tiles.parts {
			o, rows := tiles.part(q)
			t.a, t.c = gy.at(p, b.output+o), unsafe.Pointer(&b.sums[o*b.channels+c])
			t.init = nil
			if b.add {
				t.init = t.c
			}
			g.isa.tileColumns[width/16][rows](t)
		}
	}
}

// biasPiece adds the gradients of n pixels from p on to the sums of the bias.
func (g *pointwiseGradient) biasPiece(b *pointwiseBlock, p, n int) {
	gy, t := g.call.gy, b.t
	*t = tile{a: unsafe.Pointer(&one[0]), k: uintptr(n), segs: 1, low: noLow}
	for o := 0; o < b.outputs; o += g.isa.cols {
		width := panelWidth(b.outputs-o, g.isa.cols)
		t.b, t.bStep = gy.at(p, b.output+o), uintptr(4*gy.Pitch)
		if present := b.outputs - o; present < width {
			for i := range n {
				row := b.copied[i*width:][:width]
				clear(row[copy(row, gy.V[(p+i)*gy.Pitch+b.output+o:][:present]):])
			}
			t.b, t.bStep = unsafe.Pointer(&b.copied[0]), uintptr(4*width)
		}
		t.c = unsafe.Pointer(&b.sums[b.outputs*b.channels+o])
		t.init = nil
		if b.add {
			t.init = t.c
		}
		g.isa.tileColumns[width/16][1](t)
	}
}

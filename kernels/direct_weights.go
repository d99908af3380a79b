package kernels

import "unsafe"

// A weightGradient is the direct convolution's backward-weights. A task computes
// a block of the weights: some kernel rows, channels and outputs. It goes through
// the pixels a piece at a time, with the input rows and the gradients that the
// piece needs in the cache, and keeps the sums of micro-batches that wait for
// their siblings on a stack.
//
// A tile's rows are numbers of the run (kw, c) under a kernel row, its columns
// are outputs and its products are pixels.
type weightGradient struct {
	s       Conv
	isa     *isa
	threads int // that the division is for
	division
	call weightCall
}

type weightCall struct {
	pool   *Pool
	x, gy  Maps
	cuts   []int
	gw, gb []float32
}

func newWeightGradient(s Conv) weightGradient { return weightGradient{s: s, isa: active} }

func (g *weightGradient) run(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	if g.threads != p.threads {
		g.threads, g.division = p.threads, divideWeights(g.s, g.isa, p.threads)
	}
	g.call = weightCall{p, x, gy, cuts, gw, gb}
	p.reserve(g.scratch())
	p.run(g.tasks(), (*weightJob)(g))
	g.call = weightCall{}
}

// A weightJob computes a block of the weights' gradients a task.
type weightJob weightGradient

// A weightBlock is what a task computes, some kernel rows, channels and outputs from
// the first on, and where it keeps things.
type weightBlock struct {
	row, rows         int
	channel, channels int
	output, outputs   int
	bias              bool
	tiles             int // that use a panel of outputs
	t                 *tile
	x, gy             []float32 // a piece's, as gathered
	sums              []float32 // [panel][row][column][channel][cols] and, where bias, [panel][cols]
	add               bool      // to what sums holds
}

func (j *weightJob) do(thread, task int) {
	g := (*weightGradient)(j)
	call := &g.call
	l := &call.pool.locals[thread]
	b := &l.weights
	g.take(b, task)
	b.bias = call.gb != nil && b.row == 0 && b.channel == 0
	b.tiles = b.rows * newPartition(g.s.KW*b.channels, g.isa.rows).parts
	b.t = &l.tile
	space := call.pool.space(thread, g.scratch())
	x, gy := g.xFloats(), g.gyFloats()
	b.x, b.gy = space[:x], space[x:][:gy]
	stack, size := space[x+gy:], g.blockFloats(b)

	var order treeOrder
	depth := 0
	pixels, pieces := g.s.OutH()*g.s.OutW(), newPixelPieces(g.s)
	for m := range len(call.cuts) - 1 {
		low, high := call.cuts[m]*pixels, call.cuts[m+1]*pixels
		if low < high {
			b.sums, b.add = stack[depth*size:][:size], false
			for p := low; p < high; {
				q := pieces.next(p, high)
				g.addPiece(b, q)
				p += q.pixels()
				b.add = true
			}
			depth++
		}
		for range order.after(low < high) {
			depth--
			g.isa.addTo(l, stack[(depth-1)*size:][:size], stack[depth*size:][:size])
		}
	}
	b.sums = stack[:size]
	g.write(b)
	*b.t, *b = tile{}, weightBlock{}
}

var one = []float32{1}

// addPiece adds the products of a piece's pixels to the sums.
func (g *weightGradient) addPiece(b *weightBlock, q pixelPiece) {
	cols := g.isa.cols
	for o := 0; o < b.outputs; o += cols {
		if !b.inPlace(o, cols) {
			g.gatherOutputs(b, q, o)
		}
	}
	s := g.s
	line := ((q.width-1)*s.StrideW + s.KW) * b.channels
	step := 4 * s.StrideW * b.channels
	*b.t = tile{aStep: uintptr(step), k: uintptr(q.width), segs: uintptr(q.lines)}
	together := q.lines <= s.OutH()
	if together {
		b.t.aSeg = uintptr(4*line*s.StrideH - q.width*step)
		g.gatherRows(b, q, line, b.row, (q.lines-1)*s.StrideH+b.rows)
	} else {
		b.t.aSeg = uintptr(4*line - q.width*step)
	}
	for row := range b.rows {
		if together {
			g.addRow(b, q, row, unsafe.Pointer(&b.x[row*line]))
			continue
		}
		g.gatherLines(b, q, line, b.row+row)
		g.addRow(b, q, row, unsafe.Pointer(&b.x[0]))
	}
}

// inPlace reports whether the panel of gradients from output o on is read where it
// is: it is whole, and too few tiles use it for a copy to pay.
func (b *weightBlock) inPlace(o, cols int) bool {
	return b.tiles <= fewTiles && o+panelWidth(b.outputs-o, cols) <= b.outputs
}

// fewTiles is how many tiles a copy of their gradients has to serve before it is
// worth its time; more of them are faster when their operands lie together.
const fewTiles = 12

// gatherOutputs makes a panel of the gradients of a piece's pixels.
func (g *weightGradient) gatherOutputs(b *weightBlock, q pixelPiece, o int) {
	width := panelWidth(b.outputs-o, g.isa.cols)
	present := min(width, b.outputs-o)
	n := q.pixels()
	dst := b.gy[o*n:]
	src, pitch := g.call.gy.V[q.p*g.call.gy.Pitch+b.output+o:], g.call.gy.Pitch
	for i := range n {
		row := dst[i*width:][:width]
		copy(row[:present], src[i*pitch:])
		clear(row[present:])
	}
}

// gatherRows copies n input rows as the pixels of a piece see them from a kernel
// row on, zeros around included; the piece lies in one example.
func (g *weightGradient) gatherRows(b *weightBlock, q pixelPiece, line, row, n int) {
	s := g.s
	example, oh, ow := q.p/(s.OutH()*s.OutW()), q.p/s.OutW()%s.OutH(), q.p%s.OutW()
	top := oh*s.StrideH + row - s.PadH
	for i := range n {
		g.gatherRow(b, b.x[i*line:][:line], example, top+i, ow*s.StrideW-s.PadW)
	}
}

// gatherLines copies for each line of a piece the input row under a kernel row.
func (g *weightGradient) gatherLines(b *weightBlock, q pixelPiece, line, row int) {
	s := g.s
	for i := range q.lines {
		l := q.p/s.OutW() + i
		g.gatherRow(b, b.x[i*line:][:line], l/s.OutH(), l%s.OutH()*s.StrideH+row-s.PadH, -s.PadW)
	}
}

func (g *weightGradient) gatherRow(b *weightBlock, dst []float32, example, row, left int) {
	s := g.s
	if row < 0 || row >= s.H {
		clear(dst)
		return
	}
	copyRow(dst, g.call.x.from((example*s.H+row)*s.W), b.channel, b.channels, left, s.W)
}

// copyRow fills dst with the pixels of a row of w pixels from left on, which may be
// negative, and with zeros where there are none; of each it copies n channels from
// channel on.
func copyRow(dst []float32, row Maps, channel, n, left, w int) {
	pixels := len(dst) / n
	before := min(max(-left, 0), pixels)
	from := max(left, 0)
	inside := max(0, min(pixels-before, w-from))
	clear(dst[:before*n])
	clear(dst[(before+inside)*n:])
	if inside == 0 {
		return
	}
	dst = dst[before*n:][:inside*n]
	if row.Pitch == n {
		copy(dst, row.V[from*n:])
		return
	}
	src := row.V[from*row.Pitch+channel:]
	for q := range inside {
		copy(dst[q*n:][:n], src[q*row.Pitch:])
	}
}

// addRow adds to the sums of one kernel row; a points at what is under its first
// column.
func (g *weightGradient) addRow(b *weightBlock, q pixelPiece, row int, a unsafe.Pointer) {
	run, n, cols := g.s.KW*b.channels, q.pixels(), g.isa.cols
	tiles := newPartition(run, g.isa.rows)
	for o := 0; o < b.outputs; o += cols {
		width := panelWidth(b.outputs-o, cols)
		t := b.t
		t.b, t.bStep = unsafe.Pointer(&b.gy[o*n]), uintptr(4*width)
		if b.inPlace(o, cols) {
			t.b, t.bStep = g.call.gy.at(q.p, b.output+o), uintptr(4*g.call.gy.Pitch)
		}
		t.cRow, t.low = uintptr(4*width), noLow
		t.initRow = t.cRow
		sums := b.sums[(o*b.rows+row*width)*run:]
		for i := range tiles.parts {
			r := tiles.from(i)
			t.a, t.c = unsafe.Add(a, 4*r), unsafe.Pointer(&sums[r*width])
			t.init = nil
			if b.add {
				t.init = t.c
			}
			g.isa.tileColumns[width/16][tiles.from(i+1)-r](t)
		}
		if b.bias && row == 0 {
			g.addBias(b, o, width, n)
		}
	}
}

// addBias adds to the sums of a panel's bias.
func (g *weightGradient) addBias(b *weightBlock, o, width, n int) {
	t, saved := b.t, *b.t
	t.a, t.aStep, t.k, t.segs = unsafe.Pointer(&one[0]), 0, uintptr(n), 1
	t.c = unsafe.Pointer(&b.sums[padded(b.outputs, g.isa.cols)*b.rows*g.s.KW*b.channels+o])
	t.init = nil
	if b.add {
		t.init = t.c
	}
	g.isa.tileColumns[width/16][1](t)
	*t = saved
}

// write puts the sums in their places.
func (g *weightGradient) write(b *weightBlock) {
	s, cols := g.s, g.isa.cols
	run := s.KW * b.channels
	for o := range b.outputs {
		panel := o / cols * cols
		width := panelWidth(b.outputs-panel, cols)
		sums := b.sums[panel*b.rows*run+o-panel:]
		for row := range b.rows {
			for column := range s.KW {
				for channel := range b.channels {
					g.call.gw[(((b.output+o)*s.C+b.channel+channel)*s.KH+b.row+row)*s.KW+column] = sums[(row*run+column*b.channels+channel)*width]
				}
			}
		}
	}
	if b.bias {
		copy(g.call.gb[b.output:][:b.outputs], b.sums[padded(b.outputs, cols)*b.rows*run:])
	}
}

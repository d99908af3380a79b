package kernels

import "unsafe"

// transposeChunk is how many inputs a task transposes.
const transposeChunk = 512

// groupTiles is how many tiles of outputs a task takes through the inputs
// together, so that they share the panel of x in the cache.
const groupTiles = 4

// forward is a product with w's rows as the tiles' rows and examples as columns.
func (l *FullyConnected) forward() {
	call, p := &l.call, l.call.pool
	l.xt = grow(l.xt, padded(call.n, l.isa.cols)*l.s.I)
	p.reserve(max(16*transposeChunk, groupTiles*maxRows*padded(call.n, l.isa.cols)))
	call.inputs = newPartition(l.s.I, transposeChunk)
	call.examples = newPartition(padded(call.n, 16)/16, 1)
	p.run(call.examples.parts*call.inputs.parts, (*transposeJob)(l))

	tiles := (l.s.O + l.isa.rows - 1) / l.isa.rows
	group := min(groupTiles, max(1, tiles/(4*p.threads)))
	call.outputs = newPartition(l.s.O, l.isa.rows*group)
	panels := (call.n + l.isa.cols - 1) / l.isa.cols
	call.examples = partition{panels, p.parts(call.outputs.parts, panels)}
	p.run(call.outputs.parts*call.examples.parts, (*linearForwardJob)(l))
}

// A transposeJob puts some inputs of 16 examples into xt a task.
type transposeJob FullyConnected

func (j *transposeJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call := &l.call
	e := task / call.inputs.parts * 16
	i, inputs := call.inputs.part(task % call.inputs.parts)
	panel := e / l.isa.cols * l.isa.cols
	width := panelWidth(call.n-panel, l.isa.cols)
	src, pitch := call.x[e*l.s.I+i:], l.s.I
	present := min(16, call.n-e)
	if present < 16 {
		pitch = inputs
		src = call.pool.space(thread, 16*inputs)
		for r := range present {
			copy(src[r*inputs:][:inputs], call.x[(e+r)*l.s.I+i:])
		}
		clear(src[present*inputs:])
	}
	call.pool.transposeTo(l.isa, thread, 16, inputs, src, pitch, l.xt[panel*l.s.I+i*width+e-panel:], width)
}

// transposeTo does dst[c·dstPitch+r] = src[r·srcPitch+c] for a matrix of rows and
// columns.
func (p *Pool) transposeTo(i *isa, thread, rows, columns int, src []float32, srcPitch int, dst []float32, dstPitch int) {
	wholeRows, wholeColumns := rows&^15, columns&^15
	if wholeRows*wholeColumns > 0 {
		m := &p.locals[thread].matrices
		*m = matrices{
			src: unsafe.Pointer(&src[0]), srcRow: uintptr(4 * srcPitch),
			dst: unsafe.Pointer(&dst[0]), dstRow: uintptr(4 * dstPitch),
			rows: uintptr(wholeRows / 16), columns: uintptr(wholeColumns / 16),
		}
		i.transpose(m)
		*m = matrices{}
	}
	for r := range rows {
		first := wholeColumns
		if r >= wholeRows {
			first = 0
		}
		for c := first; c < columns; c++ {
			dst[c*dstPitch+r] = src[r*srcPitch+c]
		}
	}
}

// A linearForwardJob computes a group of outputs of some panels of examples a task.
type linearForwardJob FullyConnected

func (j *linearForwardJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, s := &l.call, l.s
	o, outputs := call.outputs.part(task / call.examples.parts)
	first, panels := call.examples.part(task % call.examples.parts)
	first *= l.isa.cols
	last := min(first+panels*l.isa.cols, call.n)
	space := call.pool.space(thread, outputs*padded(last-first, l.isa.cols))
	l.fillBias(space, first, last, o, outputs)
	t := &call.pool.locals[thread].tile
	*t = tile{aRow: uintptr(4 * s.I), segs: 1, low: noLow}
	tiles := newPartition(outputs, l.isa.rows)
	for i := 0; i < s.I; i += piece {
		t.k = uintptr(min(piece, s.I-i))
		t.ahead = 4 * piece
		if i+piece >= s.I {
			t.low = call.low
		}
		for e := first; e < last; e += l.isa.cols {
			width := panelWidth(call.n-e, l.isa.cols)
			t.bStep, t.cRow, t.initRow = uintptr(4*width), uintptr(4*width), uintptr(4*width)
			t.b = unsafe.Pointer(&l.xt[e*s.I+i*width])
			for q := range tiles.parts {
				r, rows := tiles.part(q)
				t.a, t.c = unsafe.Pointer(&call.w[(o+r)*s.I+i]), unsafe.Pointer(&space[(e-first)*outputs+r*width])
				t.init = nil
				if i > 0 || call.b != nil {
					t.init = t.c
				}
				l.isa.tileRows[width/16][rows](t)
			}
		}
	}
	*t = tile{}
	for e := first; e < last; e += l.isa.cols {
		width := panelWidth(call.n-e, l.isa.cols)
		call.pool.transposeTo(l.isa, thread, outputs, min(width, call.n-e), space[(e-first)*outputs:], width, call.y[e*s.O+o:], s.O)
	}
}

// fillBias lets the sums of some outputs of examples first to last begin with the bias.
func (l *FullyConnected) fillBias(sums []float32, first, last, o, outputs int) {
	if l.call.b == nil {
		return
	}
	for e := first; e < last; e += l.isa.cols {
		width := panelWidth(l.call.n-e, l.isa.cols)
		for r, v := range l.call.b[o:][:outputs] {
			row := sums[(e-first)*outputs+r*width:][:width]
			for i := range row {
				row[i] = v
			}
		}
	}
}

// dataPanels is how many panels of inputs a task has at most: it reads as much of
// each row of w at a time.
const dataPanels = 8

// fewExamples is up to how many tiles of examples read w where it is: a copy has to
// serve more of them to be worth its time.
const fewExamples = 2

// backwardData is a product with gy's rows as the tiles' rows and w's columns as
// columns.
func (l *FullyConnected) backwardData() {
	call, p := &l.call, l.call.pool
	panels := (l.s.I + l.isa.cols - 1) / l.isa.cols
	call.inputs = newPartition(panels, max(1, min(dataPanels, panels/(4*p.threads))))
	tiles := (call.n + l.isa.rows - 1) / l.isa.rows
	call.examples = newPartition(call.n, l.isa.rows*((tiles+p.parts(call.inputs.parts, tiles)-1)/p.parts(call.inputs.parts, tiles)))
	p.reserve(l.dataSpace())
	p.run(call.inputs.parts*call.examples.parts, (*linearDataJob)(l))
}

// dataSpace is the floats that a linearDataJob works in: a piece of w's panels, and
// the sums of the last panel.
func (l *FullyConnected) dataSpace() int {
	return (piece*l.call.inputs.longest() + l.call.examples.longest()) * l.isa.cols
}

// A linearDataJob computes some panels of inputs of some examples a task.
type linearDataJob FullyConnected

func (j *linearDataJob) do(thread, task int) {
	l := (*FullyConnected)(j)
	call, cols := &l.call, l.isa.cols
	first, panels := call.inputs.part(task / call.examples.parts)
	n, examples := call.examples.part(task % call.examples.parts)
	space := call.pool.space(thread, l.dataSpace())
	t := &call.pool.locals[thread].tile
	*t = tile{aRow: uintptr(4 * l.s.O), segs: 1, low: noLow, cRow: uintptr(4 * l.s.I)}
	whole := min(panels, l.s.I/cols-first)
	for o := 0; o < l.s.O && whole > 0; o += piece {
		rows, i := min(piece, l.s.O-o), first*cols
		b, bStep, panel := unsafe.Pointer(&call.w[o*l.s.I+i]), 4*l.s.I, 4*cols
		if examples > fewExamples*l.isa.rows {
			g := &call.pool.locals[thread].gather
			*g = panelGather{
				src: b, srcRow: uintptr(bStep), dst: unsafe.Pointer(&space[0]), dstPanel: uintptr(4 * rows * cols),
				rows: uintptr(rows), panels: uintptr(whole), width: uintptr(cols / 16),
			}
			l.isa.gather(g)
			b, bStep, panel = g.dst, 4*cols, 4*rows*cols
			*g = panelGather{}
		}
		for q := range whole {
			t.b, t.bStep = unsafe.Add(b, q*panel), uintptr(bStep)
			t.c = unsafe.Pointer(&call.gx[n*l.s.I+i+q*cols])
			l.dataTiles(t, n, examples, o, cols)
		}
	}
	if whole < panels {
		l.lastInputs(t, space, n, examples, (first+whole)*cols)
	}
	*t = tile{}
}

// dataTiles adds the products of a piece of outputs from o on to the sums of
// examples from n on.
func (l *FullyConnected) dataTiles(t *tile, n, examples, o, width int) {
	t.k = uintptr(min(piece, l.s.O-o))
	t.initRow = t.cRow
	c := t.c
	tiles := newPartition(examples, l.isa.rows)
	for q := range tiles.parts {
		r, rows := tiles.part(q)
		t.a, t.c = unsafe.Pointer(&l.call.gy[(n+r)*l.s.O+o]), unsafe.Add(c, r*int(t.cRow))
		t.init = nil
		if o > 0 {
			t.init = t.c
		}
		l.isa.tileRows[width/16][rows](t)
	}
}

// lastInputs computes the inputs from i on, fewer than a panel is wide.
func (l *FullyConnected) lastInputs(t *tile, space []float32, n, examples, i int) {
	s, present := l.s, l.s.I-i
	width := panelWidth(present, l.isa.cols)
	b, c := space[:piece*width], space[piece*width:]
	for o := 0; o < s.O; o += piece {
		for k := range min(piece, s.O-o) {
			row := b[k*width:][:width]
			clear(row[copy(row, l.call.w[(o+k)*s.I+i:][:present]):])
		}
		t.b, t.bStep = unsafe.Pointer(&b[0]), uintptr(4*width)
		t.c, t.cRow = unsafe.Pointer(&c[0]), uintptr(4*width)
		l.dataTiles(t, n, examples, o, width)
	}
	for r := range examples {
		copy(l.call.gx[(n+r)*s.I+i:][:present], c[r*width:])
	}
}

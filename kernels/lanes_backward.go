package kernels

import "unsafe"

// laneBackward is the job of Backward: a task is one group from the last stage
// down; the sums of its lanes stay apart.
type laneBackward Lanes

func (l *laneBackward) do(thread, task int) {
	t := &l.jobs.pool.locals[thread].lanes
	small, large := (*Lanes)(l).backwardSizes()
	space := l.jobs.pool.space(thread, small+large)
	for i := len(l.stages) - 1; i >= 0; i-- {
		s := l.stages[i]
		t.gy, t.g = s.gOut, s.grad
		t.gy.v, t.g.v = space[:small], space[small:]
		if i == len(l.stages)-1 {
			t.gy.load(&t.blocks, 0, &l.groups[task], l.jobs.gy)
		}
		b := lanePass{laneStage: s, laneThread: t, group: task}
		b.weights()
		if i > 0 {
			t.gx = l.stages[i-1].gOut
			t.gx.v = space[:small]
			b.data()
		}
	}
}

// backwardSizes is the scratch for gy, which gx takes the place of, and for g.
func (l *Lanes) backwardSizes() (small, large int) {
	for _, s := range l.stages {
		small, large = max(small, s.gOut.floats()*lane), max(large, s.grad.floats()*lane)
	}
	return small, large
}

// lanePass is backward through one stage for one group.
type lanePass struct {
	*laneStage
	*laneThread
	group int
}

// weights computes g and sums the gradients of the weights and biases: for some
// outputs, a piece of the rows after the other, which stays in the first cache.
func (b *lanePass) weights() {
	if b.g.padH > 0 {
		b.clearBorder()
	}
	if b.Pooling == Subsampled {
		b.subsampled()
	}
	taps := newPartition(b.conv.KW, laneTaps)
	panels := newPartition(b.conv.O, active.laneSumMost[taps.longest()])
	for i := range panels.parts {
		o, outputs := panels.part(i)
		for j := range b.pieces.parts {
			row, rows := b.pieces.part(j)
			r := laneRows{row: row, rows: rows, o: o, outputs: outputs, add: uintptr(min(j, 1))}
			if b.pooled() {
				r.row, r.rows = 2*row, 2*rows
			}
			if b.g.padH > 0 {
				r.at = r.row
			}
			b.spread(r)
			b.fetch(panels, i, j+1)
			b.sumBias(r)
			for k := range taps.parts {
				kw, n := taps.part(k)
				b.sumWeights(r, kw, n)
			}
		}
	}
}

// fetch asks for the activated values of piece j of panel i, or of the panel after
// it, which were stored past the cache, while the piece before it is summed.
func (b *lanePass) fetch(panels partition, i, j int) {
	if j == b.pieces.parts {
		i, j = i+1, 0
	}
	if !b.averages() || b.Activation == Identity || i == panels.parts {
		return
	}
	row, n := b.pieces.part(j)
	o, outputs := panels.part(i)
	for ; outputs > 0; o, outputs = o+1, outputs-1 {
		b.fold = laneFold{x: b.full.at(b.group, o, 2*row, 0), n: uintptr(2 * n * b.full.w)}
		active.laneFetch(&b.fold)
	}
}

// laneRows is a piece of the rows of a convolution's output for some outputs.
type laneRows struct {
	row, rows, o, outputs int
	at                    int     // of g
	add                   uintptr // not the first piece
}

func (s *laneStage) pooled() bool { return s.Pooling != Unpooled }

// spread computes g from gy.
func (b *lanePass) spread(r laneRows) {
	gy, g := &b.gy, &b.g
	for o := r.o; o < r.o+r.outputs; o++ {
		switch b.Pooling {
		case Unpooled:
			b.derivative(b.Activation, b.y, gy.at(0, o, r.row, 0), gy, g.at(0, o, r.at, 0), g, o, r.row, r.rows)
			continue
		case MaxPooled:
			p := gy.at(0, o, r.row/2, 0)
			b.derivative(b.Activation, b.y, p, gy, p, gy, o, r.row/2, r.rows/2)
		}
		b.windowsOf(b.laneThread, gy.at(0, o, r.row/2, 0), gy, g.at(0, o, r.at, 0), g, r.rows/2)
		if b.Pooling == MaxPooled {
			b.windows.arg = b.arg.at(b.group, o, r.row/2, 0)
			active.laneRoute(&b.windows)
			continue
		}
		active.laneScatter(&b.windows)
		p := g.at(0, o, r.at, 0)
		b.derivative(b.Activation, &b.full, p, g, p, g, o, r.row, r.rows)
	}
}

// clearBorder makes the border of g zero.
func (b *lanePass) clearBorder() {
	row := b.g.rowBytes() / 4
	for rest := b.g.v[:b.g.floats()*lane]; len(rest) > 0; {
		plane := rest[:b.g.planeBytes()/4]
		rest = rest[len(plane):]
		clear(plane[:row+lane])
		for y := 1; y <= b.g.h; y++ {
			clear(plane[(y+1)*row-lane : (y+1)*row+lane])
		}
		clear(plane[len(plane)-row+lane:])
	}
}

// derivative computes gx = gy · act′(y) for some rows of an output, from one on of
// the group's activated values y.
func (b *lanePass) derivative(a Activation, y *laneMaps, gy unsafe.Pointer, gyMaps *laneMaps, gx unsafe.Pointer, gxMaps *laneMaps, o, from, n int) {
	b.rows = rows{
		x: y.at(b.group, o, from, 0), xRow: uintptr(y.rowBytes()),
		g: gy, gRow: uintptr(gyMaps.rowBytes()), y: gx, yRow: uintptr(gxMaps.rowBytes()),
		rows: uintptr(n), n: uintptr(y.w * lane),
	}
	switch a {
	case Identity:
		if gx != gy {
			for r := range uintptr(n) {
				copy(unsafe.Slice(element(gx, r*b.rows.yRow, 0), b.rows.n), unsafe.Slice(element(gy, r*b.rows.gRow, 0), b.rows.n))
			}
		}
	case ReLU:
		active.element[opReLUBackward](&b.rows)
	case Sigmoid:
		active.element[opSigmoidBackward](&b.rows)
	case Tanh:
		active.element[opTanhBackward](&b.rows)
	case ScaledTanh:
		active.element[opScaledTanhBackward](&b.rows)
	}
}

// laneOnes is a pixel whose products sum the bias.
var laneOnes = func() (v laneValues) {
	for i := range v {
		v[i] = 1
	}
	return v
}()

// sumBias sums a piece of g, or of gy where that is g but for its places.
func (b *lanePass) sumBias(r laneRows) {
	g, row := &b.g, r.at
	if b.Pooling == MaxPooled {
		g, row, r.rows = &b.gy, r.row/2, r.rows/2
	}
	s := &b.sum
	*s = laneSum{
		gO: uintptr(g.planeBytes()), gRowSkip: uintptr(g.rowBytes() - g.w*laneBytes),
		rows: uintptr(r.rows), cols: uintptr(g.w), outO: laneBytes, add: r.add,
		x: unsafe.Pointer(&laneOnes), g: g.at(0, r.o, row, 0), out: b.gradients(b.conv.Weights() + r.o),
	}
	s.each(active.laneSum[1][r.outputs])
}

// sumWeights sums the products of a piece of g with the group's inputs, for some
// taps from kw on of each row of the kernel.
func (b *lanePass) sumWeights(r laneRows, kw, taps int) {
	c, g, s, f := b.conv, &b.g, &b.sum, active.laneSum[taps][r.outputs]
	step, row := c.StrideW*laneBytes, c.StrideH*b.in.rowBytes()
	*s = laneSum{
		xStep: uintptr(step), xRowSkip: uintptr(row - g.w*step),
		gO: uintptr(g.planeBytes()), gRowSkip: uintptr(g.rowBytes() - g.w*laneBytes),
		rows: uintptr(r.rows), cols: uintptr(g.w), outO: uintptr(c.C * c.KH * c.KW * laneBytes), add: r.add,
	}
	for k := range c.C * c.KH {
		ch, kh := k/c.KH, k%c.KH
		s.x = b.in.at(b.group, ch, r.row*c.StrideH+kh-c.PadH, kw-c.PadW)
		s.g, s.out = g.at(0, r.o, r.at, 0), b.gradients((r.o*c.C*c.KH+k)*c.KW+kw)
		s.each(f)
	}
}

// gradients is where the group's sums of weight i, or of bias i − Weights, begin.
func (b *lanePass) gradients(i int) unsafe.Pointer {
	return unsafe.Pointer(&b.sums[(b.group*b.gradient()+i)*lane])
}

// data computes the gradient of the stage's input.
func (b *lanePass) data() {
	c, gx := b.conv, &b.gx
	if !b.covered {
		clear(gx.v[:gx.floats()*lane])
	}
	b.tile = laneTile{
		xNext: 2 * laneBytes, low: noLow, bias: unsafe.Pointer(&noBias),
		yNext: uintptr(2 * c.StrideW * laneBytes), yO: uintptr(gx.planeBytes()),
	}
	at := 0
	for _, ph := range b.phases[0] {
		for _, pw := range b.phases[1] {
			for _, p := range b.dataPanels {
				b.dataPhase(ph, pw, p, at)
				at += c.O * ph.taps * pw.taps * p.outputs
			}
		}
	}
}

// dataPhase computes the pixels of a pair of phases for a panel of channels,
// whose weights begin at at. Pairs of columns that the same taps reach go in one
// call.
func (b *lanePass) dataPhase(ph, pw lanePhase, p lanePanel, at int) {
	t, gx, row := &b.tile, &b.gx, b.g.rowBytes()
	t.xRow, t.yRow = uintptr(row), uintptr(ph.stride*gx.rowBytes())
	if ph.count == 1 {
		t.xRow, t.yRow = 0, 0
	}
	t.xCol, t.yCol = laneBytes, uintptr(pw.stride*laneBytes)
	if pw.count == 1 {
		t.xCol, t.yCol = 0, 0
	}
	for i := 0; i < ph.count; i += 2 {
		i := max(0, min(i, ph.count-2))
		top, bottom := ph.pair(i)
		if top >= bottom {
			continue
		}
		t.rows = uintptr(bottom - top)
		t.xPlaneSkip = uintptr(b.g.planeBytes() - (bottom-top)*row)
		t.wPlaneSkip = uintptr(4 * (ph.taps - bottom + top) * pw.taps * p.outputs)
		for j := 0; j < pw.count; {
			first := max(0, min(j, pw.count-2))
			left, right := pw.pair(first)
			t.tiles, j = 1, j+2
			for l, r := pw.pair(j); j+2 <= pw.count && l == left && r == right; l, r = pw.pair(j) {
				t.tiles, j = t.tiles+1, j+2
			}
			if left >= right {
				continue
			}
			t.taps = uintptr(right - left)
			t.xRowSkip = uintptr(row - (right-left)*laneBytes)
			t.wRowSkip = uintptr(4 * (pw.taps - right + left) * p.outputs)
			t.y = gx.at(0, p.first, ph.first+i*ph.stride, pw.first+first*pw.stride)
			b.dataTiles(p, ph.from+i+top, pw.from+first+left, at+(top*pw.taps+left)*p.outputs, ph.taps*pw.taps*p.outputs)
		}
	}
}

// dataTiles runs b.tile from a pixel of g on, piece by piece; the weights of an
// output are some floats apart.
func (b *lanePass) dataTiles(p lanePanel, row, col, weights, apart int) {
	t, outputs, y := &b.tile, b.pieceChannels(), b.tile.y
	for o := 0; o < b.conv.O; o += outputs {
		t.planes, t.add = uintptr(min(outputs, b.conv.O-o)), 0
		if o > 0 {
			t.add = 1
		}
		t.x, t.w, t.y = b.g.at(0, o, row, col), unsafe.Pointer(&b.dataWeights[weights+o*apart]), y
		t.each(active.laneTile[p.outputs])
	}
}

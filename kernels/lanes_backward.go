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
		t.gy, t.g = s.gOut, s.g
		t.gy.v, t.g.v = space[:small], space[small:]
		if i == len(l.stages)-1 {
			t.gy.load(&t.blocks, 0, &l.groups[task], l.jobs.gy)
		}
		b := lanePass{laneStage: s, laneThread: t, group: task, gy: &t.gy, g: &t.g}
		b.spread()
		b.sumWeights()
		if i > 0 {
			t.gx = l.stages[i-1].gOut
			t.gx.v = space[:small]
			b.data(&t.gx)
		}
	}
}

// backwardSizes is the scratch for gy, which gx takes the place of, and for g.
func (l *Lanes) backwardSizes() (small, large int) {
	for _, s := range l.stages {
		small, large = max(small, s.gOut.floats()*lane), max(large, s.g.floats()*lane)
	}
	return small, large
}

// lanePass is backward through one stage for one group.
type lanePass struct {
	*laneStage
	*laneThread
	group int
	gy, g *laneMaps
}

// spread makes g of gy, and the sums of the bias.
func (b *lanePass) spread() {
	b.clearBorder()
	switch b.Pooling {
	case Unpooled:
		b.derivative(b.y, b.gy, b.g)
		b.sumBias(b.g)
	case MaxPooled:
		b.derivative(b.y, b.gy, b.gy)
		b.sumBias(b.gy)
		for o := range b.conv.O {
			b.windowsOf(b.laneThread, b.gy, 0, b.g, 0, o)
			b.windows.arg = b.arg.at(b.group, o, 0, 0)
			active.laneRoute(&b.windows)
		}
	case AveragePooled:
		for o := range b.conv.O {
			b.windowsOf(b.laneThread, b.gy, 0, b.g, 0, o)
			active.laneScatter(&b.windows)
		}
		b.derivative(&b.full, b.g, b.g)
		b.sumBias(b.g)
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

// derivative computes gx = gy · act′(y), y being the activated values of the
// group.
func (b *lanePass) derivative(y, gy, gx *laneMaps) {
	op := opSigmoidBackward
	switch b.Activation {
	case Identity:
		if gx == gy {
			return
		}
		for c := range y.c {
			for r := range y.h {
				copy(gx.row(0, c, r), gy.row(0, c, r))
			}
		}
		return
	case ReLU:
		op = opReLUBackward
	case Tanh:
		op = opTanhBackward
	}
	for c := range y.c {
		b.rows = rows{
			x: y.at(b.group, c, 0, 0), xRow: uintptr(y.rowBytes()),
			g: gy.at(0, c, 0, 0), gRow: uintptr(gy.rowBytes()),
			y: gx.at(0, c, 0, 0), yRow: uintptr(gx.rowBytes()),
			rows: uintptr(y.h), n: uintptr(y.w * lane),
		}
		active.element[op](&b.rows)
	}
}

// laneOnes is a pixel whose products sum the bias.
var laneOnes = func() (v laneValues) {
	for i := range v {
		v[i] = 1
	}
	return v
}()

// sumBias sums the pixels of g.
func (b *lanePass) sumBias(g *laneMaps) {
	b.sum = laneSum{gO: uintptr(g.planeBytes()), gRowSkip: uintptr(g.rowBytes() - g.w*laneBytes), cols: uintptr(g.w), outO: laneBytes}
	s := &b.sum
	panels, pieces := newPartition(b.conv.O, active.laneSumMost[1]), lanePieces(g)
	for i := range panels.parts {
		o, outputs := panels.part(i)
		for j := range pieces.parts {
			row, rows := pieces.part(j)
			s.rows, s.add = uintptr(rows), uintptr(min(j, 1))
			s.x, s.g = unsafe.Pointer(&laneOnes), g.at(0, o, row, 0)
			s.out = b.gradients(b.conv.Weights() + o)
			s.each(active.laneSum[1][outputs])
		}
	}
}

// sumWeights sums the products of g and the group's inputs.
func (b *lanePass) sumWeights() {
	c, g := b.conv, b.g
	step, row := c.StrideW*laneBytes, c.StrideH*b.in.rowBytes()
	b.sum = laneSum{
		xStep: uintptr(step), xRowSkip: uintptr(row - g.w*step),
		gO: uintptr(g.planeBytes()), gRowSkip: uintptr(g.rowBytes() - g.w*laneBytes),
		cols: uintptr(g.w), outO: uintptr(c.C * c.KH * c.KW * laneBytes),
	}
	parts := newPartition(c.KW, laneTaps)
	for i := range parts.parts {
		kw, taps := parts.part(i)
		panels := newPartition(c.O, active.laneSumMost[taps])
		for j := range panels.parts {
			o, outputs := panels.part(j)
			b.sumPanel(o, outputs, kw, taps)
		}
	}
}

// sumPanel is sumWeights for some outputs and some taps of the kernel's rows, a
// piece of rows after the other so that those of g stay in the first cache.
func (b *lanePass) sumPanel(o, outputs, kw, taps int) {
	c, s, f := b.conv, &b.sum, active.laneSum[taps][outputs]
	pieces := lanePieces(b.g)
	for i := range pieces.parts {
		row, rows := pieces.part(i)
		s.rows, s.add = uintptr(rows), uintptr(min(i, 1))
		for k := range c.C * c.KH {
			ch, kh := k/c.KH, k%c.KH
			s.x = b.in.at(b.group, ch, row*c.StrideH+kh-c.PadH, kw-c.PadW)
			s.g, s.out = b.g.at(0, o, row, 0), b.gradients((o*c.C*c.KH+k)*c.KW+kw)
			s.each(f)
		}
	}
}

// gradients is where the group's sums of weight i, or of bias i − Weights, begin.
func (b *lanePass) gradients(i int) unsafe.Pointer {
	return unsafe.Pointer(&b.sums[(b.group*b.gradient()+i)*lane])
}

// lanePiece is the greatest number of products in a piece of a gradient's sums, a
// row's apart: so few that g and the inputs of a piece stay in the first cache.
const lanePiece = 96

// lanePieces cuts the rows of g into pieces.
func lanePieces(g *laneMaps) partition { return newPartition(g.h, max(1, lanePiece/g.w)) }

// data computes the gradient of the stage's input.
func (b *lanePass) data(gx *laneMaps) {
	c := b.conv
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
				b.dataPhase(gx, ph, pw, p, at)
				at += c.O * ph.taps * pw.taps * p.outputs
			}
		}
	}
}

// dataPhase computes the pixels of a pair of phases for a panel of channels,
// whose weights begin at at.
func (b *lanePass) dataPhase(gx *laneMaps, ph, pw lanePhase, p lanePanel, at int) {
	t, row := &b.tile, b.g.rowBytes()
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

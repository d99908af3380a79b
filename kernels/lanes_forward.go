package kernels

import "unsafe"

// laneForward is the job of Forward: a task is one group through all stages.
type laneForward Lanes

func (l *laneForward) do(thread, task int) {
	g := &l.groups[task]
	t := &l.jobs.pool.locals[thread].lanes
	l.stages[0].in.load(&t.blocks, task, g, l.jobs.x)
	for _, s := range l.stages {
		s.forward(t, task, l.jobs.pool.space(thread, s.forwardSpace()))
	}
	l.out.save(&t.blocks, task, g, l.jobs.y)
}

// forwardSpace is the scratch that forward needs: two rows of the convolution,
// unless they are the output or pooled in registers.
func (s *laneStage) forwardSpace() int {
	if s.Pooling == Unpooled || s.Pooling == MaxPooled && s.onePiece() {
		return 0
	}
	return s.conv.O * 2 * s.w * lane
}

// onePiece reports whether the sums of the forward pass have one piece.
func (s *laneStage) onePiece() bool { return s.conv.C <= s.pieceChannels() }

// forward computes one group's outputs from its inputs, two rows of the
// convolution at a time: what follows finds them in the first cache.
func (s *laneStage) forward(t *laneThread, group int, scratch []float32) {
	for i := 0; i < s.h; i += 2 {
		row := max(0, min(i, s.h-2))
		switch {
		case s.Pooling == Unpooled:
			s.convolve(t, group, row, s.y, group, row, false)
			s.activate(t, s.behind(), s.y, group, row, min(2, s.h))
		case s.averages():
			t.g = laneMaps{c: s.conv.O, h: 2, w: s.w, v: scratch}
			s.convolve(t, group, row, &t.g, 0, 0, false)
			s.activate(t, s.behind(), &t.g, 0, 0, 2)
			for o := range s.conv.O {
				s.windowsOf(t, s.means().at(group, o, row/2, 0), s.means(), t.g.at(0, o, 0, 0), &t.g, 1)
				t.windows.kept, t.windows.keptRow = s.full.at(group, o, row, 0), uintptr(s.full.rowBytes())
				active.laneAverage(&t.windows)
			}
			if s.Pooling == Subsampled {
				s.subsample(t, group, row/2)
			}
		case s.onePiece():
			s.convolveMax(t, group, row/2)
			s.activate(t, s.behind(), s.y, group, row/2, 1)
		default:
			t.g = laneMaps{c: s.conv.O, h: 2, w: s.w, v: scratch}
			s.convolve(t, group, row, &t.g, 0, 0, true)
			for o := range s.conv.O {
				s.windowsOf(t, s.y.at(group, o, row/2, 0), s.y, t.g.at(0, o, 0, 0), &t.g, 1)
				t.windows.arg = s.arg.at(group, o, row/2, 0)
				t.windows.bias, t.windows.low = s.bias[o], s.low()
				active.lanePool(&t.windows)
			}
			s.activate(t, s.behind(), s.y, group, row/2, 1)
		}
	}
}

// low is the least value of a convolution's output.
func (s *laneStage) low() float32 {
	if s.Activation == ReLU {
		return 0
	}
	return noLow
}

// start sets what all tiles of a convolution have in common.
func (s *laneStage) start(t *laneTile) {
	c := s.conv
	row, plane := s.in.rowBytes(), s.in.planeBytes()
	*t = laneTile{
		xCol: uintptr(c.StrideW * laneBytes), xRow: uintptr(c.StrideH * row), xNext: uintptr(2 * c.StrideW * laneBytes),
		xRowSkip: uintptr(row - c.KW*laneBytes), xPlaneSkip: uintptr(plane - c.KH*row),
		taps: uintptr(c.KW), rows: uintptr(c.KH),
		one: 1, two: 2, three: 3,
	}
}

// convolve computes two rows of one group's sums into those from at on of y, with
// bias and ReLU unless they are to be raw.
func (s *laneStage) convolve(thread *laneThread, group, row int, y *laneMaps, to, at int, raw bool) {
	t := &thread.tile
	s.start(t)
	t.yRow, t.yO = uintptr(y.rowBytes()), uintptr(y.planeBytes())
	if s.h == 1 {
		t.xRow, t.yRow = 0, 0
	}
	for _, p := range s.panels {
		t.yCol, t.yNext = laneBytes, 2*laneBytes
		if t.tiles = uintptr(s.w / 2); t.tiles > 0 {
			s.tiles(t, p, group, row, 0, y.at(to, p.first, at, 0), raw)
		}
		if s.w%2 == 0 {
			continue
		}
		t.tiles = 1
		if s.w > 1 {
			s.tiles(t, p, group, row, s.w-2, y.at(to, p.first, at, s.w-2), raw)
			continue
		}
		t.xCol, t.yCol = 0, 0
		s.tiles(t, p, group, row, 0, y.at(to, p.first, at, 0), raw)
	}
}

// tiles runs t from a pixel on, piece by piece.
func (s *laneStage) tiles(t *laneTile, p lanePanel, group, row, col int, y unsafe.Pointer, raw bool) {
	channels := s.pieceChannels()
	for c := 0; c < s.conv.C; c += channels {
		last := c+channels >= s.conv.C
		t.planes, t.low, t.add, t.bias = uintptr(min(channels, s.conv.C-c)), noLow, 0, unsafe.Pointer(&noBias)
		if c > 0 {
			t.add = 1
		}
		if last && !raw {
			t.low, t.bias = s.low(), unsafe.Pointer(&s.bias[p.first])
		}
		t.w = unsafe.Pointer(&s.weights[p.at+c*s.conv.KH*s.conv.KW*p.outputs])
		t.x = s.in.at(group, c, row*s.conv.StrideH-s.conv.PadH, col*s.conv.StrideW-s.conv.PadW)
		t.y = y
		t.each(active.laneTile[p.outputs])
	}
}

// convolveMax computes one row of a group's maxima from sums of one piece, in
// registers.
func (s *laneStage) convolveMax(thread *laneThread, group, row int) {
	t, y := &thread.tile, s.y
	s.start(t)
	t.yNext, t.yO, t.argO = laneBytes, uintptr(y.planeBytes()), uintptr(s.arg.planeBytes())
	t.tiles, t.planes = uintptr(y.w), uintptr(s.conv.C)
	t.low = s.low()
	for _, p := range s.panels {
		t.w, t.bias = unsafe.Pointer(&s.weights[p.at]), unsafe.Pointer(&s.bias[p.first])
		t.x = s.in.at(group, 0, 2*row*s.conv.StrideH-s.conv.PadH, -s.conv.PadW)
		t.y, t.arg = y.at(group, p.first, row, 0), s.arg.at(group, p.first, row, 0)
		t.each(active.laneTileMax[p.outputs])
	}
}

// windowsOf sets t.windows to some rows of windows from a place in the maps m of
// their values and one in b of their pixels on.
func (s *laneStage) windowsOf(t *laneThread, small unsafe.Pointer, m *laneMaps, big unsafe.Pointer, b *laneMaps, rows int) {
	t.windows = laneWindows{
		small: small, smallRow: uintptr(m.rowBytes()), big: big, bigRow: uintptr(b.rowBytes()),
		rows: uintptr(rows), cols: uintptr(m.w), quarter: 0.25, one: 1, two: 2, three: 3,
	}
}

// behind is the activation that is left to do behind the convolution, which does
// ReLU itself.
func (s *laneStage) behind() Activation {
	if s.Activation == ReLU {
		return Identity
	}
	return s.Activation
}

// activate applies an activation to some rows of a group's maps.
func (s *laneStage) activate(t *laneThread, a Activation, y *laneMaps, group, from, n int) {
	op := opReLU
	switch a {
	case Identity:
		return
	case Sigmoid:
		op = opSigmoid
	case Tanh:
		op = opTanh
	case ScaledTanh:
		op = opScaledTanh
	}
	for c := range y.c {
		p, row := y.at(group, c, from, 0), uintptr(y.rowBytes())
		t.rows = rows{x: p, xRow: row, y: p, yRow: row, rows: uintptr(n), n: uintptr(y.w * lane)}
		active.element[op](&t.rows)
	}
}

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

// forwardSpace is the scratch that forward needs: for sums in pieces that a
// maximum is taken of.
func (s *laneStage) forwardSpace() int {
	if s.Pooling != MaxPooled || s.conv.C <= s.pieceChannels() {
		return 0
	}
	return s.conv.O * s.h * s.w * lane
}

// forward computes one group's outputs from its inputs.
func (s *laneStage) forward(t *laneThread, group int, scratch []float32) {
	switch {
	case s.Pooling == Unpooled:
		s.convolve(t, group, s.y, group, false)
		s.activate(t, s.y, group)
	case s.Pooling == AveragePooled:
		s.convolve(t, group, &s.full, group, false)
		s.activate(t, &s.full, group)
		for o := range s.conv.O {
			s.windowsOf(t, s.y, group, &s.full, group, o)
			active.laneAverage(&t.windows)
		}
	case s.conv.C <= s.pieceChannels():
		s.convolveMax(t, group)
		s.activate(t, s.y, group)
	default:
		sums := laneMaps{c: s.conv.O, h: s.h, w: s.w, v: scratch}
		s.convolve(t, group, &sums, 0, true)
		for o := range s.conv.O {
			s.windowsOf(t, s.y, group, &sums, 0, o)
			t.windows.arg = s.arg.at(group, o, 0, 0)
			t.windows.bias, t.windows.low = s.bias[o], s.low()
			active.lanePool(&t.windows)
		}
		s.activate(t, s.y, group)
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

// convolve computes one group's sums into y, with bias and ReLU unless they are to
// be raw.
func (s *laneStage) convolve(thread *laneThread, group int, y *laneMaps, to int, raw bool) {
	t := &thread.tile
	s.start(t)
	t.yRow, t.yO = uintptr(y.rowBytes()), uintptr(y.planeBytes())
	if s.h == 1 {
		t.xRow, t.yRow = 0, 0
	}
	for _, p := range s.panels {
		for i := 0; i < s.h; i += 2 {
			row := max(0, min(i, s.h-2))
			t.yCol, t.yNext = laneBytes, 2*laneBytes
			if t.tiles = uintptr(s.w / 2); t.tiles > 0 {
				s.tiles(t, p, group, row, 0, y, to, raw)
			}
			if s.w%2 == 0 {
				continue
			}
			t.tiles = 1
			if s.w > 1 {
				s.tiles(t, p, group, row, s.w-2, y, to, raw)
				continue
			}
			t.xCol, t.yCol = 0, 0
			s.tiles(t, p, group, row, 0, y, to, raw)
		}
	}
}

// tiles runs t from a pixel on, piece by piece.
func (s *laneStage) tiles(t *laneTile, p lanePanel, group, row, col int, y *laneMaps, to int, raw bool) {
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
		t.y = y.at(to, p.first, row, col)
		t.each(active.laneTile[p.outputs])
	}
}

// convolveMax is convolve with max pooling in registers; the sums have one piece.
func (s *laneStage) convolveMax(thread *laneThread, group int) {
	t, y := &thread.tile, s.y
	s.start(t)
	t.yNext, t.yO, t.argO = laneBytes, uintptr(y.planeBytes()), uintptr(s.arg.planeBytes())
	t.tiles, t.planes = uintptr(y.w), uintptr(s.conv.C)
	t.low = s.low()
	for _, p := range s.panels {
		t.w, t.bias = unsafe.Pointer(&s.weights[p.at]), unsafe.Pointer(&s.bias[p.first])
		for row := range y.h {
			t.x = s.in.at(group, 0, 2*row*s.conv.StrideH-s.conv.PadH, -s.conv.PadW)
			t.y, t.arg = y.at(group, p.first, row, 0), s.arg.at(group, p.first, row, 0)
			t.each(active.laneTileMax[p.outputs])
		}
	}
}

// windowsOf sets t.windows to those of channel o of small and big.
func (s *laneStage) windowsOf(t *laneThread, small *laneMaps, group int, big *laneMaps, from, o int) {
	t.windows = laneWindows{
		small: small.at(group, o, 0, 0), smallRow: uintptr(small.rowBytes()),
		big: big.at(from, o, 0, 0), bigRow: uintptr(big.rowBytes()),
		rows: uintptr(small.h), cols: uintptr(small.w),
		quarter: 0.25, one: 1, two: 2, three: 3,
	}
}

// activate applies sigmoid or tanh to the maps of a group.
func (s *laneStage) activate(t *laneThread, y *laneMaps, group int) {
	op := opSigmoid
	switch s.Activation {
	case Sigmoid:
	case Tanh:
		op = opTanh
	default:
		return
	}
	for c := range y.c {
		p, row := y.at(group, c, 0, 0), uintptr(y.rowBytes())
		t.rows = rows{x: p, xRow: row, y: p, yRow: row, rows: uintptr(y.h), n: uintptr(y.w * lane)}
		active.element[op](&t.rows)
	}
}

package kernels

import "math"

// laneStage is a bound stage with its packed weights and what is kept from
// forward to backward, for all groups.
type laneStage struct {
	LaneStage
	conv Conv     // with the outputs that are needed alone
	in   laneMaps // padded
	full laneMaps // activated convolution, kept for averages
	mean laneMaps // averages, kept for subsampling
	arg  laneMaps // places of the maxima
	y    *laneMaps
	grad laneMaps // the shape of the convolution's gradient: with a border, or one piece in the first stage
	gOut laneMaps // the shape of gy

	h, w   int       // of the convolution, less what no window has
	pieces partition // of its rows, or rows of windows, in sums of gradients

	panels      []lanePanel // forward
	weights     []float32
	bias        []float32      // and behind them coefficients and shifts
	phases      [2][]lanePhase // backward data: of rows and of columns
	covered     bool           // every pixel of the input is reached by an output
	dataPanels  []lanePanel
	dataWeights []float32

	sums []float32 // [group][weights and biases][16]
}

// A lanePanel is outputs that one call of a micro-kernel computes, and where
// their weights begin.
type lanePanel struct{ first, outputs, at int }

// noBias is a bias that changes nothing: v + −0 is v, for −0 as well.
var noBias = func() (v [laneChannels]float32) {
	for i := range v {
		v[i] = float32(math.Copysign(0, -1))
	}
	return v
}()

// lanePiece is the greatest number of products in a piece of a gradient's sums, a
// row's apart: so few that g and the inputs of a piece stay in the first cache.
const lanePiece = 112

func newLaneStage(s LaneStage, first bool) *laneStage {
	c := s.Conv
	o, h, w := s.Out()
	st := &laneStage{LaneStage: s, conv: c, h: h, w: w}
	st.in = laneMaps{c: c.C, h: c.H, w: c.W, padH: c.PadH, padW: c.PadW}
	st.gOut = laneMaps{c: o, h: h, w: w}
	if s.Pooling != Unpooled {
		st.h, st.w = 2*h, 2*w
	}
	if st.averages() {
		st.full = laneMaps{c: o, h: st.h, w: st.w}
	}
	switch s.Pooling {
	case Subsampled:
		st.mean = laneMaps{c: o, h: h, w: w}
	case MaxPooled:
		st.arg = laneMaps{c: o, h: h, w: w}
	}
	if st.pooled() {
		st.pieces = newPartition(h, max(1, lanePiece/(2*st.w)))
	} else {
		st.pieces = newPartition(h, max(1, lanePiece/st.w))
	}
	st.grad = laneMaps{c: o, h: st.h, w: st.w, padH: 1, padW: 1}
	if first {
		st.grad = laneMaps{c: o, h: st.pieces.longest() * (st.h / h), w: st.w}
	}
	st.phases[0] = lanePhases(c.H, c.KH, c.StrideH, c.PadH, st.h)
	st.phases[1] = lanePhases(c.W, c.KW, c.StrideW, c.PadW, st.w)
	st.covered = allReached(st.phases[0]) && allReached(st.phases[1])
	return st
}

// gradient is the number of weights, biases, coefficients and shifts.
func (s *laneStage) gradient() int { return s.conv.Weights() + s.parameters() }

// pieceChannels is how many channels of a convolution's input, forward, or
// output, backward, make up a piece.
func (s *laneStage) pieceChannels() int { return piece / (s.conv.KH * s.conv.KW) }

// lanePanels divides outputs among calls of micro-kernels of at most that many;
// each output has some weights.
func lanePanels(panels []lanePanel, outputs, most, weights int) []lanePanel {
	panels = panels[:0]
	parts := newPartition(outputs, most)
	for i := range parts.parts {
		first, n := parts.part(i)
		panels = append(panels, lanePanel{first, n, first * weights})
	}
	return panels
}

// pack puts the weights in panels, [panel][c][kh][kw][o].
func (s *laneStage) pack(w []float32) {
	c := s.conv
	taps := c.C * c.KH * c.KW
	s.panels = lanePanels(s.panels, c.O, active.laneMost, taps)
	s.weights = grow(s.weights, len(w))
	for _, p := range s.panels {
		to := s.weights[p.at:]
		for o := range p.outputs {
			for k, f := range w[(p.first+o)*taps:][:taps] {
				to[k*p.outputs+o] = f
			}
		}
	}
}

// A lanePhase is the rows (or columns) of the input at one remainder modulo the
// stride: pixel i of them is row first + i·stride, and reached by outputs oh =
// from+i … from+i+taps−1 through the kernel's rows last, last−stride, ….
type lanePhase struct {
	first, stride, count int
	from, taps, last     int
	out                  int // rows of the output
}

func lanePhases(size, kernel, stride, pad, out int) []lanePhase {
	var phases []lanePhase
	for q := range stride {
		p := lanePhase{first: ((q-pad)%stride + stride) % stride, stride: stride, out: out}
		if p.first >= size {
			continue
		}
		p.count = (size - p.first + stride - 1) / stride
		if q < kernel {
			p.taps = (kernel - q + stride - 1) / stride
		}
		p.last = q + (p.taps-1)*stride
		p.from = (p.first+pad-q)/stride - p.taps + 1
		phases = append(phases, p)
	}
	return phases
}

// pair is the taps low to high that reach pixel i or i+1 of the phase.
func (p lanePhase) pair(i int) (low, high int) {
	at := p.from + i
	return max(0, -1-at), max(0, min(p.taps, p.out-at))
}

// allReached reports whether some output reaches each pair of pixels.
func allReached(phases []lanePhase) bool {
	for _, p := range phases {
		for i := 0; i < p.count; i += 2 {
			if low, high := p.pair(max(0, min(i, p.count-2))); low >= high {
				return false
			}
		}
	}
	return true
}

// packBackward puts the weights in panels of input channels for each pair of
// phases, [row phase][column phase][panel][o][tap row][tap column][c], taps in
// the order of the outputs that they come from.
func (s *laneStage) packBackward(w []float32) {
	c := s.conv
	s.dataPanels = lanePanels(s.dataPanels, c.C, active.laneMost, 0)
	s.dataWeights = grow(s.dataWeights, len(w))
	at := 0
	for _, ph := range s.phases[0] {
		for _, pw := range s.phases[1] {
			for _, p := range s.dataPanels {
				for o := range c.O {
					at = s.packTaps(at, w[o*c.C*c.KH*c.KW:], ph, pw, p)
				}
			}
		}
	}
}

func (s *laneStage) packTaps(at int, w []float32, ph, pw lanePhase, p lanePanel) int {
	c := s.conv
	for i := range ph.taps {
		for j := range pw.taps {
			tap := (ph.last-i*ph.stride)*c.KW + pw.last - j*pw.stride
			for ch := range p.outputs {
				s.dataWeights[at] = w[(p.first+ch)*c.KH*c.KW+tap]
				at++
			}
		}
	}
	return at
}

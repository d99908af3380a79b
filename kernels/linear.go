package kernels

// A FullyConnected is the plan of a fully connected layer: the memory that it
// works in, which grows to the largest batch seen and stays. It serves one caller
// at a time. Its weights [O][I] are up to 400 MB: each direction reads or writes
// them once, where they are, and packs them as a whole only if they are small. Examples are rows:
// x is [N][I], y [N][O].
//
// Each sum is cut at every 256th of its products, counted from the first: over i
// in Forward, o in BackwardData and a micro-batch's examples in BackwardWeights. A
// piece is one FMA chain from +0; the pieces are added in order to the bias, or
// else to the first of them.
type FullyConnected struct {
	s      Linear
	isa    *isa
	small  *correlation // for Forward, where the weights fit into a cache: then they are packed after all
	xt     []float32    // x in panels [n/cols][I][cols], zeros for missing examples
	packed []float32    // x in chunks [I/chunk][n][chunk] where its rows would be in each other's way in the cache
	tail   []float32    // [n][16]: what is left of x's rows after whole 16s, then a one
	leaves []treeLeaf   // of BackwardWeights' examples
	call   linearCall
}

// A linearCall is the arguments of one direction.
type linearCall struct {
	pool       *Pool
	n          int
	x, w, b, y []float32
	gy, gx     []float32
	low        float32
	cuts       []int
	gw, gb     []float32
	// How the work is divided into tasks.
	outputs, inputs, examples partition
}

// NewFullyConnected plans the layer s.
func NewFullyConnected(s Linear) *FullyConnected {
	must(s.Check())
	l := &FullyConnected{s: s, isa: active}
	if s.O >= 16 && s.Weights() <= smallWeights {
		l.small = newLinearCorrelation(s)
	}
	return l
}

// smallWeights is how many weights are packed, a quarter of a second level cache.
const smallWeights = 64 << 10

// newLinearCorrelation is Forward as a convolution of images of one pixel, cut as
// FullyConnected says.
func newLinearCorrelation(s Linear) *correlation {
	c := &correlation{
		isa: active, channels: s.I, outputs: s.O, kh: 1, kw: 1, inH: 1, inW: 1, strideH: 1, strideW: 1,
		rows: 1, width: 1, out: lattice{1, 1, 0, 0, 1, 1}, weights: weightOrder{output: s.I, channel: 1},
	}
	for i := 0; i < s.I; i += piece {
		c.pieces = append(c.pieces, kernelPiece{0, 1, i, min(piece, s.I-i)})
	}
	return c
}

// Bytes is the memory that the plan holds when it serves n examples.
func (l *FullyConnected) Bytes(n int) int {
	floats := l.packedFloats(n) + 16*n
	if l.small != nil {
		return 4 * (floats + l.small.floats())
	}
	return 4 * (floats + l.s.I*padded(n, l.isa.cols))
}

// Forward computes y[n][o] = b[o] + Σ w[o][i]·x[n][i] for n examples; relu gives
// max(0, y) instead. b is [O], or nil for none.
func (l *FullyConnected) Forward(p *Pool, n int, x, w, b []float32, relu bool, y []float32) {
	const op = "FullyConnected.Forward"
	length(op, "x", len(x), n*l.s.I)
	length(op, "w", len(w), l.s.Weights())
	length(op, "y", len(y), n*l.s.O)
	if b != nil {
		length(op, "b", len(b), l.s.O)
	}
	if n == 0 {
		return
	}
	low := noLow
	if relu {
		low = 0
	}
	if l.small != nil {
		l.small.pack(p, w)
		l.small.run(p, n, Maps{x, l.s.I}, Maps{y, l.s.O}, b, low, false)
		return
	}
	l.call = linearCall{pool: p, n: n, x: x, w: w, b: b, y: y, low: low}
	l.forward()
	l.call = linearCall{}
}

// BackwardData computes gx[n][i] = Σ gy[n][o]·w[o][i] for n examples.
func (l *FullyConnected) BackwardData(p *Pool, n int, gy, w, gx []float32) {
	const op = "FullyConnected.BackwardData"
	length(op, "gy", len(gy), n*l.s.O)
	length(op, "w", len(w), l.s.Weights())
	length(op, "gx", len(gx), n*l.s.I)
	if n == 0 {
		return
	}
	l.call = linearCall{pool: p, n: n, gy: gy, w: w, gx: gx}
	l.backwardData()
	l.call = linearCall{}
}

// BackwardWeights computes gw[o][i] = Σ gy[n][o]·x[n][i] and gb[o] = Σ gy[n][o]
// over each micro-batch's examples, from cuts[m] to cuts[m+1], and adds the
// micro-batches as tree.Sum does, those with cuts[m] == cuts[m+1] left out.
// len(cuts) is one more than a power of two, and there is at least one example.
// gb is nil where there is no bias.
func (l *FullyConnected) BackwardWeights(p *Pool, x, gy []float32, cuts []int, gw, gb []float32) {
	const op = "FullyConnected.BackwardWeights"
	n := lastCut(op, cuts)
	length(op, "x", len(x), n*l.s.I)
	length(op, "gy", len(gy), n*l.s.O)
	length(op, "gw", len(gw), l.s.Weights())
	if gb != nil {
		length(op, "gb", len(gb), l.s.O)
	}
	l.call = linearCall{pool: p, n: n, x: x, gy: gy, cuts: cuts, gw: gw, gb: gb}
	l.backwardWeights()
	l.call = linearCall{}
}

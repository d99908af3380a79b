package kernels

import "fmt"

// Activation is the function that follows a convolution of Lanes.
type Activation uint8

// Activations; each is that of the operation of the same name.
const (
	Identity Activation = iota
	ReLU
	Sigmoid
	Tanh
	ScaledTanh
)

// Pooling is what follows the activation in a stage of Lanes.
type Pooling uint8

// Poolings; windows are 2×2 at a stride of 2, and a last odd row or column is
// left out.
const (
	Unpooled Pooling = iota
	MaxPooled
	AveragePooled
	Subsampled
)

// A LaneStage is a convolution with what follows it.
type LaneStage struct {
	Conv       Conv
	Activation Activation
	Pooling    Pooling
	After      Activation // behind Subsampled
}

// Biases is how many numbers the stage adds and multiplies by beside the weights:
// the convolution's biases, one for each output, and behind them the coefficients
// and the shifts of Subsampled.
func (s LaneStage) Biases() int {
	if s.Pooling == Subsampled {
		return 3 * s.Conv.O
	}
	return s.Conv.O
}

// Limits of the stages that Lanes takes.
const (
	laneChannels = 16      // of the input and of the output
	laneFloats   = 1 << 14 // of what an example keeps in a stage: 1 MiB for all lanes
)

// Fits reports whether Lanes takes the stage: a question of one example's
// geometry alone. There are at most 16 channels on either side in one group, the
// kernel has at most 256 taps and a row of the output at most 256 pixels, and the padded input
// and the convolution of one example, or what a maximum leaves of it, are at most
// 16384 values, so that those of 16 examples stay in a second-level cache. From
// there on the direct algorithm is as fast.
func (s LaneStage) Fits() bool {
	c := s.Conv
	if c.Check() != nil || c.groups() > 1 || c.C > laneChannels || c.O > laneChannels || c.KH*c.KW > piece || c.OutW() > piece {
		return false
	}
	kept := c.Out()
	if s.Pooling == MaxPooled {
		kept /= 4
	}
	return c.C*(c.H+2*c.PadH)*(c.W+2*c.PadW)+kept <= laneFloats && (s.Pooling == Unpooled || c.OutH() >= 2 && c.OutW() >= 2)
}

// Out is the shape of one example's output, [O][H][W].
func (s LaneStage) Out() (o, h, w int) {
	h, w = s.Conv.OutH(), s.Conv.OutW()
	if s.Pooling != Unpooled {
		h, w = h/2, w/2
	}
	return s.Conv.O, h, w
}

// Lanes is a run of stages with few channels, from a network's images on, which
// computes 16 examples side by side: one in each lane of the vectors. A task is 16
// examples (a group) through all the stages, forward or backward, in the
// second-level cache; channels that are too few to fill a vector do not matter,
// nor do odd sizes of images. The layout, examples innermost, is
// that of Krizhevsky's cuda-convnet (2012).
//
// Forward computes, for each stage and example,
//
//	s[o][oh][ow] = Σ x[c][oh·StrideH+kh−PadH][ow·StrideW+kw−PadW] · w[o][c][kh][kw]
//
// over (c, kh, kw) in that order, zeros outside of the image counted in, in pieces
// of 256/(KH·KW) channels (rounded down). Then
//
//	unpooled:  y = act(s + b)
//	max:       y = act(m + b), m being the first maximum of the window
//	average:   y = ((a+b)+(c+d))/4 of the activated a, b, c, d of the window
//	subsample: y = after(4·coefficient·m + shift), m being that average
//
// (max before bias and activation is the same as after them but for ties that
// only rounding makes.) In a maximum a NaN counts as greater than anything.
//
// Backward takes the gradient gy of the last stage's y. In each stage, from the
// last on, the gradient g of the convolution before its bias is gy · act′(y), put
// to the place of the maximum or, a quarter of it, to the four pixels before act′;
// the gradient of a subsampled m is h·4·coefficient, h = gy · after′(y), and those
// of coefficient and shift are 4·Σ h·m and Σ h, products rounded, over each row of
// windows and then the rows in order; convolution outputs that no window has get none. For each example
//
//	gx[c][ih][iw] = Σ g[o][oh][ow] · w[o][c][kh][kw]
//	gw[o][c][kh][kw] = Σ g[o][oh][ow] · x[c][oh·StrideH+kh−PadH][ow·StrideW+kw−PadW]
//	gb[o] = Σ g[o][oh][ow]
//
// gx over (o, oh, ow) in that order, oh and ow being those that reach ih and iw or
// their neighbour, where g is taken as zero outside of the output (pixels of equal
// (ih+PadH) mod StrideH are neighbours two by two, an odd last one is with the one
// before it; likewise iw), in pieces of 256/(KH·KW) outputs; gw and gb over (oh,
// ow) in that order in pieces of 256/OutW rows, gb with max pooling over the
// windows instead. Then examples are added: of a micro-batch, example i goes to
// lane i mod 16, each lane is added in order, the lanes as a binary tree of 16 in
// which those without examples are left out, and the micro-batches as tree.Sum
// does. So the sums depend neither on which examples share a group nor on where a
// micro-batch stands in the block.
type Lanes struct {
	stages []*laneStage
	out    laneMaps // of the last stage
	groups []laneGroup
	micros []laneMicro
	n      int
	jobs   struct {
		pool   *Pool
		x, y   []float32
		gy     []float32
		gw, gb [][]float32
	}
}

// NewLanes returns a plan for stages all of which Fit, each taking what the one
// before it gives.
func NewLanes(stages []LaneStage) *Lanes {
	l := &Lanes{}
	for i, s := range stages {
		must(s.Conv.Check())
		if !s.Fits() {
			panic(fmt.Sprintf("kernels: Lanes: stage %d, %+v, does not fit", i, s))
		}
		c := s.Conv
		if i > 0 {
			o, h, w := stages[i-1].Out()
			if o != c.C || h != c.H || w != c.W {
				panic(fmt.Sprintf("kernels: Lanes: stage %d takes %d×%d×%d, the one before it gives %d×%d×%d", i, c.C, c.H, c.W, o, h, w))
			}
		}
		l.stages = append(l.stages, newLaneStage(s, i == 0))
	}
	if len(stages) == 0 {
		panic("kernels: Lanes of no stages")
	}
	o, h, w := stages[len(stages)-1].Out()
	l.out = laneMaps{c: o, h: h, w: w}
	return l
}

// Pack takes over the weights, canonical [O][C][KH][KW], of each stage, and with
// backward those that Backward needs.
func (l *Lanes) Pack(w [][]float32, backward bool) {
	length("Lanes.Pack", "w", len(w), len(l.stages))
	for i, s := range l.stages {
		length("Lanes.Pack", "w", len(w[i]), s.conv.Weights())
		s.pack(w[i])
		if backward && i > 0 {
			s.packBackward(w[i])
		}
	}
}

// Forward computes y, canonical [N][O][H][W] of the last stage, from the images x,
// [N][C][H][W], with the biases b of each stage. cuts are the boundaries of the
// micro-batches among the examples; what Backward needs is kept.
func (l *Lanes) Forward(p *Pool, cuts []int, x []float32, b [][]float32, y []float32) {
	const op = "Lanes.Forward"
	first := l.stages[0].conv
	n := lastCut(op, cuts)
	length(op, "x", len(x), n*first.In())
	length(op, "y", len(y), n*l.out.floats())
	length(op, "b", len(b), len(l.stages))
	for i, s := range l.stages {
		length(op, "b", len(b[i]), s.parameters())
		s.bias = append(s.bias[:0], b[i]...)
	}
	l.divide(cuts)
	l.reserve(p)
	l.jobs.pool, l.jobs.x, l.jobs.y = p, x, y
	p.run(len(l.groups), (*laneForward)(l))
	l.jobs.pool, l.jobs.x, l.jobs.y = nil, nil, nil
}

// Backward computes the gradients of the weights and biases of each stage from
// gy, the gradient of the y of the last Forward, whose examples and cuts it
// takes, as it takes the b of it. gw and gb are canonical.
func (l *Lanes) Backward(p *Pool, gy []float32, gw, gb [][]float32) {
	const op = "Lanes.Backward"
	length(op, "gy", len(gy), l.n*l.out.floats())
	length(op, "gw", len(gw), len(l.stages))
	length(op, "gb", len(gb), len(l.stages))
	for i, s := range l.stages {
		length(op, "gw", len(gw[i]), s.conv.Weights())
		length(op, "gb", len(gb[i]), s.parameters())
		s.sums = grow(s.sums, len(l.groups)*s.gradient()*lane)
	}
	small, large := l.backwardSizes()
	p.reserve(small + large)
	l.jobs.pool, l.jobs.gy = p, gy
	p.run(len(l.groups), (*laneBackward)(l))
	l.jobs.gw, l.jobs.gb = gw, gb
	p.reserve(l.reduceSpace())
	p.run(l.chunks(), (*laneReduce)(l))
	l.jobs.pool, l.jobs.gy, l.jobs.gw, l.jobs.gb = nil, nil, nil, nil
}

// Bytes is the memory that the plan holds for training on n examples.
func (l *Lanes) Bytes(n int) int {
	groups := (n + lane - 1) / lane
	per := l.out.floats()
	for _, s := range l.stages {
		per += s.in.floats() + s.full.floats() + s.mean.floats() + s.arg.floats() + s.gradient()
	}
	return 4 * lane * groups * per
}

// reserve makes the buffers of all groups.
func (l *Lanes) reserve(p *Pool) {
	groups := len(l.groups)
	for i, s := range l.stages {
		s.in.reserve(groups)
		s.full.reserve(groups)
		s.mean.reserve(groups)
		s.arg.reserve(groups)
		s.y = &l.out
		if i+1 < len(l.stages) {
			s.y = &l.stages[i+1].in
		}
	}
	l.out.reserve(groups)
	space := 0
	for _, s := range l.stages {
		space = max(space, s.forwardSpace())
	}
	p.reserve(space)
}

// laneThread is what one thread's tasks pass by address: the arguments of
// micro-kernels, and the maps of the gradients of one group.
type laneThread struct {
	tile    laneTile
	sum     laneSum
	windows laneWindows
	blocks  laneBlocks
	fold    laneFold
	rows    rows

	gy, gx, g laneMaps
}

package kernels

import "fmt"

// A Convolution is the plan of one convolution layer: its algorithm, chosen once
// by the geometry of one example, the packed weights, and the memory that it works
// in, which grows to the largest batch seen and stays. It serves one caller at a
// time.
//
// All algorithms take and give maps in NHWC order and weights in PyTorch's order
// [O][C/Groups][KH][KW]. x has a pitch of C unless the kernel is 1×1; y, gy and gx
// may be windows of wider maps. Sums are rounded as the algorithm's type says.
type Convolution struct {
	s Conv
	algorithm
}

// An algorithm computes the three directions of a convolution; lengths are
// checked already.
type algorithm interface {
	name() string
	pack(p *Pool, w []float32, backward bool)
	forward(p *Pool, n int, x Maps, b []float32, relu bool, y Maps)
	backwardData(p *Pool, n int, gy, gx Maps, add bool)
	backwardWeights(p *Pool, x, gy Maps, cuts []int, gw, gb []float32)
	bytes(cuts []int) int
}

// NewConvolution plans the convolution s; direct forbids the algorithms that
// transform their operands.
func NewConvolution(s Conv, direct bool) *Convolution {
	must(s.Check())
	choose := func(s Conv) algorithm { return chooseAlgorithm(s, direct) }
	return &Convolution{s, newGroups(s, choose)}
}

// chooseAlgorithm depends on the geometry of one example alone: every machine and
// every batch size has to make the same choice.
func chooseAlgorithm(s Conv, direct bool) algorithm {
	if !direct && winogradPays(s) {
		return newWinograd(s)
	}
	return newDirect(s)
}

// Algorithm names the algorithm for people.
func (c *Convolution) Algorithm() string { return c.name() }

// Bytes is the memory that the plan holds when it serves the micro-batches that
// cuts are the boundaries of.
func (c *Convolution) Bytes(cuts []int) int {
	lastCut("Convolution.Bytes", cuts)
	return c.bytes(cuts)
}

// Pack takes the weights [O][C/Groups][KH][KW] into the plan: for Forward, and for
// BackwardData if backward says so.
func (c *Convolution) Pack(p *Pool, w []float32, backward bool) {
	length("Convolution.Pack", "w", len(w), c.s.Weights())
	c.pack(p, w, backward)
}

// Forward computes, for each of n examples,
//
//	y[oh][ow][o] = b[o] + Σ x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW][c] · w[o][c][kh][kw]
//
// with the weights that Pack took, x being zero outside of the image; relu gives
// max(0, y) instead. b is [O], or nil for none. In groups, each is a convolution
// of its own: o and c are counted within the group, in all three directions.
func (c *Convolution) Forward(p *Pool, n int, x Maps, b []float32, relu bool, y Maps) {
	const op = "Convolution.Forward"
	c.checkInput(op, n, x)
	y.check(op, "y", n*c.s.OutH()*c.s.OutW(), c.s.O)
	if b != nil {
		length(op, "b", len(b), c.s.O)
	}
	c.forward(p, n, x, b, relu, y)
}

// BackwardData computes, for each of n examples, the gradient of the input from
// that of the output before the activation:
//
//	gx[ih][iw][c] = Σ gy[oh][ow][o] · w[o][c][kh][kw]
//
// over the o, kh and kw for which oh·StrideH = ih+PadH−kh and
// ow·StrideW = iw+PadW−kw have whole solutions, gy being zero outside of the
// output. add adds to what gx holds instead.
func (c *Convolution) BackwardData(p *Pool, n int, gy, gx Maps, add bool) {
	const op = "Convolution.BackwardData"
	gy.check(op, "gy", n*c.s.OutH()*c.s.OutW(), c.s.O)
	gx.check(op, "gx", n*c.s.H*c.s.W, c.s.C)
	c.backwardData(p, n, gy, gx, add)
}

// BackwardWeights computes the gradients of the weights and the bias, summed over
// the examples of a node of the tree of micro-batches: for micro-batch m, the
// examples from cuts[m] to cuts[m+1],
//
//	gw[o][c][kh][kw] = Σ gy[oh][ow][o] · x[oh·StrideH+kh−PadH][ow·StrideW+kw−PadW][c]
//	gb[o]            = Σ gy[oh][ow][o]
//
// then the micro-batches are added as tree.Sum does, those with cuts[m] ==
// cuts[m+1] left out. len(cuts) is one more than a power of two, and there is at
// least one example. gb is nil where there is no bias.
func (c *Convolution) BackwardWeights(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	const op = "Convolution.BackwardWeights"
	n := lastCut(op, cuts)
	c.checkInput(op, n, x)
	gy.check(op, "gy", n*c.s.OutH()*c.s.OutW(), c.s.O)
	length(op, "gw", len(gw), c.s.Weights())
	if gb != nil {
		length(op, "gb", len(gb), c.s.O)
	}
	c.backwardWeights(p, x, gy, cuts, gw, gb)
}

func (c *Convolution) checkInput(op string, n int, x Maps) {
	x.check(op, "x", n*c.s.H*c.s.W, c.s.C)
	if c.s.KH*c.s.KW > 1 && x.Pitch != c.s.C {
		panic(fmt.Sprintf("kernels: %s: x has a pitch of %d, want its %d channels alone under a kernel of %d×%d",
			op, x.Pitch, c.s.C, c.s.KH, c.s.KW))
	}
}

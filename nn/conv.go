package nn

import (
	"fmt"

	"convoy/kernels"
)

// Conv is a two-dimensional convolution (cross-correlation) with a bias, with
// weights [Out][C/Groups][Kernel][Kernel], or with a Table [connections][Kernel]
// [Kernel]. A ReLU right behind it is computed with it.
type Conv struct {
	Out    int // output channels
	Kernel int // height and width
	Stride int // unset: 1
	Pad    int // zeros added on every side
	// Groups divide the channels of the input and those of the output; a group of
	// the output sees its own group of the input alone (Krizhevsky et al., 2012,
	// section 3.5). Unset: 1.
	Groups int
	// Table says which channels of the input each output sees. Unset: all.
	Table Table
	Init  Init // unset: Xavier
}

func (l Conv) String() string {
	s := fmt.Sprintf("Conv %d, kernel %s%s", l.Out, square(l.Kernel), settings(l.Stride, 1, l.Pad))
	if l.Groups != 0 && l.Groups != 1 {
		s += fmt.Sprintf(", groups %d", l.Groups)
	}
	if l.Table != nil {
		s += ", by a table"
	}
	return s
}

func (Conv) kind() string { return "conv" }

// geometry is the kernels' shape.
func (l Conv) geometry(in Shape) kernels.Conv {
	stride := or(l.Stride, 1)
	return kernels.Conv{
		C: in.C, H: in.H, W: in.W, O: l.Out, KH: l.Kernel, KW: l.Kernel,
		StrideH: stride, StrideW: stride, PadH: l.Pad, PadW: l.Pad,
		Groups: l.Groups,
	}
}

// check reports what keeps the layer from inputs of a shape.
func (l Conv) check(in Shape) error {
	if err := l.geometry(in).Check(); err != nil || l.Table == nil {
		return err
	}
	if or(l.Groups, 1) != 1 {
		return fmt.Errorf("it has %d groups and a table: give one of them", l.Groups)
	}
	return l.Table.check(in.C, l.Out)
}

// convParams are the windows of the weights and the bias, and the connections
// where not all kernels are parameters.
type convParams struct {
	weights, bias window
	table         *connections
}

func (l Conv) params(b *binder, in Shape) (p convParams) {
	k, groups := l.Kernel*l.Kernel, or(l.Groups, 1)
	c, out := in.C/groups, l.Out/groups
	w, z := l.Init.of(c*k, out*k)
	if l.Table != nil {
		p.table, w = l.Table.connect(l.Out, k, l.Init)
		p.weights = b.param("weight", w, len(p.table.kernels), l.Kernel, l.Kernel)
	} else {
		p.weights = b.param("weight", w, l.Out, c, l.Kernel, l.Kernel)
	}
	p.bias = b.param("bias", z, l.Out)
	return p
}

// kernels are the weights that the kernels compute with.
func (p *convParams) kernels(params []float32) []float32 {
	w := p.weights.of(params)
	if p.table != nil {
		return p.table.expand(w)
	}
	return w
}

// gradient is where the kernels write the gradient of the weights, and gathered
// puts it where it belongs.
func (p *convParams) gradient(grad []float32) []float32 {
	if p.table != nil {
		return p.table.grad
	}
	return p.weights.of(grad)
}

func (p *convParams) gathered(grad []float32) {
	if p.table != nil {
		p.table.gather(p.weights.of(grad))
	}
}

// macs is the number of multiplications of connected kernels, of a convolution s.
func (p *convParams) macs(s kernels.Conv) int {
	if p.table != nil {
		return p.weights.size() * s.OutH() * s.OutW()
	}
	return s.FLOPs() / 2
}

func (l Conv) bind(b *binder, in Shape) (operator, error) {
	if err := l.check(in); err != nil {
		return nil, err
	}
	s := l.geometry(in)
	if l.covers(s) && !b.options.Direct {
		return l.bindWhole(b, in, s)
	}
	c := &conv{s: s, plan: kernels.NewConvolution(s, b.options.Direct), below: b.below, convParams: l.params(b, in)}
	b.packers = append(b.packers, c)
	return c, nil
}

type conv struct {
	s    kernels.Conv
	plan *kernels.Convolution
	convParams
	below  bool // the gradient of the input is wanted
	relu   bool // the output is ReLU's
	masked bool // its gradient is ReLU's already
}

func (c *conv) out() Shape         { return Shape{c.s.O, c.s.OutH(), c.s.OutW()} }
func (c *conv) macs() int          { return c.convParams.macs(c.s) }
func (c *conv) algorithm() string  { return c.plan.Algorithm() }
func (c *conv) window() (int, int) { return c.s.KH, c.s.StrideH }

func (c *conv) memory(cuts []int) (packed, activations int) {
	return c.plan.Bytes(cuts) + c.table.bytes(), 0
}

func (c *conv) traits() traits {
	t := traits{windows: true, adds: true}
	if c.relu && !c.masked {
		t.needs = signs
	}
	return t
}

func (c *conv) fuse(l Layer) bool {
	_, relu := l.(ReLU)
	fuses := relu && !c.relu
	c.relu = c.relu || fuses
	return fuses
}

func (c *conv) pack(r *run) { c.plan.Pack(r.pool, c.kernels(r.params), r.training && c.below) }

func (c *conv) forward(r *run, x, y kernels.Maps) {
	c.plan.Forward(r.pool, r.n, x, c.bias.of(r.params), c.relu, y)
}

func (c *conv) backward(r *run, x, y, gy, gx kernels.Maps, add bool) {
	if c.relu && !c.masked {
		kernels.ReLUBackward(r.pool, r.n*c.out().pixels(), c.s.O, y, gy, gy)
	}
	c.plan.BackwardWeights(r.pool, x, gy, r.cuts, c.gradient(r.grad), c.bias.of(r.grad))
	c.gathered(r.grad)
	if c.below {
		c.plan.BackwardData(r.pool, r.n, gy, gx, add)
	}
}

package nn

import (
	"fmt"

	"convoy/kernels"
)

// Conv is a two-dimensional convolution (cross-correlation) with a bias, with
// weights [Out][C/Groups][Kernel][Kernel]. A ReLU right behind it is computed with
// it.
type Conv struct {
	Out    int // output channels
	Kernel int // height and width
	Stride int // unset: 1
	Pad    int // zeros added on every side
	// Groups divide the channels of the input and those of the output; a group of
	// the output sees its own group of the input alone (Krizhevsky et al., 2012,
	// section 3.5). Unset: 1.
	Groups int
	Init   Init // unset: Xavier
}

func (l Conv) String() string {
	s := fmt.Sprintf("Conv %d, kernel %s%s", l.Out, square(l.Kernel), settings(l.Stride, 1, l.Pad))
	if l.Groups != 0 && l.Groups != 1 {
		s += fmt.Sprintf(", groups %d", l.Groups)
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

// params takes the windows of the weights and the bias.
func (l Conv) params(b *binder, in Shape) (weights, bias window) {
	k, groups := l.Kernel*l.Kernel, or(l.Groups, 1)
	c, out := in.C/groups, l.Out/groups
	w, z := l.Init.of(c*k, out*k)
	return b.param("weight", w, l.Out, c, l.Kernel, l.Kernel), b.param("bias", z, l.Out)
}

func (l Conv) bind(b *binder, in Shape) (operator, error) {
	s := l.geometry(in)
	if err := s.Check(); err != nil {
		return nil, err
	}
	c := &conv{s: s, plan: kernels.NewConvolution(s, b.options.Direct), below: b.below}
	c.weights, c.bias = l.params(b, in)
	b.packers = append(b.packers, c)
	return c, nil
}

type conv struct {
	s             kernels.Conv
	plan          *kernels.Convolution
	weights, bias window
	below         bool // the gradient of the input is wanted
	relu          bool // the output is ReLU's
	masked        bool // its gradient is ReLU's already
}

func (c *conv) out() Shape         { return Shape{c.s.O, c.s.OutH(), c.s.OutW()} }
func (c *conv) macs() int          { return c.s.FLOPs() / 2 }
func (c *conv) algorithm() string  { return c.plan.Algorithm() }
func (c *conv) window() (int, int) { return c.s.KH, c.s.StrideH }

func (c *conv) memory(cuts []int) (packed, activations int) { return c.plan.Bytes(cuts), 0 }

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

func (c *conv) pack(r *run) { c.plan.Pack(r.pool, c.weights.of(r.params), r.training && c.below) }

func (c *conv) forward(r *run, x, y kernels.Maps) {
	c.plan.Forward(r.pool, r.n, x, c.bias.of(r.params), c.relu, y)
}

func (c *conv) backward(r *run, x, y, gy, gx kernels.Maps, add bool) {
	if c.relu && !c.masked {
		kernels.ReLUBackward(r.pool, r.n*c.out().pixels(), c.s.O, y, gy, gy)
	}
	c.plan.BackwardWeights(r.pool, x, gy, r.cuts, c.weights.of(r.grad), c.bias.of(r.grad))
	if c.below {
		c.plan.BackwardData(r.pool, r.n, gy, gx, add)
	}
}

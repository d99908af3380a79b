package nn

import (
	"fmt"

	"convoy/kernels"
)

// Conv is a two-dimensional convolution (cross-correlation) with a bias, with
// weights [Out][C][Kernel][Kernel]. Weights begin by Xavier, biases at 0.
type Conv struct {
	Out    int // output channels
	Kernel int // height and width
	Stride int // unset: 1
	Pad    int // zeros added on every side
}

func (l Conv) String() string {
	return fmt.Sprintf("Conv %d, kernel %s%s", l.Out, square(l.Kernel), settings(l.Stride, 1, l.Pad))
}

func (l Conv) bind(b *binder, in Shape) (operator, error) {
	stride := or(l.Stride, 1)
	s := kernels.Conv{
		C: in.C, H: in.H, W: in.W, O: l.Out, KH: l.Kernel, KW: l.Kernel,
		StrideH: stride, StrideW: stride, PadH: l.Pad, PadW: l.Pad,
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	k := l.Kernel * l.Kernel
	return &conv{
		s:       s,
		weights: b.param("weight", xavier(in.C*k, l.Out*k), l.Out, in.C, l.Kernel, l.Kernel),
		bias:    b.param("bias", zeros, l.Out),
	}, nil
}

type conv struct {
	s             kernels.Conv
	weights, bias window
	x, y, gx      []float32
}

func (c *conv) out() Shape   { return Shape{c.s.O, c.s.OutH(), c.s.OutW()} }
func (c *conv) learns() bool { return true }
func (c *conv) macs() int    { return c.s.FLOPs() / 2 }

func (c *conv) forward(r *run, x []float32) []float32 {
	c.x, c.y = x, grown(c.y, r.n*c.s.Out())
	kernels.ConvForward(r.pool, c.s, x, c.weights.of(r.params), c.bias.of(r.params), c.y)
	return c.y
}

func (c *conv) backward(r *run, gy []float32, wantInput bool) []float32 {
	kernels.ConvBackwardWeights(r.pool, c.s, c.x, gy, r.cuts, c.weights.of(r.grad), c.bias.of(r.grad))
	if !wantInput {
		return nil
	}
	c.gx = grown(c.gx, r.n*c.s.In())
	kernels.ConvBackwardData(r.pool, c.s, gy, c.weights.of(r.params), c.gx)
	return c.gx
}

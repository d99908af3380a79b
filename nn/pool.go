package nn

import "convoy/kernels"

// MaxPool takes the maximum of each window; what lies outside of the image never
// is one, and of equals the first in row-major order gets the gradient.
type MaxPool struct {
	Kernel int // height and width
	Stride int // unset: Kernel
	Pad    int // on every side, at most half the kernel
}

func (l MaxPool) String() string {
	return "MaxPool " + square(l.Kernel) + settings(l.Stride, l.Kernel, l.Pad)
}

func (MaxPool) kind() string { return "maxpool" }

func (l MaxPool) bind(_ *binder, in Shape) (operator, error) {
	s := pooling(in, l.Kernel, l.Stride, l.Pad)
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &maxPool{s: s}, nil
}

// pooling is the kernels' shape for square windows.
func pooling(in Shape, kernel, stride, pad int) kernels.Pool2D {
	stride = or(stride, kernel)
	return kernels.Pool2D{
		C: in.C, H: in.H, W: in.W, KH: kernel, KW: kernel,
		StrideH: stride, StrideW: stride, PadH: pad, PadW: pad, CountPad: true,
	}
}

type maxPool struct {
	s   kernels.Pool2D
	arg []uint8
}

func (m *maxPool) out() Shape         { return Shape{m.s.C, m.s.OutH(), m.s.OutW()} }
func (m *maxPool) window() (int, int) { return m.s.KH, m.s.StrideH }

func (m *maxPool) traits() traits { return traits{windows: true, adds: true} }

func (m *maxPool) memory(cuts []int) (packed, activations int) {
	return 0, cuts[len(cuts)-1] * m.s.Out()
}

// takeReLU takes the derivative of the ReLU of the convolution before: where a
// window's maximum is ReLU's 0, no gradient passes.
func (m *maxPool) takeReLU(previous operator) {
	if c, ok := previous.(*conv); ok && c.relu {
		m.s.ReLU, c.masked = true, true
	}
}

func (m *maxPool) forward(r *run, x, y kernels.Maps) {
	var arg []uint8
	if r.training {
		m.arg = grown(m.arg, r.n*m.s.Out())
		arg = m.arg
	}
	kernels.MaxPoolForward(r.pool, m.s, r.n, x, y, arg)
}

func (m *maxPool) backward(r *run, _, _, gy, gx kernels.Maps, add bool) {
	if gx.V != nil {
		kernels.MaxPoolBackward(r.pool, m.s, r.n, gy, m.arg, gx, add)
	}
}

// AvgPool takes the mean of each window, zeros outside of the image counted in.
type AvgPool struct {
	Kernel int // height and width
	Stride int // unset: Kernel
	Pad    int // zeros on every side, at most half the kernel
}

func (l AvgPool) String() string {
	return "AvgPool " + square(l.Kernel) + settings(l.Stride, l.Kernel, l.Pad)
}

func (AvgPool) kind() string { return "avgpool" }

func (l AvgPool) bind(_ *binder, in Shape) (operator, error) {
	s := pooling(in, l.Kernel, l.Stride, l.Pad)
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &avgPool{s: s}, nil
}

// GlobalAvgPool takes the mean of each channel and gives a flat vector (Lin,
// Chen and Yan, "Network in network", 2014).
type GlobalAvgPool struct{}

func (GlobalAvgPool) String() string { return "GlobalAvgPool" }
func (GlobalAvgPool) kind() string   { return "gap" }

func (GlobalAvgPool) bind(_ *binder, in Shape) (operator, error) {
	s := kernels.Pool2D{C: in.C, H: in.H, W: in.W, KH: in.H, KW: in.W, StrideH: 1, StrideW: 1}
	return &avgPool{s: s}, s.Check()
}

type avgPool struct{ s kernels.Pool2D }

func (a *avgPool) out() Shape         { return Shape{a.s.C, a.s.OutH(), a.s.OutW()} }
func (a *avgPool) traits() traits     { return traits{windows: true, adds: true} }
func (a *avgPool) window() (int, int) { return max(a.s.KH, a.s.KW), a.s.StrideH }

func (a *avgPool) forward(r *run, x, y kernels.Maps) {
	kernels.AvgPoolForward(r.pool, a.s, r.n, x, y)
}

func (a *avgPool) backward(r *run, _, _, gy, gx kernels.Maps, add bool) {
	if gx.V != nil {
		kernels.AvgPoolBackward(r.pool, a.s, r.n, gy, gx, add)
	}
}

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
	s     kernels.Pool2D
	y, gx []float32
	arg   []int32
}

func (m *maxPool) out() Shape   { return Shape{m.s.C, m.s.OutH(), m.s.OutW()} }
func (m *maxPool) learns() bool { return false }

func (m *maxPool) forward(r *run, x []float32) []float32 {
	m.y, m.arg = grown(m.y, r.n*m.s.Out()), grown(m.arg, r.n*m.s.Out())
	kernels.MaxPoolForward(r.pool, m.s, x, m.y, m.arg)
	return m.y
}

func (m *maxPool) backward(r *run, gy []float32, wantInput bool) []float32 {
	if !wantInput {
		return nil
	}
	m.gx = grown(m.gx, r.n*m.s.In())
	kernels.MaxPoolBackward(r.pool, m.s, gy, m.arg, m.gx)
	return m.gx
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

func (GlobalAvgPool) bind(_ *binder, in Shape) (operator, error) {
	s := kernels.Pool2D{C: in.C, H: in.H, W: in.W, KH: in.H, KW: in.W, StrideH: 1, StrideW: 1}
	return &avgPool{s: s}, s.Check()
}

type avgPool struct {
	s     kernels.Pool2D
	y, gx []float32
}

func (a *avgPool) out() Shape   { return Shape{a.s.C, a.s.OutH(), a.s.OutW()} }
func (a *avgPool) learns() bool { return false }

func (a *avgPool) forward(r *run, x []float32) []float32 {
	a.y = grown(a.y, r.n*a.s.Out())
	kernels.AvgPoolForward(r.pool, a.s, x, a.y)
	return a.y
}

func (a *avgPool) backward(r *run, gy []float32, wantInput bool) []float32 {
	if !wantInput {
		return nil
	}
	a.gx = grown(a.gx, r.n*a.s.In())
	kernels.AvgPoolBackward(r.pool, a.s, gy, a.gx)
	return a.gx
}

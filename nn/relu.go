package nn

import "convoy/kernels"

// ReLU is max(x, 0); its gradient at 0 is 0.
type ReLU struct{}

func (ReLU) String() string { return "ReLU" }

func (ReLU) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{shape: in, f: kernels.ReLUForward, df: kernels.ReLUBackward}, nil
}

// elementwise is a function of each value whose derivative its result gives.
type elementwise struct {
	shape   Shape
	f       func(p *kernels.Pool, x, y []float32)
	df      func(p *kernels.Pool, y, gy, gx []float32)
	inPlace bool // nobody else needs x: write over it
	y       []float32
}

func (e *elementwise) out() Shape   { return e.shape }
func (e *elementwise) learns() bool { return false }

func (e *elementwise) forward(r *run, x []float32) []float32 {
	if e.inPlace {
		e.y = x
	} else {
		e.y = grown(e.y, len(x))
	}
	e.f(r.pool, x, e.y)
	return e.y
}

func (e *elementwise) backward(r *run, gy []float32, wantInput bool) []float32 {
	if !wantInput {
		return nil
	}
	e.df(r.pool, e.y, gy, gy)
	return gy
}

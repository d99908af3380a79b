package nn

import "convoy/kernels"

// ReLU is max(x, 0); its gradient at 0 is 0.
type ReLU struct{}

func (ReLU) String() string { return "ReLU" }
func (ReLU) kind() string   { return "relu" }

func (ReLU) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{in, signs, kernels.ReLUForward, kernels.ReLUBackward}, nil
}

// elementwise is a function of each value whose derivative its result gives.
type elementwise struct {
	shape Shape
	needs need // of its result
	f     func(p *kernels.Pool, pixels, c int, x, y kernels.Maps)
	df    func(p *kernels.Pool, pixels, c int, y, gy, gx kernels.Maps)
}

func (e *elementwise) out() Shape { return e.shape }

func (e *elementwise) traits() traits {
	return traits{windows: true, inPlace: true, needs: e.needs, keepsSigns: e.needs == signs}
}

func (e *elementwise) forward(r *run, x, y kernels.Maps) {
	e.f(r.pool, r.n*e.shape.pixels(), e.shape.C, x, y)
}

func (e *elementwise) backward(r *run, _, y, gy, gx kernels.Maps, _ bool) {
	if gx.V != nil {
		e.df(r.pool, r.n*e.shape.pixels(), e.shape.C, y, gy, gx)
	}
}

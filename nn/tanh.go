package nn

import "convoy/kernels"

// Tanh is the hyperbolic tangent.
type Tanh struct{}

func (Tanh) String() string { return "Tanh" }
func (Tanh) kind() string   { return "tanh" }

func (Tanh) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{in, values, kernels.TanhForward, kernels.TanhBackward}, nil
}

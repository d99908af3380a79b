package nn

import "convoy/kernels"

// Sigmoid is 1/(1+e⁻ˣ).
type Sigmoid struct{}

func (Sigmoid) String() string { return "Sigmoid" }

func (Sigmoid) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{shape: in, f: kernels.SigmoidForward, df: kernels.SigmoidBackward}, nil
}

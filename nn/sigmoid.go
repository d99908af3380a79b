package nn

import "convoy/kernels"

// Sigmoid is 1/(1+e⁻ˣ).
type Sigmoid struct{}

func (Sigmoid) String() string { return "Sigmoid" }
func (Sigmoid) kind() string   { return "sigmoid" }

func (Sigmoid) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{in, values, kernels.SigmoidForward, kernels.SigmoidBackward}, nil
}

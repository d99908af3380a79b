package nn

import "convoy/kernels"

// ScaledTanh is 1.7159·tanh(2x/3), the squashing function of LeCun, Bottou, Bengio
// and Haffner, "Gradient-based learning applied to document recognition", 1998,
// appendix A.
type ScaledTanh struct{}

func (ScaledTanh) String() string { return "ScaledTanh" }
func (ScaledTanh) kind() string   { return "scaled_tanh" }

func (ScaledTanh) bind(_ *binder, in Shape) (operator, error) {
	return &elementwise{in, values, kernels.ScaledTanhForward, kernels.ScaledTanhBackward}, nil
}

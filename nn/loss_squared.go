package nn

import "convoy/kernels"

// SquaredDistance is the squared Euclidean distance of what the network says to
// the label's target. Behind an RBF layer that is the distance of the layer's
// input to the label's code, the layer's output for the label (LeCun et al., 1998,
// equation 8, called the mean squared error there), and the least output answers.
// Otherwise the target is 1 for the label's output and 0 for the others, and the
// greatest output answers.
type SquaredDistance struct{}

func (SquaredDistance) String() string { return "squared-distance" }

func (SquaredDistance) bind(end operator) (lossFunc, error) {
	if penalises(end) {
		return kernels.RightPenalty, nil
	}
	return kernels.SquaredDistance, nil
}

package nn

import (
	"errors"

	"convoy/kernels"
)

// Discriminative is the criterion of LeCun et al., 1998, equation 9, for a network
// that ends in an RBF layer: the penalty of the label's class, plus the logarithm
// of Σ e⁻ʸ over the penalties y of all classes and of rubbish
// (kernels.RubbishPenalty), which pushes the others up. The least penalty answers.
// It is the loss of such a network.
type Discriminative struct{}

func (Discriminative) String() string { return "rbf" }

func (Discriminative) bind(end operator) (lossFunc, error) {
	if !penalises(end) {
		return nil, errors.New("it compares the penalties of an RBF layer, which the network does not end in: choose cross-entropy or squared-distance")
	}
	return kernels.DiscriminativePenalty, nil
}

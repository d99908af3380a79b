package nn

import (
	"fmt"

	"convoy/kernels"
)

// A Loss is what training makes small, and with it how the outputs of a network
// answer. What a Loss gives is of one example; Pass adds it up.
type Loss interface {
	// bind returns the kernel for a network whose last operator is end, or says
	// why the loss does not go with it.
	bind(end operator) (lossFunc, error)
	// String names the loss, as a job file writes it.
	String() string
}

// A lossFunc is a kernel such as kernels.SoftmaxCrossEntropy.
type lossFunc func(p *kernels.Pool, classes int, y []float32, labels []int32, losses []float64, gy []float32) kernels.Hits

// penalises reports whether the outputs are penalties, which an RBF layer gives:
// the least one is the answer.
func penalises(end operator) bool {
	_, ok := end.(*rbf)
	return ok
}

// bindLoss binds l, or what a network that ends so is trained with where l is nil.
func bindLoss(l Loss, end operator) (Loss, lossFunc, error) {
	if l == nil {
		l = CrossEntropy{}
		if penalises(end) {
			l = Discriminative{}
		}
	}
	f, err := l.bind(end)
	if err != nil {
		return nil, nil, fmt.Errorf("loss %s: %w", l, err)
	}
	return l, f, nil
}

// CrossEntropy is that of the softmax of the outputs, in natural logarithms. The
// greatest output answers. It is the loss of a network that ends in logits.
type CrossEntropy struct{}

func (CrossEntropy) String() string { return "cross-entropy" }

func (l CrossEntropy) bind(end operator) (lossFunc, error) {
	if penalises(end) {
		return nil, fmt.Errorf("the network ends in an RBF layer, whose outputs are penalties: choose %s or %s", Discriminative{}, SquaredDistance{})
	}
	return kernels.SoftmaxCrossEntropy, nil
}

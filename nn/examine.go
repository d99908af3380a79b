package nn

import (
	"fmt"

	"convoy/kernels"
)

// Examine computes what Evaluate adds up, one example at a time: images are
// [N][C][H][W]; it writes the N losses and the scores, [N][Classes], with the bits
// that Evaluate's sums are made of. A score is the class's output, or less its
// output where outputs are penalties: the greatest, the first of equals, answers,
// and the softmax of the scores are the classes' probabilities (for penalties,
// those of equation 9 in LeCun et al., 1998, without the class of rubbish).
// labels may be nil where the losses are not wanted; losses is nil then too.
func (p *Pass) Examine(params, images []float32, labels []int32, losses []float64, scores []float32) {
	size, classes := p.net.in.Len(), p.net.Classes()
	n := len(scores) / classes
	if len(params) != p.net.params || len(images) != n*size || len(scores) != n*classes || len(labels) != len(losses) || labels != nil && len(labels) != n {
		panic(fmt.Sprintf("nn: examine %d parameters, images of %d values, %d labels, %d losses and %d scores of %d classes, want %d and %v each",
			len(params), len(images), len(labels), len(losses), len(scores), classes, p.net.params, p.net.in))
	}
	if labels == nil {
		labels, losses = make([]int32, n), make([]float64, n)
	}
	p.begin(params, false)
	for low := 0; low < n; low += p.piece {
		high := min(low+p.piece, n)
		p.forward(images[low*size:high*size], labels[low:high], losses[low:high], nil)
		copy(scores[low*classes:], p.logits[:(high-low)*classes])
	}
	p.run.params = nil
	if penalises(p.op.links[len(p.op.links)-1].op) {
		for i := range scores {
			scores[i] = -scores[i]
		}
	}
}

// SumLosses adds the examples' losses of a whole step up as its row in the ledger
// has them: in each micro-batch in the order of the examples, then in the tree.
// cuts are those of Batch.
func SumLosses(losses []float64, cuts []int) float64 {
	p := &Pass{losses: losses}
	return p.sums(kernels.Hits{}, cuts).Loss
}

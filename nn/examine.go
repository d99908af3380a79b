package nn

import (
	"fmt"

	"convoy/kernels"
)

// Examine computes what Evaluate adds up, one example at a time: images are
// [N][C][H][W]; it writes the N losses and the logits, [N][Classes], with the bits
// that Evaluate's sums are made of. labels may be nil where the losses are not
// wanted; losses is nil then too.
func (p *Pass) Examine(params, images []float32, labels []int32, losses []float64, logits []float32) {
	size, classes := p.net.in.Len(), p.net.Classes()
	n := len(logits) / classes
	if len(params) != p.net.params || len(images) != n*size || len(logits) != n*classes || len(labels) != len(losses) || labels != nil && len(labels) != n {
		panic(fmt.Sprintf("nn: examine %d parameters, images of %d values, %d labels, %d losses and %d logits of %d classes, want %d and %v each",
			len(params), len(images), len(labels), len(losses), len(logits), classes, p.net.params, p.net.in))
	}
	if labels == nil {
		labels, losses = make([]int32, n), make([]float64, n)
	}
	p.begin(params, false)
	for low := 0; low < n; low += p.piece {
		high := min(low+p.piece, n)
		p.forward(images[low*size:high*size], labels[low:high], losses[low:high], nil)
		copy(logits[low*classes:], p.logits[:(high-low)*classes])
	}
	p.run.params = nil
}

// SumLosses adds the examples' losses of a whole step up as its row in the ledger
// has them: in each micro-batch in the order of the examples, then in the tree.
// cuts are those of Batch.
func SumLosses(losses []float64, cuts []int) float64 {
	p := &Pass{losses: losses}
	return p.sums(kernels.Hits{}, cuts).Loss
}

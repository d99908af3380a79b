package nn

import (
	"fmt"
	"iter"

	"convoy/kernels"
)

// An evaluation computes at most so many examples at once, and fewer where their
// values would take more than so much memory. An example's loss depends on that
// example alone, so it changes no bits.
const (
	evaluationPiece = 128
	evaluationBytes = 256 << 20
)

// Piece is how many examples an evaluation computes at once.
func (p *Pass) Piece() int { return p.piece }

// Evaluate computes the sums that Gradient would without dropout, and without
// the gradient.
func (p *Pass) Evaluate(params []float32, b Batch) Sums {
	n := p.check(params, b)
	p.begin(params, false)
	p.losses = grown(p.losses, n)
	hits := p.evaluate(b.Images, b.Labels, p.losses)
	p.run.params = nil
	return p.sums(hits, b.Cuts)
}

// EvaluateBlocks is Evaluate for more examples than should be in memory at once:
// blocks yields them in order, some images [N][C][H][W] and their labels at a
// time. They add up to as many examples as cuts, which are those of Batch, divide.
func (p *Pass) EvaluateBlocks(params []float32, cuts []int, blocks iter.Seq2[[]float32, []int32]) Sums {
	n := cuts[len(cuts)-1]
	p.checkCuts(params, cuts, n)
	p.begin(params, false)
	p.losses = grown(p.losses, n)
	var hits kernels.Hits
	at, size := 0, p.net.in.Len()
	for images, labels := range blocks {
		end := at + len(labels)
		if end > n || len(images) != len(labels)*size {
			panic(fmt.Sprintf("nn: a block of %d labels and %d values after %d of %d examples, want %v each", len(labels), len(images), at, n, p.net.in))
		}
		hits.Add(p.evaluate(images, labels, p.losses[at:end]))
		at = end
	}
	if at != n {
		panic(fmt.Sprintf("nn: blocks of %d examples, the cuts divide %d", at, n))
	}
	p.run.params = nil
	return p.sums(hits, cuts)
}

// evaluate computes the losses of some examples, a piece at a time.
func (p *Pass) evaluate(images []float32, labels []int32, losses []float64) (hits kernels.Hits) {
	size := p.net.in.Len()
	for low := 0; low < len(labels); low += p.piece {
		high := min(low+p.piece, len(labels))
		hits.Add(p.forward(images[low*size:high*size], labels[low:high], losses[low:high], nil))
	}
	return hits
}

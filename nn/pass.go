package nn

import (
	"fmt"

	"convoy/kernels"
	"convoy/tree"
)

// Batch is the examples of one node of the tree of micro-batches.
type Batch struct {
	Images []float32 // [N][C][H][W]
	Labels []int32   // [N], from 0 to Classes−1
	// Cuts are the boundaries of the node's micro-batches among the examples:
	// micro-batch m is examples Cuts[m] to Cuts[m+1], and absent where the two
	// are equal. Cuts[0] = 0, the last is N, and there is a power of two of them
	// and one.
	Cuts []int
}

// Sums is what is added up over examples beside the gradient.
type Sums struct {
	Loss     float64 // cross-entropy, natural logarithm
	Correct  int     // the greatest logit is the label's
	Examples int
}

// run is what operators share during one pass.
type run struct {
	pool         *kernels.Pool
	params, grad []float32
	n            int // examples
	cuts         []int
}

// Pass computes with a network, keeping the buffers: they grow to the largest
// batch and stay. It serves one caller at a time.
type Pass struct {
	net    *Net
	op     operator
	run    run
	losses []float64
	gy     []float32
}

// NewPass returns a Pass that computes on pool. Several may share one pool, but
// not at a time.
func (n *Net) NewPass(pool *kernels.Pool) *Pass {
	var b binder
	op, err := n.model.bind(&b, n.in)
	if err != nil {
		panic("nn: a network that was built does not bind: " + err.Error())
	}
	return &Pass{net: n, op: op, run: run{pool: pool}}
}

// Gradient computes the sums over the node's examples and overwrites grad with
// the sum of their gradients, not divided by anything: each micro-batch's is
// summed on its own, then the micro-batches are added in tree order, so that
// the node's two halves, computed apart and added, give the same bits. params
// and grad are NumParams long. A batch without examples gives the zero Sums and
// leaves grad alone: such a node is left out of the tree.
func (p *Pass) Gradient(params []float32, b Batch, grad []float32) Sums {
	n := p.check(params, b)
	if len(grad) != p.net.params {
		panic(fmt.Sprintf("nn: a gradient of %d elements, want %d", len(grad), p.net.params))
	}
	if n == 0 {
		return Sums{}
	}
	p.run.params, p.run.grad, p.run.cuts = params, grad, b.Cuts
	p.gy = grown(p.gy, n*p.net.Classes())
	p.losses = grown(p.losses, n)
	correct := p.forward(b.Images, b.Labels, p.losses, p.gy)
	p.op.backward(&p.run, p.gy, false)
	p.run.params, p.run.grad, p.run.cuts = nil, nil, nil
	return p.sums(correct, b.Cuts)
}

// evaluationPiece is how many examples Evaluate computes at once. An example's
// loss depends on that example alone, so it changes no bits.
const evaluationPiece = 128

// Evaluate computes the sums that Gradient would, without the gradient, in
// memory for 128 examples.
func (p *Pass) Evaluate(params []float32, b Batch) Sums {
	n := p.check(params, b)
	p.run.params = params
	p.losses = grown(p.losses, n)
	correct, size := 0, p.net.in.Len()
	for low := 0; low < n; low += evaluationPiece {
		high := min(low+evaluationPiece, n)
		correct += p.forward(b.Images[low*size:high*size], b.Labels[low:high], p.losses[low:high], nil)
	}
	p.run.params = nil
	return p.sums(correct, b.Cuts)
}

// forward computes the losses of some examples and, where gy is not nil, the
// gradients of their logits.
func (p *Pass) forward(images []float32, labels []int32, losses []float64, gy []float32) (correct int) {
	p.run.n = len(labels)
	logits := p.op.forward(&p.run, images)
	return kernels.SoftmaxCrossEntropy(p.run.pool, p.net.Classes(), logits, labels, losses, gy)
}

// check panics unless the lengths fit, and returns the number of examples.
func (p *Pass) check(params []float32, b Batch) int {
	n, m := len(b.Labels), len(b.Cuts)-1
	if len(params) != p.net.params {
		panic(fmt.Sprintf("nn: %d parameters, want %d", len(params), p.net.params))
	}
	if len(b.Images) != n*p.net.in.Len() {
		panic(fmt.Sprintf("nn: images of %d values for %d labels, want %v each", len(b.Images), n, p.net.in))
	}
	if m < 1 || !(tree.Node{Low: 0, High: m}).Valid(m) || b.Cuts[0] != 0 || b.Cuts[m] != n {
		panic(fmt.Sprintf("nn: cuts %v do not divide %d examples into a power of two of micro-batches", b.Cuts, n))
	}
	return n
}

// sums adds the losses up: in each micro-batch in the order of the examples,
// then in the tree.
func (p *Pass) sums(correct int, cuts []int) Sums {
	loss, _ := p.lossOf(tree.Node{Low: 0, High: len(cuts) - 1}, cuts)
	return Sums{Loss: loss, Correct: correct, Examples: len(p.losses)}
}

// lossOf is tree.Sum for one float64; ok is false if all of n is absent.
func (p *Pass) lossOf(n tree.Node, cuts []int) (loss float64, ok bool) {
	if n.Leaf() {
		for _, l := range p.losses[cuts[n.Low]:cuts[n.High]] {
			loss += l
		}
		return loss, cuts[n.Low] < cuts[n.High]
	}
	left, right := n.Children()
	a, hasLeft := p.lossOf(left, cuts)
	b, hasRight := p.lossOf(right, cuts)
	switch {
	case !hasLeft:
		return b, hasRight
	case !hasRight:
		return a, true
	}
	return a + b, true
}

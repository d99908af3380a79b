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
	// Seed, Step and First, the first example's position in the step's whole
	// batch, key the random numbers of training.
	Seed  uint64
	Step  int
	First int
}

// Sums is what is added up over examples beside the gradient.
type Sums struct {
	Loss     float64 // the network's
	Correct  int     // the answer is the label: kernels.Hits.Top1
	Top5     int     // kernels.Hits.Top5
	Examples int
}

// run is what operators share during one pass.
type run struct {
	pool         *kernels.Pool
	params, grad []float32
	n            int // examples
	cuts         []int
	training     bool // backward follows
	seed         uint64
	step, first  int
	labels       []int32                                     // in training
	losses       []float64                                   // in training, of the examples
	observe      func(layer string, s Shape, y kernels.Maps) // sees every output, or nil

	packers   []packer
	gradients [][2][]float32 // by depth of the chain and side
}

// pack has every operator pack its weights.
func (r *run) pack() {
	for _, op := range r.packers {
		op.pack(r)
	}
}

// maps returns maps of the pass's examples in a buffer that grows.
func (r *run) maps(buffer *[]float32, s Shape) kernels.Maps {
	n := r.n * s.Len()
	if cap(*buffer) < n {
		*buffer = kernels.Floats(n)
	}
	return kernels.Maps{V: (*buffer)[:n], Pitch: s.C}
}

// gradient is one of the two buffers of the chains at a depth.
func (r *run) gradient(depth, side int, s Shape) kernels.Maps {
	return r.maps(&r.gradients[depth][side], s)
}

// same reports whether two maps begin in the same place.
func same(x, y kernels.Maps) bool { return &x.V[0] == &y.V[0] }

// grown returns a buffer of n elements, the old one where it is large enough.
func grown[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	return old[:n]
}

// Pass computes with a network, keeping the buffers: they grow to the largest
// batch and stay. It serves one caller at a time.
type Pass struct {
	net    *Net
	op     *chain
	run    run
	piece  int // examples that Evaluate computes at once
	losses []float64
	images []float32 // as maps, where that is another order
	logits []float32
	gy     []float32
}

// NewPass returns a Pass that computes on pool. Several may share one pool, but
// not at a time.
func (n *Net) NewPass(pool *kernels.Pool) *Pass {
	b := newBinder(n.options, false)
	op := n.mustBind(b)
	piece := max(1, min(evaluationPiece, evaluationBytes/max(1, op.memory([]int{0, 1}).Activations)))
	return &Pass{net: n, op: op, piece: piece, run: run{pool: pool, packers: b.packers, gradients: make([][2][]float32, len(b.sides))}}
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
	r := &p.run
	r.grad, r.cuts = grad, b.Cuts
	r.seed, r.step, r.first = b.Seed, b.Step, b.First
	p.begin(params, true)
	p.gy = grown(p.gy, n*p.net.Classes())
	p.losses = grown(p.losses, n)
	r.labels, r.losses = b.Labels, p.losses
	hits := p.forward(b.Images, b.Labels, p.losses, p.gy)
	p.op.backward(r, kernels.Maps{}, kernels.Maps{}, kernels.Maps{V: p.gy, Pitch: p.net.Classes()}, kernels.Maps{}, false)
	r.params, r.grad, r.cuts, r.labels, r.losses = nil, nil, nil, nil, nil
	return p.sums(hits, b.Cuts)
}

// begin takes the parameters of a pass.
func (p *Pass) begin(params []float32, training bool) {
	p.run.params, p.run.training = params, training
	p.run.pack()
}

// forward computes the losses of some examples and, where gy is not nil, the
// gradients of their logits.
func (p *Pass) forward(images []float32, labels []int32, losses []float64, gy []float32) kernels.Hits {
	r := &p.run
	r.n = len(labels)
	y := r.maps(&p.logits, p.net.out)
	p.op.forward(r, p.input(images), y)
	return p.net.lossOf(r.pool, p.net.Classes(), y.V, labels, losses, gy)
}

// input turns images into maps.
func (p *Pass) input(images []float32) kernels.Maps {
	in := p.net.in
	if !p.op.reorders(in) {
		return kernels.Maps{V: images, Pitch: in.C}
	}
	x := p.run.maps(&p.images, in)
	kernels.NCHWToMaps(p.run.pool, p.run.n, in.C, in.pixels(), images, x)
	return x
}

// check panics unless the lengths fit, and returns the number of examples.
func (p *Pass) check(params []float32, b Batch) int {
	n := len(b.Labels)
	if len(b.Images) != n*p.net.in.Len() {
		panic(fmt.Sprintf("nn: images of %d values for %d labels, want %v each", len(b.Images), n, p.net.in))
	}
	p.checkCuts(params, b.Cuts, n)
	return n
}

// checkCuts panics unless there are as many parameters as the network has and
// the cuts divide n examples.
func (p *Pass) checkCuts(params []float32, cuts []int, n int) {
	m := len(cuts) - 1
	if len(params) != p.net.params {
		panic(fmt.Sprintf("nn: %d parameters, want %d", len(params), p.net.params))
	}
	if m < 1 || !(tree.Node{Low: 0, High: m}).Valid(m) || cuts[0] != 0 || cuts[m] != n {
		panic(fmt.Sprintf("nn: cuts %v do not divide %d examples into a power of two of micro-batches", cuts, n))
	}
}

// sums adds the losses up: in each micro-batch in the order of the examples,
// then in the tree.
func (p *Pass) sums(hits kernels.Hits, cuts []int) Sums {
	loss, _ := p.lossOf(tree.Node{Low: 0, High: len(cuts) - 1}, cuts)
	return Sums{Loss: loss, Correct: hits.Top1, Top5: hits.Top5, Examples: len(p.losses)}
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

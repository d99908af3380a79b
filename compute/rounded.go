package compute

import (
	"convoy/digest"
	"convoy/floats"
	"convoy/nn"
	"convoy/state"
	"convoy/tree"
)

// rounded is Node's sum where the recipe rounds sums for the wire: those of one
// unit of micro-batches, and each sum of two that are rounded already. So a node's
// bits do not depend on whether its halves have gone over a wire.
func (c *Computer) rounded(params []float32, t int, n tree.Node, grad []float32) state.Sums {
	r := rounding{c: c, params: params, batch: c.batch(t, n), low: n.Low}
	r.cuts = append(r.cuts, r.batch.Cuts...)
	sums, _ := r.sum(n, grad, 0)
	return sums
}

// rounding is one node's.
type rounding struct {
	c      *Computer
	params []float32
	batch  nn.Batch // all of the node's examples
	low    int      // the node's first micro-batch
	cuts   []int    // of the batch
}

// sum writes the rounded sum of n into dst and reports whether n has examples; depth
// is how many halves dst is of the whole node.
func (r *rounding) sum(n tree.Node, dst []float32, depth int) (sums state.Sums, any bool) {
	if n.High-n.Low == r.c.job.Recipe.Unit() {
		return r.unit(n, dst)
	}
	left, right := n.Children()
	sums, any = r.sum(left, dst, depth+1)
	if !any {
		return r.sum(right, dst, depth+1)
	}
	other := r.c.halfOf(depth, len(dst))
	second, any := r.sum(right, other, depth+1)
	if !any {
		return sums, true
	}
	r.c.leaves(len(dst), func(leaf int) {
		part := digest.LeafAt(dst, leaf)
		tree.Add(part, digest.LeafAt(other, leaf))
		floats.RoundBF16(part)
	})
	return state.Sums{
		Loss: sums.Loss + second.Loss, Correct: sums.Correct + second.Correct,
		Top5: sums.Top5 + second.Top5, Examples: sums.Examples + second.Examples,
	}, true
}

// unit computes the smallest sum that is rounded.
func (r *rounding) unit(n tree.Node, dst []float32) (sums state.Sums, any bool) {
	low, high := r.cuts[n.Low-r.low], r.cuts[n.High-r.low]
	if low == high {
		return state.Sums{}, false
	}
	b, size := r.batch, r.c.feed.inputs.Len()
	b.Images, b.Labels, b.First = b.Images[low*size:high*size], b.Labels[low:high], b.First+low
	b.Cuts = r.c.unitCuts[:0]
	for _, cut := range r.cuts[n.Low-r.low : n.High-r.low+1] {
		b.Cuts = append(b.Cuts, cut-low)
	}
	r.c.unitCuts = b.Cuts
	sums = state.Sums(r.c.pass.Gradient(r.params, b, dst))
	r.c.leaves(len(dst), func(leaf int) { floats.RoundBF16(digest.LeafAt(dst, leaf)) })
	return sums, true
}

// halfOf is memory for the right half's sum at a depth of the tree.
func (c *Computer) halfOf(depth, n int) []float32 {
	for len(c.halves) <= depth {
		c.halves = append(c.halves, nil)
	}
	c.halves[depth] = grow(c.halves[depth], n)
	return c.halves[depth]
}

// leaves shares work on n floats out over the pool.
func (c *Computer) leaves(n int, f func(leaf int)) { c.feed.pool.Run(digest.Leaves(n), f) }

package worker

import (
	"context"

	"convoy/nn"
	"convoy/state"
	"convoy/tree"
)

// work computes nodes and then, while the leader finishes the step, prepares what
// the same plan asks for in the next one.
func (a *assignment) work(ctx context.Context, c Compute, post func(Event)) {
	a.working.Lock()
	defer a.working.Unlock()
	a.feed.follow(c.Step, c.Nodes, a.pass.Piece())
	a.compute(ctx, c, post)
	post(Idle{})
	if ctx.Err() != nil {
		a.feed.stop()
		return
	}
	a.feed.rest()
}

// compute computes the nodes one after the other and posts each. A result has
// memory of its own: the bus and the leader share it.
func (a *assignment) compute(ctx context.Context, c Compute, post func(Event)) {
	for _, n := range c.Nodes {
		if ctx.Err() != nil {
			return
		}
		done := Computed{Step: c.Step, Node: n}
		var sums nn.Sums
		if a.job.Sequence.At(c.Step).Evaluation {
			sums = a.evaluate(c, n)
		} else {
			done.Data = make([]float32, a.net.NumParams())
			sums = a.pass.Gradient(c.State.Params, a.batch(c.Step, n), done.Data)
		}
		done.Sums = state.Sums(sums)
		if ctx.Err() != nil {
			return // a lazy set's examples may be none
		}
		post(done)
	}
}

// batch is the examples of node n of training step t, whose turn it is.
func (a *assignment) batch(t int, n tree.Node) nn.Batch {
	begin, _ := a.job.Sequence.Positions(t, 0)
	first, end := a.feed.positions(t, n)
	b := nn.Batch{Cuts: a.cutsOf(t, n), Seed: a.job.Recipe.Seed, Step: t, First: first - begin}
	if first < end {
		p := a.feed.take()
		b.Images, b.Labels = p.images, p.labels
	}
	return b
}

// evaluate evaluates node n, whose turn it is, block by block.
func (a *assignment) evaluate(c Compute, n tree.Node) nn.Sums {
	cuts := a.cutsOf(c.Step, n)
	return a.pass.EvaluateBlocks(c.State.Params, cuts, func(yield func([]float32, []int32) bool) {
		for left := cuts[len(cuts)-1]; left > 0; {
			p := a.feed.take()
			left -= len(p.labels)
			if !yield(p.images, p.labels) {
				return
			}
		}
	})
}

// cutsOf are the boundaries of the node's micro-batches among its examples; they
// stay until the next call.
func (a *assignment) cutsOf(t int, n tree.Node) []int {
	first, _ := a.feed.positions(t, n)
	a.cuts = append(a.cuts[:0], 0)
	for m := n.Low; m < n.High; m++ {
		_, high := a.job.Sequence.Positions(t, m)
		a.cuts = append(a.cuts, high-first)
	}
	return a.cuts
}

package worker

import (
	"context"

	"convoy/job"
	"convoy/rng"
	"convoy/state"
	"convoy/tree"

	"convoy/nn"
)

// order tells which example stands at a position of an epoch.
type order struct {
	seed  uint64
	n     int
	epoch int
	perm  rng.Permutation
}

func newOrder(r job.Recipe) order {
	return order{seed: r.Seed, n: r.Data.Train, epoch: -1}
}

func (o *order) of(epoch int) rng.Permutation {
	if o.epoch != epoch {
		o.epoch, o.perm = epoch, rng.NewPermutation(o.seed, epoch, o.n)
	}
	return o.perm
}

// batch holds the examples of one node; its buffers grow to the largest and
// stay.
type batch struct {
	order   order
	indices []int
	images  []float32
	labels  []int32
	cuts    []int

	// gathered is what the buffers hold: node of step.
	gathered nn.Batch
	step     int
	node     tree.Node
}

// gather reads the examples of node n of step t, in parallel, unless the buffers
// hold them already.
func (a *assignment) gather(t int, n tree.Node) nn.Batch {
	if b := &a.batch; b.gathered.Cuts == nil || b.step != t || b.node != n {
		b.step, b.node = t, n
		b.gathered = a.read(t, n)
	}
	return a.batch.gathered
}

func (a *assignment) read(t int, n tree.Node) nn.Batch {
	seq := a.job.Sequence
	step := seq.At(t)
	b := &a.batch
	b.indices, b.cuts = b.indices[:0], append(b.cuts[:0], 0)
	for m := n.Low; m < n.High; m++ {
		low, high := seq.Positions(t, m)
		for p := low; p < high; p++ {
			if step.Evaluation {
				b.indices = append(b.indices, p)
			} else {
				b.indices = append(b.indices, b.order.of(step.Epoch).At(p))
			}
		}
		b.cuts = append(b.cuts, len(b.indices))
	}
	size := a.inputs.Len()
	b.images = grow(b.images, len(b.indices)*size)
	b.labels = grow(b.labels, len(b.indices))
	const atOnce = 16
	a.pool.Run((len(b.indices)+atOnce-1)/atOnce, func(task int) {
		low, high := task*atOnce, min((task+1)*atOnce, len(b.indices))
		images, labels := b.images[low*size:high*size], b.labels[low:high]
		if step.Evaluation {
			a.inputs.Evaluate(a.set.Test, b.indices[low:high], images, labels)
		} else {
			a.inputs.Train(a.set.Train, step.Epoch, b.indices[low:high], images, labels)
		}
	})
	begin, _ := seq.Positions(t, 0)
	first, _ := seq.Positions(t, n.Low)
	return nn.Batch{
		Images: b.images, Labels: b.labels, Cuts: b.cuts,
		Seed: a.job.Recipe.Seed, Step: t, First: first - begin,
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// work computes nodes and then, while the leader finishes the step, gathers what
// the same plan asks for in the next one.
func (a *assignment) work(ctx context.Context, c Compute, post func(Event)) {
	a.working.Lock()
	defer a.working.Unlock()
	a.compute(ctx, c, post)
	post(Idle{})
	if next := c.Step + 1; ctx.Err() == nil && next < a.job.Sequence.Len() {
		a.gather(next, c.Nodes[0])
	}
}

// compute computes the nodes one after the other and posts each. A result has
// memory of its own: the bus and the leader share it.
func (a *assignment) compute(ctx context.Context, c Compute, post func(Event)) {
	for _, n := range c.Nodes {
		if ctx.Err() != nil {
			return
		}
		batch := a.gather(c.Step, n)
		done := Computed{Step: c.Step, Node: n}
		var sums nn.Sums
		if a.job.Sequence.At(c.Step).Evaluation {
			sums = a.pass.Evaluate(c.State.Params, batch)
		} else {
			done.Data = make([]float32, a.net.NumParams())
			sums = a.pass.Gradient(c.State.Params, batch, done.Data)
		}
		done.Sums = state.Sums(sums)
		post(done)
	}
}

// Package compute owns how a node of a job's step is computed: the examples of its
// micro-batches are prepared, beside the arithmetic where a core is free, and the
// network is run over them.
//
// It promises that a node's gradient and sums have the same bits wherever they are
// computed, however many goroutines do it and whatever was computed before: a
// worker's partials, and the same steps computed again to compare them with the
// record, come from here. It knows no protocol and keeps no state of the job.
package compute

import (
	"convoy/data"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
	"convoy/state"
	"convoy/tree"
)

// Computer computes nodes of one job, one caller at a time. It keeps its buffers.
type Computer struct {
	job  *state.Job
	pass *nn.Pass
	feed *feed
	cuts []int

	planned  int         // micro-batches of the plan
	halves   [][]float32 // right halves of sums that are rounded
	unitCuts []int
}

// New returns a computer of a job's nodes on pool, which nobody else may use while
// it computes or rests. net is the recipe's network. Of a lazy set, nil where all
// of it is in memory, it has the shards loaded that come next; once the set's
// context has ended, what is computed means nothing.
func New(j *state.Job, net *nn.Net, set *data.Set, lazy *data.Lazy, pool *kernels.Pool) (*Computer, error) {
	in, err := models.InputOf(j.Recipe)
	if err != nil {
		return nil, err
	}
	inputs, err := data.NewPreparation(set.Manifest, in, j.Recipe.Augment, j.Recipe.Seed)
	if err != nil {
		return nil, err
	}
	c := assemble(j, net, set, inputs, pool)
	c.feed.lazy = lazy
	return c, nil
}

func assemble(j *state.Job, net *nn.Net, set *data.Set, inputs *data.Preparation, pool *kernels.Pool) *Computer {
	return &Computer{job: j, pass: net.NewPass(pool), feed: newFeed(j.Recipe, set, inputs, pool)}
}

// Plan says which nodes of step t come next, all of which have examples: Node is
// called for each of them, in this order. What was prepared for another plan is
// given up unless it fits.
func (c *Computer) Plan(t int, nodes []tree.Node) {
	if c.job.Recipe.Simulated() > 0 {
		c.planned = 0
		for _, n := range nodes {
			c.planned += n.High - n.Low
		}
		return
	}
	c.feed.follow(t, nodes, c.pass.Piece())
}

// Node computes the plan's next node. The sum of the gradients of its examples,
// not divided by anything, goes into grad, which is as long as params; of an
// evaluation grad may be nil and is left alone.
func (c *Computer) Node(params []float32, t int, n tree.Node, grad []float32) state.Sums {
	switch {
	case c.job.Recipe.Simulated() > 0:
		return c.simulated(t, n, grad)
	case c.job.Sequence.At(t).Evaluation:
		return state.Sums(c.evaluate(params, t, n))
	case c.job.Recipe.Rounds():
		return c.rounded(params, t, n, grad)
	}
	return state.Sums(c.pass.Gradient(params, c.batch(t, n), grad))
}

// Rest prepares what the same plan asks for first in the step after it: for the
// time in which there is nothing to compute.
func (c *Computer) Rest() { c.feed.rest() }

// Stop gives up what is being prepared. Nothing reads the data set afterwards,
// until the next plan.
func (c *Computer) Stop() { c.feed.stop() }

// batch is the examples of node n of training step t, whose turn it is.
func (c *Computer) batch(t int, n tree.Node) nn.Batch {
	begin, _ := c.job.Sequence.Positions(t, 0)
	first, end := c.feed.positions(t, n)
	b := nn.Batch{Cuts: c.cutsOf(t, n), Seed: c.job.Recipe.Seed, Step: t, First: first - begin}
	if first < end {
		p := c.feed.take()
		b.Images, b.Labels = p.images, p.labels
	}
	return b
}

// evaluate evaluates node n, whose turn it is, block by block.
func (c *Computer) evaluate(params []float32, t int, n tree.Node) nn.Sums {
	cuts := c.cutsOf(t, n)
	return c.pass.EvaluateBlocks(params, cuts, func(yield func([]float32, []int32) bool) {
		for left := cuts[len(cuts)-1]; left > 0; {
			p := c.feed.take()
			left -= len(p.labels)
			if !yield(p.images, p.labels) {
				return
			}
		}
	})
}

// cutsOf are the boundaries of the node's micro-batches among its examples; they
// stay until the next call.
func (c *Computer) cutsOf(t int, n tree.Node) []int {
	first, _ := c.feed.positions(t, n)
	c.cuts = append(c.cuts[:0], 0)
	for m := n.Low; m < n.High; m++ {
		_, high := c.job.Sequence.Positions(t, m)
		c.cuts = append(c.cuts, high-first)
	}
	return c.cuts
}

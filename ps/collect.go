package ps

import (
	"fmt"

	"convoy/api"
	"convoy/job"
	"convoy/state"
	"convoy/tree"
)

// node is a partial: the sum over an aligned block of micro-batches.
type node struct {
	data   []float32 // nil for an evaluation; nobody writes to it
	sums   state.Sums
	worker string
}

// collection gathers the partials of one step into the tree over its
// micro-batches. The same nodes give the same root whoever sent them and in
// whatever order they came.
type collection struct {
	seq    job.Sequence
	step   int
	floats int // of a gradient
	nodes  map[tree.Node]*node
	parts  map[part]*state.Assembly
	rules  rules
}

// part names a node on its way from one worker.
type part struct {
	worker string
	node   tree.Node
}

func newCollection(seq job.Sequence, step, floats int) *collection {
	return &collection{
		seq: seq, step: step, floats: floats,
		nodes: map[tree.Node]*node{}, parts: map[part]*state.Assembly{},
	}
}

func (c *collection) root() tree.Node { return tree.Node{Low: 0, High: c.seq.MicroBatches} }

func (c *collection) examples(n tree.Node) int { return state.Examples(c.seq, c.step, n.Low, n.High) }

// add takes one chunk of a partial whose recipe, step and chain fit. It returns
// how many chunks of that node are there, and whether this one was new; what is
// there already is dropped.
func (c *collection) add(worker string, p *api.Partial, data []float32) (count int, fresh bool, err error) {
	n := tree.Node{Low: int(p.Low), High: int(p.High)}
	switch {
	case !n.Valid(c.seq.MicroBatches):
		return 0, false, fmt.Errorf("%v is no node of the tree over %d micro-batches", n, c.seq.MicroBatches)
	case c.examples(n) == 0 || int(p.Examples) != c.examples(n) || p.Correct > p.Top5 || p.Top5 > p.Examples:
		return 0, false, fmt.Errorf("node %v has %d examples, not %d with %d correct and %d within the top 5", n, c.examples(n), p.Examples, p.Correct, p.Top5)
	case p.Chunks < 1 || int64(p.Chunks) > int64(max(c.floats, 1)):
		return 0, false, fmt.Errorf("node %v comes in %d chunks", n, p.Chunks)
	case c.nodes[n] != nil && !c.rules.countTwice:
		return int(p.Chunks), false, nil
	}
	key := part{worker, n}
	a := c.parts[key]
	if a == nil || a.Chunks() != int(p.Chunks) {
		a = state.NewAssembly(int(p.Chunks))
	}
	if fresh, err = a.Add(c.floats, int(p.Chunks), int(p.Chunk), data); err != nil {
		return 0, false, fmt.Errorf("node %v: %w", n, err)
	}
	c.parts[key] = a
	if a.Complete() {
		delete(c.parts, key)
		got := &node{
			data: a.Data(), worker: worker,
			sums: state.Sums{Loss: p.LossSum, Correct: int(p.Correct), Top5: int(p.Top5), Examples: int(p.Examples)},
		}
		if before := c.nodes[n]; before != nil { // only where rules.countTwice
			got = c.plus(before, got)
		}
		c.nodes[n] = got
	}
	return a.Count(), fresh, nil
}

// complete reports whether everything below n is there; a node without examples
// always is.
func (c *collection) complete(n tree.Node) bool {
	if c.nodes[n] != nil || c.examples(n) == 0 {
		return true
	}
	if n.Leaf() {
		return false
	}
	left, right := n.Children()
	return c.complete(left) && c.complete(right)
}

// missing appends the largest nodes below n of which nothing is there.
func (c *collection) missing(n tree.Node, to []tree.Node) []tree.Node {
	switch {
	case c.complete(n):
		return to
	case n.Leaf() || c.empty(n):
		return append(to, n)
	}
	left, right := n.Children()
	return c.missing(right, c.missing(left, to))
}

func (c *collection) empty(n tree.Node) bool {
	if c.complete(n) {
		return false
	}
	if n.Leaf() {
		return true
	}
	left, right := n.Children()
	return c.empty(left) && c.empty(right)
}

// sum adds up what is below n, which is complete, and appends who computed it.
// A node without examples is left out: its sibling passes up as it is.
func (c *collection) sum(n tree.Node, shares *[]share) *node {
	if c.examples(n) == 0 {
		if c.rules.zeros {
			return &node{data: make([]float32, c.floats)}
		}
		return nil
	}
	if have := c.nodes[n]; have != nil {
		*shares = append(*shares, share{have.worker, n})
		return have
	}
	low, high := n.Children()
	left, right := c.sum(low, shares), c.sum(high, shares)
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	}
	return c.plus(left, right)
}

// plus is the sum of two nodes, of which neither is written to.
func (c *collection) plus(left, right *node) *node {
	total := &node{worker: left.worker, sums: state.Sums{
		Loss:     left.sums.Loss + right.sums.Loss,
		Correct:  left.sums.Correct + right.sums.Correct,
		Top5:     left.sums.Top5 + right.sums.Top5,
		Examples: left.sums.Examples + right.sums.Examples,
	}}
	if c.floats > 0 {
		total.data = make([]float32, c.floats)
		copy(total.data, left.data)
		tree.Add(total.data, right.data)
	}
	return total
}

// total is the root of a tree that is complete, and who computed its parts.
func (c *collection) total() (root *node, shares []share) {
	return c.sum(c.root(), &shares), shares
}

// share is one accepted partial.
type share struct {
	worker string
	node   tree.Node
}

// setShares writes who computed what into a row.
func setShares(r *api.StepRow, shares []share) {
	index := map[string]uint32{}
	for _, s := range shares {
		i, ok := index[s.worker]
		if !ok {
			i = uint32(len(r.Workers))
			index[s.worker] = i
			r.Workers = append(r.Workers, s.worker)
		}
		r.Shares = append(r.Shares, &api.Share{Worker: i, Low: uint32(s.node.Low), High: uint32(s.node.High)})
	}
}

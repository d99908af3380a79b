package ps

import (
	"fmt"
	"time"

	"convoy/api"
	"convoy/digest"
	"convoy/floats"
	"convoy/job"
	"convoy/state"
	"convoy/tree"
)

// node is a partial: the sum over an aligned block of micro-batches.
type node struct {
	data   []float32 // nil for an evaluation; nobody writes to it
	sums   state.Sums
	worker string
	sum    digest.Gradient // once digest was asked for it
	hashed bool
}

// digest tells copies apart: equal ones have equal floats, loss and counts.
func (n *node) digest() digest.Gradient {
	if !n.hashed {
		n.sum, n.hashed = digest.OfGradient(n.data, n.sums), true
	}
	return n.sum
}

// collection gathers the partials of one step into the tree over its
// micro-batches. The same nodes give the same root whoever sent them and in
// whatever order they came: the first copy of a node counts. Copies that were
// asked for are kept beside it, to be compared.
type collection struct {
	seq    job.Sequence
	step   int
	floats int  // of a gradient
	unit   int  // micro-batches of the smallest node that is taken
	round  bool // sums to the wire's format
	nodes  map[tree.Node]*node
	parts  map[part]*incoming
	wanted map[part]bool  // copies to keep
	copies map[part]*node // kept: not the first of their node
	speed  float64        // bytes a second at which nodes arrive, smoothed; 0 while unknown
	rules  rules
}

// part names a node on its way from one worker.
type part struct {
	worker string
	node   tree.Node
}

// incoming is a part as far as it is here.
type incoming struct {
	*state.Assembly
	since time.Duration // when its first chunk came
}

func newCollection(seq job.Sequence, step, floats int) *collection {
	return &collection{
		seq: seq, step: step, floats: floats,
		nodes: map[tree.Node]*node{}, parts: map[part]*incoming{}, wanted: map[part]bool{}, copies: map[part]*node{},
	}
}

func (c *collection) root() tree.Node { return tree.Node{Low: 0, High: c.seq.MicroBatches} }

func (c *collection) examples(n tree.Node) int { return state.Examples(c.seq, c.step, n.Low, n.High) }

// add takes one chunk of a partial whose recipe, step and chain fit. It returns
// how many chunks of that node are there, and whether this one was new; what is
// there already, and no copy that is wanted, is dropped.
func (c *collection) add(now time.Duration, worker string, p *api.Partial, data []float32) (count int, fresh bool, err error) {
	n := tree.Node{Low: int(p.Low), High: int(p.High)}
	key := part{worker, n}
	have := c.nodes[n]
	switch {
	case !n.Valid(c.seq.MicroBatches):
		return 0, false, fmt.Errorf("%v is no node of the tree over %d micro-batches", n, c.seq.MicroBatches)
	case n.High-n.Low < c.unit:
		return 0, false, fmt.Errorf("%v is less than the %d micro-batches of a unit", n, c.unit)
	case c.examples(n) == 0 || int(p.Examples) != c.examples(n) || p.Correct > p.Top5 || p.Top5 > p.Examples:
		return 0, false, fmt.Errorf("node %v has %d examples, not %d with %d correct and %d within the top 5", n, c.examples(n), p.Examples, p.Correct, p.Top5)
	case p.Chunks < 1 || int64(p.Chunks) > int64(max(c.floats, 1)):
		return 0, false, fmt.Errorf("node %v comes in %d chunks", n, p.Chunks)
	case have != nil && !c.rules.countTwice && (have.worker == worker || !c.wanted[key] || c.copies[key] != nil):
		return int(p.Chunks), false, nil
	}
	in := c.parts[key]
	if in == nil || in.Chunks() != int(p.Chunks) {
		in = &incoming{state.NewAssembly(int(p.Chunks)), now}
	}
	if fresh, err = in.Add(c.floats, int(p.Chunks), int(p.Chunk), data); err != nil {
		return 0, false, fmt.Errorf("node %v: %w", n, err)
	}
	c.parts[key] = in
	if in.Complete() {
		delete(c.parts, key)
		c.arrived(now-in.since, in.Chunks())
		whole := &node{
			data: in.Data(), worker: worker,
			sums: state.Sums{Loss: p.LossSum, Correct: int(p.Correct), Top5: int(p.Top5), Examples: int(p.Examples)},
		}
		switch {
		case have == nil:
			c.nodes[n] = whole
		case c.rules.countTwice:
			c.nodes[n] = c.plus(have, whole)
		default:
			c.copies[key] = whole
		}
	}
	return in.Count(), fresh, nil
}

// arrived measures the carrier by a node whose last chunk came so long after its
// first.
func (c *collection) arrived(took time.Duration, chunks int) {
	if chunks < 4 || took <= 0 {
		return // too little to tell
	}
	speed := float64(4*c.floats) * float64(chunks-1) / float64(chunks) / took.Seconds()
	if c.speed == 0 {
		c.speed = speed
	}
	c.speed += (speed - c.speed) / 8
}

// complete reports whether everything below n is there; a node without examples
// always is.
func (c *collection) complete(n tree.Node) bool {
	return c.holds(n, func(n tree.Node) bool { return c.nodes[n] != nil })
}

// brought reports whether a worker's own results of everything below n are there.
func (c *collection) brought(worker string, n tree.Node) bool {
	return c.holds(n, func(n tree.Node) bool { return c.of(worker, n) != nil })
}

// holds reports whether n is made up of nodes that have reports true for.
func (c *collection) holds(n tree.Node, have func(tree.Node) bool) bool {
	if have(n) || c.examples(n) == 0 {
		return true
	}
	if n.Leaf() {
		return false
	}
	left, right := n.Children()
	return c.holds(left, have) && c.holds(right, have)
}

// of is a worker's own result of n, nil where there is none in one piece.
func (c *collection) of(worker string, n tree.Node) *node {
	if have := c.nodes[n]; have != nil && have.worker == worker {
		return have
	}
	return c.copies[part{worker, n}]
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

// sum adds up what is below n, of which pick has all, and appends who computed
// it. A node without examples is left out: its sibling passes up as it is.
func (c *collection) sum(n tree.Node, pick func(tree.Node) *node, shares *[]share) *node {
	if c.examples(n) == 0 {
		if c.rules.zeros {
			return &node{data: make([]float32, c.floats)}
		}
		return nil
	}
	if have := pick(n); have != nil {
		*shares = append(*shares, share{have.worker, n})
		return have
	}
	low, high := n.Children()
	left, right := c.sum(low, pick, shares), c.sum(high, pick, shares)
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
		if c.round {
			floats.RoundBF16(total.data)
		}
	}
	return total
}

// total is the root of a tree that is complete, and who computed its parts.
func (c *collection) total() (root *node, shares []share) {
	return c.sum(c.root(), func(n tree.Node) *node { return c.nodes[n] }, &shares), shares
}

// parted appends the nodes below n that a sum is made of.
func (c *collection) parted(n tree.Node, to []tree.Node) []tree.Node {
	switch {
	case c.examples(n) == 0:
		return to
	case c.nodes[n] != nil:
		return append(to, n)
	case n.Leaf():
		return to
	}
	left, right := n.Children()
	return c.parted(right, c.parted(left, to))
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

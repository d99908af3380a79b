package ps

import (
	"cmp"
	"maps"
	"slices"

	"convoy/tree"
)

// want keeps a worker's own copy of n, should another's be there before it.
func (c *collection) want(worker string, n tree.Node) { c.wanted[part{worker, n}] = true }

// votes groups the workers whose copy of n is whole by what they computed: the
// groups in order of their first worker, the workers in order.
func (c *collection) votes(n tree.Node) (groups [][]string) {
	found := map[string]*node{}
	if first := c.nodes[n]; first != nil {
		found[first.worker] = first
	}
	for p, copied := range c.copies {
		if p.node == n {
			found[p.worker] = copied
		}
	}
	for id := range sorted(found) {
		i := slices.IndexFunc(groups, func(g []string) bool { return found[g[0]].digest() == found[id].digest() })
		if i < 0 {
			groups = append(groups, []string{id})
		} else {
			groups[i] = append(groups[i], id)
		}
	}
	return groups
}

// choose makes a worker's copy of n the one that counts.
func (c *collection) choose(worker string, n tree.Node) {
	if right := c.of(worker, n); right != nil {
		c.nodes[n] = right
		delete(c.copies, part{worker, n})
	}
}

// drop forgets all that a worker has sent.
func (c *collection) drop(worker string) {
	maps.DeleteFunc(c.nodes, func(_ tree.Node, n *node) bool { return n.worker == worker })
	maps.DeleteFunc(c.copies, func(p part, _ *node) bool { return p.worker == worker })
	maps.DeleteFunc(c.parts, func(p part, _ *incoming) bool { return p.worker == worker })
	maps.DeleteFunc(c.wanted, func(p part, _ bool) bool { return p.worker == worker })
	for _, p := range slices.SortedFunc(maps.Keys(c.copies), byWorker) { // a node that lost its first copy has another
		if c.nodes[p.node] == nil {
			c.choose(p.worker, p.node)
		}
	}
}

func byWorker(a, b part) int {
	return cmp.Or(cmp.Compare(a.worker, b.worker), cmp.Compare(a.node.Low, b.node.Low), cmp.Compare(a.node.High, b.node.High))
}

// without is the root, made of in among others, as it is with none of a worker's
// results but those that another worker's agree with; nil where nobody else
// computed one of them.
func (c *collection) without(worker string, in tree.Node, agreed func(tree.Node) bool) (root *node) {
	others := slices.SortedFunc(maps.Keys(c.copies), byWorker)
	pick := func(n tree.Node) *node {
		if n != in && n.Low <= in.Low && in.High <= n.High {
			return nil
		}
		if first := c.nodes[n]; first != nil && (first.worker != worker || agreed(n)) {
			return first
		}
		for _, p := range others {
			if p.node == n && p.worker != worker {
				return c.copies[p]
			}
		}
		return nil
	}
	if !c.holds(c.root(), func(n tree.Node) bool { return pick(n) != nil }) {
		return nil
	}
	var shares []share
	return c.sum(c.root(), pick, &shares)
}

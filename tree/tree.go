// Package tree is the fixed binary tree in which sums over micro-batches are
// taken: the same additions in the same order whoever computes which part
// (Demmel and Nguyen, "Fast reproducible floating-point summation", 2013, give
// the reasons; the tree over fixed leaves is the simplest such scheme).
package tree

import "fmt"

// Node is an aligned block of micro-batches: [Low, High) with a power of two
// wide and Low a multiple of the width.
type Node struct{ Low, High int }

func (n Node) String() string { return fmt.Sprintf("[%d,%d)", n.Low, n.High) }

// Leaf reports whether n is a single micro-batch.
func (n Node) Leaf() bool { return n.High-n.Low == 1 }

// Valid reports whether n is a node of the tree over m micro-batches, m being a
// power of two.
func (n Node) Valid(m int) bool {
	w := n.High - n.Low
	return n.Low >= 0 && n.High <= m && w > 0 && w&(w-1) == 0 && n.Low%w == 0
}

// Children returns the two halves of n, which is no leaf.
func (n Node) Children() (left, right Node) {
	mid := (n.Low + n.High) / 2
	return Node{n.Low, mid}, Node{mid, n.High}
}

// Cover returns the fewest nodes that make up [low, high), in order.
func Cover(low, high int) []Node {
	var nodes []Node
	for low < high {
		w := 1
		for low%(2*w) == 0 && low+2*w <= high {
			w *= 2
		}
		nodes = append(nodes, Node{low, low + w})
		low += w
	}
	return nodes
}

// Sum adds up the micro-batches of n in tree order into dst and reports whether
// any was there. leaf writes micro-batch i into its dst and reports whether the
// micro-batch has examples: an absent one is left out, its sibling passes up
// unchanged, since adding a zero would turn −0 into +0. scratch holds one slice
// as long as dst for each level below n.
func Sum(n Node, dst []float32, scratch [][]float32, leaf func(i int, dst []float32) bool) bool {
	if n.Leaf() {
		return leaf(n.Low, dst)
	}
	left, right := n.Children()
	if !Sum(left, dst, scratch[1:], leaf) {
		return Sum(right, dst, scratch[1:], leaf)
	}
	other := scratch[0][:len(dst)]
	if Sum(right, other, scratch[1:], leaf) {
		Add(dst, other)
	}
	return true
}

// Add does dst[i] += v[i].
func Add(dst, v []float32) {
	if len(dst) != len(v) {
		panic(fmt.Sprintf("tree: add %d floats to %d", len(v), len(dst)))
	}
	for i, x := range v {
		dst[i] += x
	}
}

package kernels

import (
	"fmt"
	"testing"

	"convoy/tree"
)

// nodeCuts are divisions into micro-batches with absent ones in all kinds of
// places.
var nodeCuts = [][]int{
	{0, 3, 6, 9, 12, 15, 18, 21, 24},
	{0, 3, 3, 6, 6, 6, 6, 6, 7},
	{0, 0, 0, 0, 0, 0, 1, 1, 1},
	{0, 5, 5},
	{0, 2},
}

// The gradient of a node is the same to the bit whether it is computed at once or
// added up from its children's.
func TestNodeIsSumOfChildren(t *testing.T) {
	p := newPool(t, 2)
	for _, s := range []Conv{
		{C: 2, H: 7, W: 6, O: 5, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
		{C: 1, H: 18, W: 18, O: 3, KH: 2, KW: 2, StrideH: 1, StrideW: 1},
		{C: 16, H: 3, W: 3, O: 5, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
		{C: 16, H: 17, W: 17, O: 2, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
		{C: 4, H: 7, W: 6, O: 6, KH: 3, KW: 3, StrideH: 1, StrideW: 1, Groups: 2},
	} {
		c := NewConvolution(s, true)
		checkNodes(t, s, s.In(), s.Out(), s.Weights(), s.O, func(x, gy []float32, cuts []int, gw, gb []float32) {
			c.BackwardWeights(p, Maps{x, s.C}, Maps{gy, s.O}, cuts, gw, gb)
		})
	}
	for _, s := range []Conv{squareConv(17, 13, 5, 3, 1, 1), squareConv(16, 7, 20, 5, 1, 2)} {
		for _, small := range []bool{false, true} {
			c := newWinogradPlan(s, true, small)
			checkNodes(t, s, s.In(), s.Out(), s.Weights(), s.O, func(x, gy []float32, cuts []int, gw, gb []float32) {
				c.BackwardWeights(p, Maps{x, s.C}, Maps{gy, s.O}, cuts, gw, gb)
			})
		}
	}
	s := Linear{30, 7}
	l := NewFullyConnected(s)
	checkNodes(t, s, s.I, s.O, s.Weights(), s.O, func(x, gy []float32, cuts []int, gw, gb []float32) {
		l.BackwardWeights(p, x, gy, cuts, gw, gb)
	})
}

// A nodeGradient computes the gradient of the micro-batches of cuts.
type nodeGradient func(x, gy []float32, cuts []int, gw, gb []float32)

func checkNodes(t *testing.T, shape any, in, out, weights, biases int, gradient nodeGradient) {
	for _, cuts := range nodeCuts {
		n := cuts[len(cuts)-1]
		z := noise(11)
		x, gy := z.sparse(n*in), z.floats(n*out)
		leaf := func(low, high int, sum []float32) bool {
			if cuts[low] == cuts[high] {
				return false
			}
			var shifted []int
			for _, c := range cuts[low : high+1] {
				shifted = append(shifted, c-cuts[low])
			}
			gradient(x[cuts[low]*in:cuts[high]*in], gy[cuts[low]*out:cuts[high]*out], shifted, sum[:weights], sum[weights:])
			return true
		}
		for width := 2; width < len(cuts); width *= 2 {
			for low := 0; low+width < len(cuts); low += width {
				name := fmt.Sprintf("%+v, cuts %v, node [%d,%d)", shape, cuts, low, low+width)
				whole, parts := stale(weights+biases), stale(weights+biases)
				scratch := [][]float32{stale(len(parts)), stale(len(parts)), stale(len(parts))}
				ok := tree.Sum(tree.Node{Low: low, High: low + width}, parts, scratch, func(i int, dst []float32) bool { return leaf(i, i+1, dst) })
				if leaf(low, low+width, whole) != ok {
					t.Errorf("%s: present and absent", name)
				}
				if ok {
					sameBits(t, name, whole, parts)
				}
			}
		}
	}
}

// addTo does dst[i] += v[i].
func addTo(dst, v []float32) {
	for i, x := range v {
		dst[i] += x
	}
}

package kernels

import (
	"testing"

	"convoy/tree"
)

// More examples than a chain takes, and a sum that is cut.
func TestLinear(t *testing.T) {
	checkConv(t, Linear{I: 3, O: 7}.conv(), 600, 3)
	checkConv(t, Linear{I: 600, O: 1}.conv(), 5, 2)
	checkConv(t, Linear{I: 2, O: 300}.conv(), 13, 1)
}

// The doc comments, in the layer's own terms.
func TestLinearLoops(t *testing.T) {
	s, n := Linear{I: 259, O: 5}, 300
	z := noise(4)
	x, w, b, gy := z.floats(n*s.I), z.floats(s.Weights()), z.floats(s.O), z.floats(n*s.O)
	y, gx := stale(n*s.O), stale(n*s.I)
	for i := range y {
		sum := chain{total: b[i%s.O]}
		for k := range s.I {
			sum.add(x[i/s.O*s.I+k], w[i%s.O*s.I+k])
		}
		y[i] = sum.sum()
	}
	for i := range gx {
		var sum chain
		for o := range s.O {
			sum.add(gy[i/s.I*s.O+o], w[o*s.I+i%s.I])
		}
		gx[i] = sum.sum()
	}
	half := func(low, high int) (gw, gb []float32) {
		gw, gb = stale(s.Weights()), stale(s.O)
		for i := range gw {
			var sum, bias chain
			for e := low; e < high; e++ {
				sum.add(gy[e*s.O+i/s.I], x[e*s.I+i%s.I])
				bias.add(gy[e*s.O+i/s.I], 1)
			}
			gw[i], gb[i/s.I] = sum.sum(), bias.sum()
		}
		return gw, gb
	}
	gw, gb := half(0, 20)
	gw2, gb2 := half(20, n)
	tree.Add(gw, gw2)
	tree.Add(gb, gb2)
	eachImpl(t, func(t *testing.T) {
		p := newPool(t, 2)
		got := stale(len(y))
		LinearForward(p, s, x, w, b, got)
		sameBits(t, "y", got, y)
		got = stale(len(gx))
		LinearBackwardData(p, s, gy, w, got)
		sameBits(t, "gx", got, gx)
		got, gotB := stale(len(gw)), stale(len(gb))
		LinearBackwardWeights(p, s, x, gy, []int{0, 20, n}, got, gotB)
		sameBits(t, "gw", got, gw)
		sameBits(t, "gb", gotB, gb)
	})
}

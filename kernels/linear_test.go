package kernels

import (
	"fmt"
	"testing"
)

var linears = []Linear{{1, 1}, {30, 7}, {5, 40}, {300, 3}, {33, 300}, {515, 2}, {64, 32}, {1024, 2}}

func TestFullyConnected(t *testing.T) {
	for i, s := range linears {
		for _, n := range []int{1, 5, 40} {
			t.Run(fmt.Sprintf("%+v×%d", s, n), func(t *testing.T) { checkFullyConnected(t, s, n, uint32(i*4+n)) })
		}
	}
	t.Run("large weights", func(t *testing.T) { checkFullyConnected(t, Linear{259, 260}, 3, 5) })
	t.Run("long micro-batch", func(t *testing.T) { checkFullyConnected(t, Linear{2, 3}, 600, 16) })
}

func FuzzFullyConnected(f *testing.F) {
	for i, s := range linears {
		f.Add(s.I, s.O, 9, uint32(i))
	}
	f.Fuzz(func(t *testing.T, i, o, n int, seed uint32) {
		s := Linear{i, o}
		if s.Check() != nil || n < 1 || n > 1000 || s.FLOPs()*n > 1e6 || (s.I+s.O)*n > 1e5 {
			t.Skip()
		}
		checkFullyConnected(t, s, n, seed)
	})
}

// cutSum adds up n products from init on, cut at every 256th.
func cutSum(s termSum, n int, product func(k int) (a, b float32)) float32 {
	for k := range n {
		a, b := product(k)
		s.part = fma(a, b, s.part)
		if (k+1)%piece == 0 || k+1 == n {
			s.cut()
		}
	}
	return s.total
}

func referenceLinear(s Linear, n int, x, w, b, gy, y, gx []float32) {
	for i := range y {
		n, o := i/s.O, i%s.O
		var sum termSum
		if b != nil {
			sum = begin(b[o])
		}
		y[i] = cutSum(sum, s.I, func(k int) (float32, float32) { return w[o*s.I+k], x[n*s.I+k] })
	}
	for i := range gx {
		n, i0 := i/s.I, i%s.I
		gx[i] = cutSum(termSum{}, s.O, func(k int) (float32, float32) { return gy[n*s.O+k], w[k*s.I+i0] })
	}
}

func referenceLinearWeights(s Linear, x, gy []float32, cuts []int, gw, gb []float32) {
	sum := func(o int, factor func(n int) float32) float32 {
		v, _ := treeSum(0, len(cuts)-1, func(m int) (float32, bool) {
			return cutSum(termSum{}, cuts[m+1]-cuts[m], func(k int) (float32, float32) {
				return gy[(cuts[m]+k)*s.O+o], factor(cuts[m] + k)
			}), cuts[m] < cuts[m+1]
		})
		return v
	}
	for i := range gw {
		gw[i] = sum(i/s.I, func(n int) float32 { return x[n*s.I+i%s.I] })
	}
	for o := range gb {
		gb[o] = sum(o, func(int) float32 { return 1 })
	}
}

// checkFullyConnected compares with the references, bit for bit, for every
// implementation and several numbers of threads.
func checkFullyConnected(t *testing.T, s Linear, n int, seed uint32) {
	z := noise(seed)
	x, gy := z.sparse(n*s.I), z.floats(n*s.O)
	w, b := z.floats(s.Weights()), z.floats(s.O)
	y, yPlain, gx := stale(n*s.O), stale(n*s.O), stale(n*s.I)
	gw, gb, cuts := stale(s.Weights()), stale(s.O), cutsFrom(n, seed)
	referenceLinear(s, n, x, w, nil, gy, yPlain, gx)
	referenceLinear(s, n, x, w, b, gy, y, gx)
	for i, v := range y {
		if 0 > v {
			y[i] = 0
		}
	}
	referenceLinearWeights(s, x, gy, cuts, gw, gb)
	eachImpl(t, func(t *testing.T) {
		for _, threads := range threadCounts[:3] {
			p := NewPool(threads)
			l := NewFullyConnected(s)
			got := stale(n * s.O)
			l.Forward(p, n, x, w, b, true, got)
			sameBits(t, "y", got, y)
			l.Forward(p, n, x, w, nil, false, got)
			sameBits(t, "y without bias", got, yPlain)
			got = stale(n * s.I)
			l.BackwardData(p, n, gy, w, got)
			sameBits(t, "gx", got, gx)
			gotW, gotB := stale(s.Weights()), stale(s.O)
			l.BackwardWeights(p, x, gy, cuts, gotW, gotB)
			sameBits(t, fmt.Sprintf("gw for cuts %v", cuts), gotW, gw)
			sameBits(t, "gb", gotB, gb)
			l.BackwardWeights(p, x, gy, cuts, gotW, nil)
			sameBits(t, "gw without bias", gotW, gw)
			p.Close()
		}
	})
}

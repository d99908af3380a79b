package kernels

import (
	"testing"

	"convoy/internal/golden"
)

// sumBound is the bound on max|difference| ÷ max|expected| of convolution and
// fully connected layers.
const sumBound = 1e-5

// eachGolden runs f for the cases that match with every implementation; cases that
// take the generic one long are left to the others, which give the same bits.
// Dilated convolutions are not built.
func eachGolden(t *testing.T, pattern string, f func(t *testing.T, p *Pool, c golden.Case)) {
	golden.Each(t, pattern, func(t *testing.T, c golden.Case) {
		if len(c.F32("w"))*len(c.F32("gy")) > 1e7 {
			f(t, newPool(t, 2), c)
			return
		}
		eachImpl(t, func(t *testing.T) { f(t, newPool(t, 2), c) })
	})
}

// optional is the tensor, or nil where the case has none.
func optional(c golden.Case, name string) []float32 {
	if !c.Has(name) {
		return nil
	}
	return c.F32(name)
}

// goldenConv is the shape of a case and its number of examples.
func goldenConv(c golden.Case) (s Conv, n int) {
	x, w, k, st, pad := c.Dims("x"), c.Dims("w"), c.Ints("kernel"), c.Ints("stride"), c.Ints("padding")
	return Conv{
		C: x[1], H: x[2], W: x[3], O: w[0], KH: k[0], KW: k[1],
		StrideH: st[0], StrideW: st[1], PadH: pad[0], PadW: pad[1], Groups: int(c.Float("groups")),
	}, x[0]
}

// goldenConvolutions are the patterns of the cases there are.
func goldenConvolutions(t *testing.T) []string {
	patterns := []string{"conv2d_[0-9]*", "conv2d_grouped_*"}
	if golden.Dir(t) != "testdata" {
		patterns = append(patterns, "conv2d_wide_*")
	}
	return patterns
}

func TestGoldenConvolution(t *testing.T) {
	for _, pattern := range goldenConvolutions(t) {
		eachGolden(t, pattern, func(t *testing.T, p *Pool, c golden.Case) {
			s, _ := goldenConv(c)
			checkGoldenConvolution(t, p, c, NewConvolution(s, true), sumBound)
		})
	}
}

// checkGoldenConvolution compares the three directions of plan with a case.
func checkGoldenConvolution(t *testing.T, p *Pool, c golden.Case, plan *Convolution, bound float64) {
	s, n := goldenConv(c)
	b := optional(c, "b")
	x, gy := nhwc(c.F32("x"), n, s.C), nhwc(c.F32("gy"), n, s.O)
	plan.Pack(p, c.F32("w"), true)
	y, gx, gw := Maps{stale(n * s.Out()), s.O}, Maps{stale(n * s.In()), s.C}, stale(s.Weights())
	var gb []float32
	if b != nil {
		gb = stale(s.O)
	}
	plan.Forward(p, n, x, b, false, y)
	c.Near(t, "y", nchw(y, n, s.O), bound)
	plan.BackwardData(p, n, gy, gx, false)
	c.Near(t, "gx", nchw(gx, n, s.C), bound)
	for _, cuts := range [][]int{{0, n}, {0, n / 3, n / 3, n/3 + (n-n/3)/2, n}} {
		plan.BackwardWeights(p, x, gy, cuts, gw, gb)
		c.Near(t, "gw", gw, bound)
		if gb != nil {
			c.Near(t, "gb", gb, bound)
		}
	}
}

// nhwc is the maps of an NCHW tensor of n examples of c channels, nchw the
// tensor of dense maps.
func nhwc(x []float32, n, c int) Maps {
	m := Maps{make([]float32, len(x)), c}
	pixels := len(x) / n / c
	for i, v := range x {
		m.V[(i/(c*pixels)*pixels+i%pixels)*c+i/pixels%c] = v
	}
	return m
}

func nchw(m Maps, n, c int) []float32 {
	x := make([]float32, len(m.V))
	pixels := len(x) / n / c
	for i := range x {
		x[i] = m.V[(i/(c*pixels)*pixels+i%pixels)*c+i/pixels%c]
	}
	return x
}

func TestGoldenFullyConnected(t *testing.T) {
	eachGolden(t, "linear_*", func(t *testing.T, p *Pool, c golden.Case) {
		w, n, b := c.Dims("w"), c.Dims("x")[0], optional(c, "b")
		s := Linear{I: w[1], O: w[0]}
		l := NewFullyConnected(s)
		y, gx, gw, gb := stale(n*s.O), stale(n*s.I), stale(s.Weights()), stale(s.O)
		l.Forward(p, n, c.F32("x"), c.F32("w"), b, false, y)
		c.Near(t, "y", y, sumBound)
		l.BackwardData(p, n, c.F32("gy"), c.F32("w"), gx)
		c.Near(t, "gx", gx, sumBound)
		l.BackwardWeights(p, c.F32("x"), c.F32("gy"), []int{0, n / 2, n}, gw, gb)
		c.Near(t, "gw", gw, sumBound)
		if b != nil {
			c.Near(t, "gb", gb, sumBound)
		}
	})
}

package kernels

import (
	"testing"

	"convoy/internal/golden"
)

// Bounds on max|difference| ÷ max|expected|.
const (
	sumBound     = 1e-5 // convolution and fully connected
	elementBound = 2e-6 // elementwise and pooling
)

// eachGolden runs f for the cases that match, with the references and the fast
// paths; cases that take the references long are left to the fast paths, which
// give the same bits. Grouped and dilated convolutions are not built.
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

func TestGoldenConv(t *testing.T) {
	for _, pattern := range []string{"conv2d_[0-9]*", "conv2d_wide_*"} {
		if golden.Dir(t) == "testdata" && pattern == "conv2d_wide_*" {
			continue
		}
		eachGolden(t, pattern, checkGoldenConv)
	}
}

func checkGoldenConv(t *testing.T, p *Pool, c golden.Case) {
	x, w, k, st, pad := c.Dims("x"), c.Dims("w"), c.Ints("kernel"), c.Ints("stride"), c.Ints("padding")
	s := Conv{
		C: x[1], H: x[2], W: x[3], O: w[0], KH: k[0], KW: k[1],
		StrideH: st[0], StrideW: st[1], PadH: pad[0], PadW: pad[1],
	}
	n, b := x[0], optional(c, "b")
	y, gx, gw := stale(n*s.Out()), stale(n*s.In()), stale(s.Weights())
	var gb []float32
	if b != nil {
		gb = stale(s.O)
	}
	ConvForward(p, s, c.F32("x"), c.F32("w"), b, y)
	c.Near(t, "y", y, sumBound)
	ConvBackwardData(p, s, c.F32("gy"), c.F32("w"), gx)
	c.Near(t, "gx", gx, sumBound)
	for _, cuts := range [][]int{{0, n}, {0, n / 3, n / 3, n/3 + (n-n/3)/2, n}} {
		ConvBackwardWeights(p, s, c.F32("x"), c.F32("gy"), cuts, gw, gb)
		c.Near(t, "gw", gw, sumBound)
		if gb != nil {
			c.Near(t, "gb", gb, sumBound)
		}
	}
}

func TestGoldenLinear(t *testing.T) {
	eachGolden(t, "linear_*", func(t *testing.T, p *Pool, c golden.Case) {
		w, n, b := c.Dims("w"), c.Dims("x")[0], optional(c, "b")
		s := Linear{I: w[1], O: w[0]}
		y, gx, gw, gb := stale(n*s.O), stale(n*s.I), stale(s.Weights()), stale(s.O)
		LinearForward(p, s, c.F32("x"), c.F32("w"), b, y)
		c.Near(t, "y", y, sumBound)
		LinearBackwardData(p, s, c.F32("gy"), c.F32("w"), gx)
		c.Near(t, "gx", gx, sumBound)
		LinearBackwardWeights(p, s, c.F32("x"), c.F32("gy"), []int{0, n / 2, n}, gw, gb)
		c.Near(t, "gw", gw, sumBound)
		if b != nil {
			c.Near(t, "gb", gb, sumBound)
		}
	})
}

func goldenPool(c golden.Case) (s Pool2D, n int) {
	x, k, st, pad := c.Dims("x"), c.Ints("kernel"), c.Ints("stride"), c.Ints("padding")
	return Pool2D{
		C: x[1], H: x[2], W: x[3], KH: k[0], KW: k[1],
		StrideH: st[0], StrideW: st[1], PadH: pad[0], PadW: pad[1],
	}, x[0]
}

func TestGoldenMaxPool(t *testing.T) {
	golden.Each(t, "maxpool_*", func(t *testing.T, c golden.Case) {
		s, n := goldenPool(c)
		p := newPool(t, 2)
		y, gx, arg := stale(n*s.Out()), stale(n*s.In()), make([]int32, n*s.Out())
		MaxPoolForward(p, s, c.F32("x"), y, arg)
		c.Near(t, "y", y, elementBound)
		MaxPoolBackward(p, s, c.F32("gy"), arg, gx)
		c.Near(t, "gx", gx, elementBound)
	})
}

func TestGoldenAvgPool(t *testing.T) {
	golden.Each(t, "avgpool_*", func(t *testing.T, c golden.Case) {
		s, n := goldenPool(c)
		s.CountPad = c.Bool("count_include_pad")
		checkGoldenAvgPool(t, s, n, c)
	})
}

func TestGoldenGlobalAvgPool(t *testing.T) {
	golden.Each(t, "gap_*", func(t *testing.T, c golden.Case) {
		x := c.Dims("x")
		s := Pool2D{C: x[1], H: x[2], W: x[3], KH: x[2], KW: x[3], StrideH: 1, StrideW: 1}
		checkGoldenAvgPool(t, s, x[0], c)
	})
}

func checkGoldenAvgPool(t *testing.T, s Pool2D, n int, c golden.Case) {
	p := newPool(t, 2)
	y, gx := stale(n*s.Out()), stale(n*s.In())
	AvgPoolForward(p, s, c.F32("x"), y)
	c.Near(t, "y", y, elementBound)
	AvgPoolBackward(p, s, c.F32("gy"), gx)
	c.Near(t, "gx", gx, elementBound)
}

func TestGoldenActivation(t *testing.T) {
	for pattern, op := range map[string]struct {
		forward  func(p *Pool, x, y []float32)
		backward func(p *Pool, y, gy, gx []float32)
	}{
		"act_relu_*":    {ReLUForward, ReLUBackward},
		"act_sigmoid_*": {SigmoidForward, SigmoidBackward},
		"act_tanh_*":    {TanhForward, TanhBackward},
	} {
		golden.Each(t, pattern, func(t *testing.T, c golden.Case) {
			p := newPool(t, 2)
			y, gx := c.F32("x"), c.F32("gy")
			op.forward(p, y, y)
			c.Near(t, "y", y, elementBound)
			op.backward(p, y, gx, gx)
			c.Near(t, "gx", gx, elementBound)
		})
	}
}

func TestGoldenCrossEntropy(t *testing.T) {
	golden.Each(t, "xent_*", func(t *testing.T, c golden.Case) {
		x := c.Dims("x")
		n, classes := x[0], x[1]
		var labels []int32
		for _, l := range c.I64("labels") {
			labels = append(labels, int32(l))
		}
		losses, gx := make([]float64, n), stale(n*classes)
		SoftmaxCrossEntropy(newPool(t, 2), classes, c.F32("x"), labels, losses, gx)
		perExample := make([]float32, n)
		var mean float64
		for i, l := range losses {
			perExample[i] = float32(l)
			mean += l / float64(n)
		}
		for i := range gx {
			gx[i] /= float32(n) // PyTorch's is the gradient of the mean
		}
		c.Near(t, "per_sample", perExample, elementBound)
		c.Near(t, "loss", []float32{float32(mean)}, elementBound)
		c.Near(t, "gx", gx, elementBound)
	})
}

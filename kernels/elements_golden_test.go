package kernels

import (
	"slices"
	"testing"

	"convoy/internal/golden"
)

// elementBound bounds max|difference| ÷ max|expected| of what is no sum of many
// products.
const elementBound = 2e-6

// goldenMaps returns a tensor of a case, [N][C] or [N][C][H][W], as maps, with how
// many pixels and channels they have.
func goldenMaps(p *Pool, c golden.Case, name string) (m Maps, pixels, channels int) {
	v, d := c.F32(name), c.Dims(name)
	m = Maps{stale(len(v)), d[1]}
	NCHWToMaps(p, d[0], d[1], len(v)/d[0]/d[1], v, m)
	return m, len(v) / d[1], d[1]
}

// nearMaps compares maps with a tensor of a case.
func nearMaps(t *testing.T, p *Pool, c golden.Case, name string, m Maps) {
	t.Helper()
	d, v := c.Dims(name), stale(len(m.V))
	MapsToNCHW(p, d[0], d[1], len(v)/d[0]/d[1], m, v)
	c.Near(t, name, v, elementBound)
}

func goldenPool(c golden.Case) (s Pool2D, n int) {
	x, k, st, pad := c.Dims("x"), c.Ints("kernel"), c.Ints("stride"), c.Ints("padding")
	return Pool2D{
		C: x[1], H: x[2], W: x[3], KH: k[0], KW: k[1],
		StrideH: st[0], StrideW: st[1], PadH: pad[0], PadW: pad[1],
	}, x[0]
}

// eachGoldenElement runs f for each case that matches, with each implementation.
func eachGoldenElement(t *testing.T, pattern string, f func(t *testing.T, p *Pool, c golden.Case)) {
	golden.Each(t, pattern, func(t *testing.T, c golden.Case) {
		eachImpl(t, func(t *testing.T) { f(t, newPool(t, 2), c) })
	})
}

func TestGoldenMaxPool(t *testing.T) {
	eachGoldenElement(t, "maxpool_*", func(t *testing.T, p *Pool, c golden.Case) {
		s, n := goldenPool(c)
		x, _, _ := goldenMaps(p, c, "x")
		gy, _, _ := goldenMaps(p, c, "gy")
		y, arg := Maps{stale(n * s.Out()), s.C}, make([]uint8, n*s.Out())
		MaxPoolForward(p, s, n, x, y, arg)
		nearMaps(t, p, c, "y", y)
		MaxPoolBackward(p, s, n, gy, arg, x, false)
		nearMaps(t, p, c, "gx", x)
	})
}

func TestGoldenAvgPool(t *testing.T) {
	eachGoldenElement(t, "avgpool_*", func(t *testing.T, p *Pool, c golden.Case) {
		s, n := goldenPool(c)
		s.CountPad = c.Bool("count_include_pad")
		checkGoldenAvgPool(t, p, s, n, c)
	})
}

func TestGoldenGlobalAvgPool(t *testing.T) {
	eachGoldenElement(t, "gap_*", func(t *testing.T, p *Pool, c golden.Case) {
		x := c.Dims("x")
		s := Pool2D{C: x[1], H: x[2], W: x[3], KH: x[2], KW: x[3], StrideH: 1, StrideW: 1}
		checkGoldenAvgPool(t, p, s, x[0], c)
	})
}

func checkGoldenAvgPool(t *testing.T, p *Pool, s Pool2D, n int, c golden.Case) {
	x, _, _ := goldenMaps(p, c, "x")
	gy, _, _ := goldenMaps(p, c, "gy")
	y := Maps{stale(n * s.Out()), s.C}
	AvgPoolForward(p, s, n, x, y)
	nearMaps(t, p, c, "y", y)
	AvgPoolBackward(p, s, n, gy, x, false)
	nearMaps(t, p, c, "gx", x)
}

func TestGoldenActivation(t *testing.T) {
	for i, pattern := range []string{"act_relu_*", "act_sigmoid_*", "act_tanh_*", "act_scaled_tanh_1998_*"} {
		op := activations[i]
		eachGoldenElement(t, pattern, func(t *testing.T, p *Pool, c golden.Case) {
			y, pixels, channels := goldenMaps(p, c, "x")
			g, _, _ := goldenMaps(p, c, "gy")
			op.forward(p, pixels, channels, y, y)
			nearMaps(t, p, c, "y", y)
			op.backward(p, pixels, channels, y, g, g)
			nearMaps(t, p, c, "gx", g)
		})
	}
}

func TestGoldenLRN(t *testing.T) {
	eachGoldenElement(t, "lrn_*", func(t *testing.T, p *Pool, c golden.Case) {
		l := LRN{int(c.Float("size")), float32(c.Float("alpha")), float32(c.Float("beta")), float32(c.Float("k"))}
		x, pixels, channels := goldenMaps(p, c, "x")
		g, _, _ := goldenMaps(p, c, "gy")
		y := Maps{stale(pixels * channels), channels}
		LRNForward(p, l, pixels, channels, x, y)
		nearMaps(t, p, c, "y", y)
		LRNBackward(p, l, pixels, channels, x, g, g)
		nearMaps(t, p, c, "gx", g)
	})
}

func TestGoldenDropout(t *testing.T) {
	eachGoldenElement(t, "dropout_mask", func(t *testing.T, p *Pool, c golden.Case) {
		rate, y := float32(c.Float("p")), c.F32("x")
		keep := make([]uint8, len(y))
		for i, v := range c.F32("mask") {
			keep[i] = uint8(v)
		}
		Dropout(p, rate, keep, y, y)
		c.Near(t, "y", y, elementBound)
		g := c.F32("gy")
		Dropout(p, rate, keep, g, g)
		c.Near(t, "gx", g, elementBound)
	})
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
		probs := slices.Clone(gx) // but for the label's, which has 1 subtracted
		for i, label := range labels {
			probs[i*classes+int(label)]++
		}
		c.Near(t, "probs", probs, elementBound)
		for i := range gx {
			gx[i] /= float32(n) // PyTorch's is the gradient of the mean
		}
		c.Near(t, "per_sample", perExample, elementBound)
		c.Near(t, "loss", []float32{float32(mean)}, elementBound)
		c.Near(t, "gx", gx, elementBound)
	})
}

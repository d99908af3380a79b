package nn

import (
	"fmt"
	"testing"

	"convoy/internal/golden"
	"convoy/kernels"
)

// given is an operator that stands for a branch of a known output.
type given struct {
	shape Shape
	y, gy []float32 // NCHW
}

func (g *given) out() Shape     { return g.shape }
func (g *given) traits() traits { return traits{windows: true, adds: true} }

func (g *given) forward(r *run, _, y kernels.Maps) {
	kernels.NCHWToMaps(r.pool, r.n, g.shape.C, g.shape.pixels(), g.y, y)
}

func (g *given) backward(r *run, _, _, gy, _ kernels.Maps, _ bool) {
	kernels.MapsToNCHW(r.pool, r.n, g.shape.C, g.shape.pixels(), gy, g.gy)
}

func TestGoldenConcat(t *testing.T) {
	golden.Each(t, "concat_*", func(t *testing.T, c golden.Case) {
		var b branches
		for i := 0; c.Has(fmt.Sprintf("x%d", i)); i++ {
			name := fmt.Sprintf("x%d", i)
			d := c.Dims(name)
			s := Shape{d[1], d[2], d[3]}
			g := &given{s, c.F32(name), make([]float32, len(c.F32(name)))}
			b.chains = append(b.chains, &chain{wantsInput: true, links: []link{{op: g, traits: g.traits(), out: s}}})
			b.shape = Shape{b.shape.C + s.C, s.H, s.W}
		}
		r := run{pool: pool(t, 2), n: c.Dims("y")[0]}
		turned := func(v []float32) kernels.Maps {
			m := kernels.Maps{V: make([]float32, len(v)), Pitch: b.shape.C}
			kernels.NCHWToMaps(r.pool, r.n, b.shape.C, b.shape.pixels(), v, m)
			return m
		}
		y := kernels.Maps{V: make([]float32, len(c.F32("y"))), Pitch: b.shape.C}
		b.forward(&r, kernels.Maps{}, y)
		b.backward(&r, kernels.Maps{}, y, turned(c.F32("gy")), kernels.Maps{}, false)
		if !sameBits(y.V, turned(c.F32("y")).V) {
			t.Error("the outputs are not joined")
		}
		for i, inner := range b.chains {
			c.Near(t, fmt.Sprintf("gx%d", i), inner.links[0].op.(*given).gy, 0)
		}
	})
}

func TestGoldenGlobalAvgPool(t *testing.T) {
	golden.Each(t, "gap_*", func(t *testing.T, c golden.Case) {
		d := c.Dims("x")
		s := Shape{d[1], d[2], d[3]}
		r, op := bound(t, GlobalAvgPool{}, s, true)
		r.n = d[0]
		v := make([]float32, len(c.F32("x")))
		x := kernels.Maps{V: v, Pitch: s.C}
		kernels.NCHWToMaps(r.pool, r.n, s.C, s.pixels(), c.F32("x"), x)
		y := kernels.Maps{V: make([]float32, r.n*s.C), Pitch: s.C}
		op.forward(r, x, y)
		c.Near(t, "y", y.V, 2e-6)
		op.backward(r, x, y, kernels.Maps{V: c.F32("gy"), Pitch: s.C}, x, false)
		gx := make([]float32, len(v))
		kernels.MapsToNCHW(r.pool, r.n, s.C, s.pixels(), x, gx)
		c.Near(t, "gx", gx, 2e-6)
	})
}

func TestGoldenNoticesChanges(t *testing.T) {
	golden.Notices(t, "TestGoldenConcat", "concat_*")
	golden.Notices(t, "TestGoldenGlobalAvgPool", "gap_*")
}

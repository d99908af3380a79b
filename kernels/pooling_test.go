package kernels

import (
	"math"
	"testing"
)

var poolings = []Pool2D{
	{C: 1, H: 1, W: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 6, H: 12, W: 12, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
	{C: 64, H: 7, W: 6, KH: 2, KW: 2, StrideH: 2, StrideW: 2, ReLU: true},
	{C: 19, H: 11, W: 9, KH: 3, KW: 2, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1},
	{C: 33, H: 7, W: 7, KH: 5, KW: 5, StrideH: 1, StrideW: 3, PadH: 2, PadW: 2, CountPad: true},
	{C: 18, H: 5, W: 5, KH: 2, KW: 2, StrideH: 3, StrideW: 3},
	{C: 96, H: 8, W: 8, KH: 3, KW: 3, StrideH: 2, StrideW: 2},
	{C: 48, H: 6, W: 6, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, ReLU: true},
	{C: 17, H: 6, W: 5, KH: 6, KW: 5, StrideH: 1, StrideW: 1},
	{C: 3, H: 4, W: 4, KH: 8, KW: 8, StrideH: 1, StrideW: 1, PadH: 4, PadW: 4},
	{C: 20, H: 15, W: 17, KH: 15, KW: 17, StrideH: 1, StrideW: 1},
	{C: 16, H: 20, W: 30, KH: 20, KW: 30, StrideH: 1, StrideW: 1},
}

func TestPooling(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for i, s := range poolings {
			checkPooling(t, s, 2, uint32(i))
		}
	})
}

func FuzzPooling(f *testing.F) {
	for i, s := range poolings {
		f.Add(s.C, s.H, s.W, s.KH, s.KW, s.StrideH, s.StrideW, s.PadH, s.PadW, s.CountPad, s.ReLU, uint32(i))
	}
	f.Fuzz(func(t *testing.T, c, h, w, kh, kw, sh, sw, ph, pw int, count, relu bool, seed uint32) {
		s := Pool2D{c, h, w, kh, kw, sh, sw, ph, pw, count, relu}
		if s.Check() != nil || s.In() > 1e4 || s.Out()*kh*kw > 1e5 {
			t.Skip()
		}
		eachImpl(t, func(t *testing.T) { checkPooling(t, s, 2, seed) })
	})
}

// TestPoolingPastTheCache: gradients of many maps are stored in another way.
func TestPoolingPastTheCache(t *testing.T) {
	before := streamed
	defer func() { streamed = before }()
	streamed = 1
	eachImpl(t, func(t *testing.T) {
		for i, s := range poolings {
			if s.C%16 != 0 || s.KH*s.KW > noArg {
				continue
			}
			z := noise(i)
			gy, arg := z.floats(2*s.Out()), make([]uint8, 2*s.Out())
			want := referencePooling(s, 2, z.sparse(2*s.In()), gy)
			copy(arg, want.arg)
			eachThreads(func(p *Pool) {
				gx := Maps{Floats(2 * s.In()), s.C}
				MaxPoolBackward(p, s, 2, Maps{gy, s.C}, arg, gx, false)
				sameNumbers(t, name(s)+" max gx", gx.V, want.maxG)
				AvgPoolBackward(p, s, 2, Maps{gy, s.C}, gx, false)
				sameNumbers(t, name(s)+" mean gx", gx.V, want.meanG)
			})
		}
	})
}

// pooled is what poolings of one example's channel have to give.
type pooled struct {
	max, mean          []float32 // by output
	arg                []uint8
	maxG, meanG        []float32 // by input
	maxTerms, avgTerms [][]float32
}

// checkPooling compares with loops over the windows that look at each position.
func checkPooling(t *testing.T, s Pool2D, n int, seed uint32) {
	t.Helper()
	z := noise(seed)
	x, gy := z.sparse(n*s.In()), z.floats(n*s.Out())
	if seed%4 == 3 {
		for i := 0; i < len(x); i += 11 {
			x[i] = float32(math.NaN())
		}
	}
	before := z.floats(n * s.In())
	want := referencePooling(s, n, x, gy)
	ins, outs := n*s.H*s.W, n*s.OutH()*s.OutW()
	eachThreads(func(p *Pool) {
		for _, dense := range []bool{true, false} {
			in, out, g := mapsOf(x, ins, s.C, dense), mapsOf(nil, outs, s.C, !dense), mapsOf(gy, outs, s.C, dense)
			gx, arg := mapsOf(nil, ins, s.C, !dense), make([]uint8, n*s.Out())
			AvgPoolForward(p, s, n, in, out)
			sameNumbers(t, name(s)+" mean", out.floats(outs, s.C), want.mean)
			AvgPoolBackward(p, s, n, g, gx, false)
			sameNumbers(t, name(s)+" mean gx", gx.floats(ins, s.C), want.meanG)
			added := mapsOf(before, ins, s.C, dense)
			AvgPoolBackward(p, s, n, g, added, true)
			sameNumbers(t, name(s)+" mean gx added", added.floats(ins, s.C), plusEach(before, want.meanG))
			if s.KH*s.KW > noArg {
				continue
			}
			MaxPoolForward(p, s, n, in, out, arg)
			sameNumbers(t, name(s)+" max", out.floats(outs, s.C), want.max)
			for i, a := range want.arg {
				if arg[i] != a {
					t.Fatalf("%+v: arg %d is %d, want %d", s, i, arg[i], a)
				}
			}
			MaxPoolBackward(p, s, n, g, arg, gx, false)
			sameNumbers(t, name(s)+" max gx", gx.floats(ins, s.C), want.maxG)
			added = mapsOf(before, ins, s.C, dense)
			MaxPoolBackward(p, s, n, g, arg, added, true)
			sameNumbers(t, name(s)+" max gx added", added.floats(ins, s.C), plusEach(before, want.maxG))
			out = mapsOf(nil, outs, s.C, dense)
			MaxPoolForward(p, s, n, in, out, nil)
			sameNumbers(t, name(s)+" max without arg", out.floats(outs, s.C), want.max)
		}
	})
}

func plusEach(a, b []float32) []float32 {
	sum := make([]float32, len(a))
	for i := range a {
		sum[i] = a[i] + b[i]
	}
	return sum
}

// sameNumbers is sameBits for results among which NaN may have any bits.
func sameNumbers(t *testing.T, name string, got, want []float32) {
	t.Helper()
	canonical := func(v []float32) []float32 {
		c := append([]float32(nil), v...)
		for i := range c {
			if c[i] != c[i] {
				c[i] = float32(math.NaN())
			}
		}
		return c
	}
	sameBits(t, name, canonical(got), canonical(want))
}

// referencePooling is the doc comments of the poolings, seen from the outputs.
func referencePooling(s Pool2D, n int, x, gy []float32) pooled {
	outs := n * s.Out()
	r := pooled{
		max: make([]float32, outs), mean: make([]float32, outs), arg: make([]uint8, outs),
		maxTerms: make([][]float32, n*s.In()), avgTerms: make([][]float32, n*s.In()),
	}
	for i := range outs {
		r.output(s, i, x, gy)
	}
	for i := range n * s.In() {
		r.maxG = append(r.maxG, sumOf(r.maxTerms[i]))
		r.meanG = append(r.meanG, sumOf(r.avgTerms[i]))
	}
	return r
}

func (r *pooled) output(s Pool2D, i int, x, gy []float32) {
	c, ow, oh := i%s.C, i/s.C%s.OutW(), i/s.C/s.OutW()%s.OutH()
	example := i / s.Out()
	best, where, kBest := float32(math.Inf(-1)), -1, 0
	var inside []int
	var terms []float32
	for k := range s.KH * s.KW {
		h, w := oh*s.StrideH+k/s.KW-s.PadH, ow*s.StrideW+k%s.KW-s.PadW
		if h < 0 || h >= s.H || w < 0 || w >= s.W {
			continue
		}
		j := ((example*s.H+h)*s.W+w)*s.C + c
		inside, terms = append(inside, j), append(terms, x[j])
		if where < 0 || x[j] > best || x[j] != x[j] {
			best, where, kBest = x[j], j, k
		}
	}
	count := float32(len(inside))
	if s.CountPad {
		count = float32(s.KH * s.KW)
	}
	r.max[i], r.arg[i], r.mean[i] = best, uint8(kBest), sumOf(terms)/count
	if s.ReLU && !(best > 0) {
		r.arg[i] = noArg
	} else {
		r.maxTerms[where] = append(r.maxTerms[where], gy[i])
	}
	for _, j := range inside {
		r.avgTerms[j] = append(r.avgTerms[j], gy[i]/count)
	}
}

// sumOf cuts after every 256 terms.
func sumOf(terms []float32) float32 {
	var total float32
	for low := 0; low < len(terms); low += 256 {
		var part float32
		for _, v := range terms[low:min(low+256, len(terms))] {
			part += v
		}
		if low == 0 {
			total = part
		} else {
			total += part
		}
	}
	return total
}

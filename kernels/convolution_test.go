package kernels

import (
	"fmt"
	"testing"
)

// convs are shapes with every kind of edge: one pixel, kernels as large as the
// image, strides above the kernel, padding above it, rows of pixels and of taps
// that fill no tile, sums longer than a piece, groups down to one channel each.
var convs = []Conv{
	{C: 1, H: 1, W: 1, O: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 1, H: 12, W: 28, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2},
	{C: 6, H: 7, W: 14, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
	{C: 3, H: 17, W: 23, O: 5, KH: 3, KW: 3, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1},
	{C: 2, H: 9, W: 8, O: 4, KH: 11, KW: 7, StrideH: 4, StrideW: 3, PadH: 2, PadW: 1},
	{C: 2, H: 5, W: 6, O: 2, KH: 1, KW: 2, StrideH: 3, StrideW: 3, PadH: 2, PadW: 3},
	{C: 40, H: 5, W: 4, O: 37, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 16, H: 5, W: 5, O: 7, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
	{C: 35, H: 4, W: 4, O: 33, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 5, H: 5, W: 4, O: 3, KH: 1, KW: 1, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
	{C: 300, H: 2, W: 2, O: 2, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 48, H: 2, W: 3, O: 21, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 16, H: 12, W: 13, O: 16, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 16, H: 40, W: 53, O: 3, KH: 1, KW: 1, StrideH: 1, StrideW: 1}, // above treePixels
	{C: 2, H: 3, W: 3, O: 90, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 1, H: 2, W: 300, O: 2, KH: 2, KW: 2, StrideH: 1, StrideW: 1},
	{C: 6, H: 7, W: 6, O: 34, KH: 3, KW: 2, StrideH: 1, StrideW: 2, PadH: 1, PadW: 1, Groups: 2},
	{C: 36, H: 4, W: 5, O: 54, KH: 1, KW: 1, StrideH: 1, StrideW: 1, Groups: 2},
	{C: 64, H: 4, W: 5, O: 36, KH: 1, KW: 1, StrideH: 1, StrideW: 1, Groups: 4},
	{C: 7, H: 6, W: 5, O: 7, KH: 3, KW: 3, StrideH: 1, StrideW: 1, Groups: 7},
}

// A termSum adds up products as a doc comment says.
type termSum struct {
	total, part float32
	any         bool
}

func (s *termSum) cut() {
	if s.any {
		s.total = s.total + s.part
	} else {
		s.total = s.part
	}
	s.any, s.part = true, 0
}

// begin is a sum that starts with v.
func begin(v float32) termSum { return termSum{total: v, any: true} }

// pixel is channel c of pixel (h, w) of an example, or zero outside of the image.
func pixel(m Maps, rows, cols, example, h, w, c int) float32 {
	if h < 0 || w < 0 || h >= rows || w >= cols {
		return 0
	}
	return m.V[((example*rows+h)*cols+w)*m.Pitch+c]
}

// kernelSum adds up the products of taps kernel rows of run products each, as
// the direct convolution does.
func kernelSum(s termSum, taps, run int, product func(row, k int) (a, b float32)) float32 {
	atMost := max(1, piece/run)
	pieces, cuts := (taps+atMost-1)/atMost, 1
	if run > piece {
		pieces, cuts = taps, (run+piece-1)/piece
	}
	for i := range pieces {
		for j := range cuts {
			for row := i * taps / pieces; row < (i+1)*taps/pieces; row++ {
				for k := j * run / cuts; k < (j+1)*run/cuts; k++ {
					a, b := product(row, k)
					s.part = fma(a, b, s.part)
				}
			}
			s.cut()
		}
	}
	return s.total
}

func referenceForward(s Conv, n int, x Maps, w, b []float32, relu bool, y Maps) {
	for p := range n * s.OutH() * s.OutW() {
		example, oh, ow := p/(s.OutH()*s.OutW()), p/s.OutW()%s.OutH(), p%s.OutW()
		for o := range s.O {
			var sum termSum
			if b != nil {
				sum = begin(b[o])
			}
			v := kernelSum(sum, s.KH, s.KW*s.C, func(kh, k int) (float32, float32) {
				kw, c := k/s.C, k%s.C
				return pixel(x, s.H, s.W, example, oh*s.StrideH+kh-s.PadH, ow*s.StrideW+kw-s.PadW, c),
					w[((o*s.C+c)*s.KH+kh)*s.KW+kw]
			})
			if relu && 0 > v {
				v = 0
			}
			y.V[p*y.Pitch+o] = v
		}
	}
}

// taps are the kernel positions that reach input position i, the last first.
func taps(i, kernel, stride, pad int) (list []int) {
	for k := kernel - 1; k >= 0; k-- {
		if (i+pad-k)%stride == 0 {
			list = append(list, k)
		}
	}
	return list
}

func referenceBackwardData(s Conv, n int, gy Maps, w []float32, gx Maps, add bool) {
	for p := range n * s.H * s.W {
		example, ih, iw := p/(s.H*s.W), p/s.W%s.H, p%s.W
		rows, columns := taps(ih, s.KH, s.StrideH, s.PadH), taps(iw, s.KW, s.StrideW, s.PadW)
		for c := range s.C {
			at := &gx.V[p*gx.Pitch+c]
			var sum termSum
			if add {
				sum = begin(*at)
			}
			if len(rows)*len(columns) == 0 {
				*at = sum.total
				continue
			}
			*at = kernelSum(sum, len(rows), len(columns)*s.O, func(row, k int) (float32, float32) {
				kh, kw, o := rows[row], columns[k/s.O], k%s.O
				oh, ow := (ih+s.PadH-kh)/s.StrideH, (iw+s.PadW-kw)/s.StrideW
				return pixel(gy, s.OutH(), s.OutW(), example, oh, ow, o), w[((o*s.C+c)*s.KH+kh)*s.KW+kw]
			})
		}
	}
}

// treeSum adds up micro-batches low to high in tree order.
func treeSum(low, high int, leaf func(m int) (v float32, ok bool)) (v float32, ok bool) {
	if high-low == 1 {
		return leaf(low)
	}
	l, lOK := treeSum(low, (low+high)/2, leaf)
	r, rOK := treeSum((low+high)/2, high, leaf)
	switch {
	case !lOK:
		return r, rOK
	case rOK:
		l = l + r
	}
	return l, true
}

// pixelSum adds up products over the output pixels of examples low to high as the
// direct convolution does.
func pixelSum(s Conv, low, high int, product func(example, oh, ow int) (a, b float32)) float32 {
	var sum termSum
	area, width := s.OutH()*s.OutW(), s.OutW()
	for example := low; example < high; example++ {
		for p := range area {
			a, b := product(example, p/width, p%width)
			sum.part = fma(a, b, sum.part)
			last := p+1 == area
			switch {
			case area <= piece:
				if last && (example+1 == high || (example+1-low)%(piece/area) == 0) {
					sum.cut()
				}
			case width <= piece:
				rows := piece / width
				pieces := (s.OutH() + rows - 1) / rows
				if next := (p + 1) / width; (p+1)%width == 0 && isBound(next, s.OutH(), pieces) {
					sum.cut()
				}
			case isBound(p%width+1, width, (width+piece-1)/piece):
				sum.cut()
			}
		}
	}
	return sum.total
}

// isBound reports whether one of the even parts of n ends at i.
func isBound(i, n, parts int) bool {
	for j := range parts {
		if i == (j+1)*n/parts {
			return true
		}
	}
	return false
}

func referenceBackwardWeights(s Conv, x, gy Maps, cuts []int, gw, gb []float32) {
	sum := func(o int, factor func(example, oh, ow int) float32) float32 {
		v, _ := treeSum(0, len(cuts)-1, func(m int) (float32, bool) {
			return pixelSum(s, cuts[m], cuts[m+1], func(example, oh, ow int) (float32, float32) {
				return pixel(gy, s.OutH(), s.OutW(), example, oh, ow, o), factor(example, oh, ow)
			}), cuts[m] < cuts[m+1]
		})
		return v
	}
	for i := range gw {
		o, c, kh, kw := i/(s.C*s.KH*s.KW), i/(s.KH*s.KW)%s.C, i/s.KW%s.KH, i%s.KW
		gw[i] = sum(o, func(example, oh, ow int) float32 {
			return pixel(x, s.H, s.W, example, oh*s.StrideH+kh-s.PadH, ow*s.StrideW+kw-s.PadW, c)
		})
	}
	for o := range gb {
		gb[o] = sum(o, func(example, oh, ow int) float32 { return 1 })
	}
}

// maps are n pixels of c channels with what floats gives, in a window of maps
// wider by extra.
func maps(floats func(n int) []float32, n, c, extra int) Maps {
	return Maps{floats(n*(c+extra) + extra), c + extra}.Window(extra / 2)
}

// clone is a copy of m.
func (m Maps) clone() Maps { return Maps{append([]float32(nil), m.V...), m.Pitch} }

func TestConvolution(t *testing.T) {
	for i, s := range convs {
		for _, n := range []int{1, 2, 7} {
			t.Run(fmt.Sprintf("%+v×%d", s, n), func(t *testing.T) { checkConvolution(t, s, n, uint32(i*8+n)) })
		}
	}
}

func FuzzConvolution(f *testing.F) {
	for i, s := range convs {
		f.Add(s.C, s.H, s.W, s.O, s.KH, s.KW, s.StrideH, s.StrideW, s.PadH, s.PadW, s.Groups, 3, uint32(i))
	}
	f.Fuzz(func(t *testing.T, c, h, w, o, kh, kw, sh, sw, ph, pw, groups, n int, seed uint32) {
		s := Conv{c, h, w, o, kh, kw, sh, sw, ph, pw, groups}
		if s.Check() != nil || n < 1 || n > 300 || s.FLOPs()*n > 1e6 || (s.In()+s.Out()+s.C*(h+2*ph)*(w+2*pw))*n > 1e5 {
			t.Skip()
		}
		checkConvolution(t, s, n, seed)
	})
}

// A convolutionReference is the definition of an algorithm, written out.
type convolutionReference struct {
	plan            func(s Conv) *Convolution
	forward         func(s Conv, n int, x Maps, w, b []float32, relu bool, y Maps)
	backwardData    func(s Conv, n int, gy Maps, w []float32, gx Maps, add bool)
	backwardWeights func(s Conv, x, gy Maps, cuts []int, gw, gb []float32)
}

// inGroups is the definition for each group by itself, between windows of its
// channels.
func (r convolutionReference) inGroups() convolutionReference {
	each := func(s Conv, f func(g Conv, i int)) {
		for i := range s.groups() {
			f(s.group(), i)
		}
	}
	part := func(v []float32, i, n int) []float32 {
		if v == nil {
			return nil
		}
		return v[i*n:][:n]
	}
	return convolutionReference{
		r.plan,
		func(s Conv, n int, x Maps, w, b []float32, relu bool, y Maps) {
			each(s, func(g Conv, i int) {
				r.forward(g, n, x.Window(i*g.C), part(w, i, g.Weights()), part(b, i, g.O), relu, y.Window(i*g.O))
			})
		},
		func(s Conv, n int, gy Maps, w []float32, gx Maps, add bool) {
			each(s, func(g Conv, i int) {
				r.backwardData(g, n, gy.Window(i*g.O), part(w, i, g.Weights()), gx.Window(i*g.C), add)
			})
		},
		func(s Conv, x, gy Maps, cuts []int, gw, gb []float32) {
			each(s, func(g Conv, i int) {
				r.backwardWeights(g, x.Window(i*g.C), gy.Window(i*g.O), cuts, part(gw, i, g.Weights()), part(gb, i, g.O))
			})
		},
	}
}

// checkConvolution checks the direct algorithm.
func checkConvolution(t *testing.T, s Conv, n int, seed uint32) {
	checkAlgorithm(t, s, n, seed, convolutionReference{
		func(s Conv) *Convolution { return NewConvolution(s, true) },
		referenceForward, referenceBackwardData, referenceBackwardWeights,
	})
}

// checkAlgorithm compares an algorithm with its reference, bit for bit, for every
// implementation and several numbers of threads.
func checkAlgorithm(t *testing.T, s Conv, n int, seed uint32, reference convolutionReference) {
	reference = reference.inGroups()
	z := noise(seed)
	extra := int(seed % 3 * 5)
	x, w, b := maps(z.sparse, n*s.H*s.W, s.C, 0), z.floats(s.Weights()), z.floats(s.O)
	if s.KH*s.KW == 1 {
		x = maps(z.sparse, n*s.H*s.W, s.C, extra)
	}
	gy := maps(z.floats, n*s.OutH()*s.OutW(), s.O, extra)
	y0 := maps(z.floats, n*s.OutH()*s.OutW(), s.O, extra)
	gx0 := maps(z.floats, n*s.H*s.W, s.C, extra)
	y, yPlain, gx, gxAdd := y0.clone(), y0.clone(), gx0.clone(), gx0.clone()
	gw, gb, cuts := stale(s.Weights()), stale(s.O), cutsFrom(n, seed)
	reference.forward(s, n, x, w, b, true, y)
	reference.forward(s, n, x, w, nil, false, yPlain)
	reference.backwardData(s, n, gy, w, gx, false)
	reference.backwardData(s, n, gy, w, gxAdd, true)
	reference.backwardWeights(s, x, gy, cuts, gw, gb)
	eachImpl(t, func(t *testing.T) {
		for _, threads := range threadCounts[:3] {
			p := NewPool(threads)
			c := reference.plan(s)
			c.Pack(p, w, true)
			got := y0.clone()
			c.Forward(p, n, x, b, true, got)
			sameBits(t, "y", got.V, y.V)
			got = y0.clone()
			c.Forward(p, n, x, nil, false, got)
			sameBits(t, "y without bias", got.V, yPlain.V)
			got = gx0.clone()
			c.BackwardData(p, n, gy, got, false)
			sameBits(t, "gx", got.V, gx.V)
			got = gx0.clone()
			c.BackwardData(p, n, gy, got, true)
			sameBits(t, "gx added", got.V, gxAdd.V)
			gotW, gotB := stale(s.Weights()), stale(s.O)
			c.BackwardWeights(p, x, gy, cuts, gotW, gotB)
			sameBits(t, fmt.Sprintf("gw for cuts %v", cuts), gotW, gw)
			sameBits(t, "gb", gotB, gb)
			c.BackwardWeights(p, x, gy, cuts, gotW, nil)
			sameBits(t, "gw without bias", gotW, gw)
			p.Close()
		}
	})
}

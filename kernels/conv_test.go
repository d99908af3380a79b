package kernels

import (
	"fmt"
	"testing"
)

// convs are shapes with every kind of edge: one pixel, kernels as large as the
// image, strides above the kernel, padding above it, rows of pixels and of taps
// that fill no tile, sums longer than a piece.
var convs = []Conv{
	{C: 1, H: 1, W: 1, O: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 1, H: 28, W: 28, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2},
	{C: 6, H: 14, W: 14, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
	{C: 3, H: 17, W: 23, O: 5, KH: 3, KW: 3, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1},
	{C: 2, H: 9, W: 8, O: 4, KH: 11, KW: 7, StrideH: 4, StrideW: 3, PadH: 2, PadW: 1},
	{C: 2, H: 5, W: 6, O: 2, KH: 1, KW: 2, StrideH: 3, StrideW: 3, PadH: 2, PadW: 3},
	{C: 40, H: 5, W: 4, O: 37, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 16, H: 5, W: 5, O: 7, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
}

func TestConv(t *testing.T) {
	for i, s := range convs {
		for _, n := range []int{1, 2, 7} {
			t.Run(fmt.Sprintf("%+v×%d", s, n), func(t *testing.T) { checkConv(t, s, n, uint32(i*8+n)) })
		}
	}
}

func FuzzConv(f *testing.F) {
	for i, s := range convs {
		f.Add(s.C, s.H, s.W, s.O, s.KH, s.KW, s.StrideH, s.StrideW, s.PadH, s.PadW, 3, uint32(i))
	}
	f.Fuzz(func(t *testing.T, c, h, w, o, kh, kw, sh, sw, ph, pw, n int, seed uint32) {
		s := Conv{c, h, w, o, kh, kw, sh, sw, ph, pw}
		if s.Check() != nil || n < 1 || n > 300 || s.FLOPs()*n > 4e6 || (s.In()+s.Out()+s.C*(h+2*ph)*(w+2*pw))*n > 1e5 {
			t.Skip()
		}
		checkConv(t, s, n, seed)
	})
}

// checkConv compares the three directions with the references, bit for bit, for
// several numbers of threads.
func checkConv(t *testing.T, s Conv, n int, seed uint32) {
	z := noise(seed)
	x, gy := z.sparse(n*s.In()), z.floats(n*s.Out())
	w, b := z.floats(s.Weights()), z.floats(s.O)
	cuts := cutsFrom(n, seed)
	y, gx, gw, gb := stale(n*s.Out()), stale(n*s.In()), stale(s.Weights()), stale(s.O)
	y0 := stale(n * s.Out())
	referenceConvForward(s, n, x, w, b, y)
	referenceConvForward(s, n, x, w, nil, y0)
	referenceConvBackwardData(s, n, gy, w, gx)
	referenceConvBackwardWeights(s, x, gy, cuts, gw, gb)
	for _, threads := range threadCounts {
		p := NewPool(threads)
		got := stale(n * s.Out())
		ConvForward(p, s, x, w, b, got)
		sameBits(t, "y", got, y)
		ConvForward(p, s, x, w, nil, got)
		sameBits(t, "y without bias", got, y0)
		got = stale(n * s.In())
		ConvBackwardData(p, s, gy, w, got)
		sameBits(t, "gx", got, gx)
		got, gotB := stale(s.Weights()), stale(s.O)
		ConvBackwardWeights(p, s, x, gy, cuts, got, gotB)
		sameBits(t, fmt.Sprintf("gw for cuts %v", cuts), got, gw)
		sameBits(t, "gb", gotB, gb)
		ConvBackwardWeights(p, s, x, gy, cuts, got, nil)
		sameBits(t, "gw without bias", got, gw)
		p.Close()
	}
}

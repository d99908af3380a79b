package kernels

import (
	"fmt"
	"math"
	"testing"
)

// identityConvs take every algorithm: direct, 1×1, and Winograd for both kernels.
var identityConvs = []Conv{
	{C: 3, H: 7, W: 6, O: 5, KH: 4, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 2},
	{C: 5, H: 9, W: 8, O: 4, KH: 3, KW: 3, StrideH: 2, StrideW: 3, PadH: 1, PadW: 1},
	{C: 18, H: 9, W: 10, O: 17, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
	{C: 16, H: 8, W: 9, O: 33, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2},
	{C: 20, H: 5, W: 4, O: 6, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
}

// forward is what a plan of s gives for one example, without a bias.
func forward(t *testing.T, s Conv, x Maps, w []float32) []float32 {
	c, p := NewConvolution(s, false), newPool(t, 2)
	y := Maps{stale(s.Out()), s.O}
	c.Pack(p, w, false)
	c.Forward(p, 1, x, nil, false, y)
	return y.V
}

// nearly fails the test unless got is want up to rounding.
func nearly(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	var top float64
	for _, w := range want {
		top = max(top, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= 1e-5*top) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], w)
		}
	}
}

// TestFlippedCrossCorrelationIsConvolution: with the kernel turned by 180°, the
// layer is the convolution of mathematics, (x∗w)[i] = Σ x[i−k]·w[k], here with the
// images' zeros around x and from index K−1 on, where all of the kernel lies
// inside.
func TestFlippedCrossCorrelationIsConvolution(t *testing.T) {
	for i, s := range identityConvs {
		t.Run(name(s), func(t *testing.T) {
			z := noise(i)
			x, w := Maps{z.floats(s.In()), s.C}, z.floats(s.Weights())
			flipped := make([]float32, len(w))
			taps := s.KH * s.KW
			for j := range w {
				flipped[j/taps*taps+taps-1-j%taps] = w[j]
			}
			want := make([]float64, s.Out())
			for j := range want {
				oh, ow, o := j/s.O/s.OutW(), j/s.O%s.OutW(), j%s.O
				for k := range s.C * taps {
					c, kh, kw := k/taps, k/s.KW%s.KH, k%s.KW
					h, v := oh*s.StrideH+s.KH-1-kh, ow*s.StrideW+s.KW-1-kw // of the padded image
					want[j] += float64(pixel(x, s.H, s.W, 0, h-s.PadH, v-s.PadW, c)) * float64(w[o*s.C*taps+k])
				}
			}
			nearly(t, "convolution", forward(t, s, x, flipped), want)
		})
	}
}

// TestConvolutionIsSumOverChannels: each channel convolved alone with its part of
// the kernels, and the results added.
func TestConvolutionIsSumOverChannels(t *testing.T) {
	for i, s := range identityConvs {
		t.Run(name(s), func(t *testing.T) {
			z := noise(i)
			x, w := Maps{z.floats(s.In()), s.C}, z.floats(s.Weights())
			one, taps := s, s.KH*s.KW
			one.C = 1
			want := make([]float64, s.Out())
			for c := range s.C {
				plane := Maps{make([]float32, s.H*s.W), 1}
				for p := range plane.V {
					plane.V[p] = x.V[p*s.C+c]
				}
				var part []float32
				for o := range s.O {
					part = append(part, w[(o*s.C+c)*taps:][:taps]...)
				}
				for j, v := range forward(t, one, plane, part) {
					want[j] += float64(v)
				}
			}
			nearly(t, "sum", forward(t, s, x, w), want)
		})
	}
}

// TestGroupsAreConvolutionsSideBySide: a grouped convolution is one without groups
// whose weights between groups are 0.
func TestGroupsAreConvolutionsSideBySide(t *testing.T) {
	for i, s := range convs {
		if s.groups() == 1 {
			continue
		}
		t.Run(name(s), func(t *testing.T) {
			z, g, whole := noise(i), s.group(), s
			whole.Groups = 0
			x, w, sparse := Maps{z.floats(s.In()), s.C}, z.floats(s.Weights()), make([]float32, whole.Weights())
			taps := s.KH * s.KW
			for o := range s.O {
				copy(sparse[(o*s.C+o/g.O*g.C)*taps:], w[o*g.C*taps:][:g.C*taps])
			}
			var want []float64
			for _, v := range forward(t, whole, x, sparse) {
				want = append(want, float64(v))
			}
			nearly(t, "groups", forward(t, s, x, w), want)
		})
	}
}

// TestPointwiseConvolutionIsFullyConnected: a 1×1 convolution is a fully connected
// layer that takes every pixel for an example, in all three directions.
func TestPointwiseConvolutionIsFullyConnected(t *testing.T) {
	const n = 3
	for i, l := range []Linear{{20, 6}, {16, 33}, {300, 40}} {
		t.Run(fmt.Sprint(l), func(t *testing.T) {
			z, p := noise(i), newPool(t, 2)
			s := Conv{C: l.I, H: 5, W: 4, O: l.O, KH: 1, KW: 1, StrideH: 1, StrideW: 1}
			pixels := n * s.H * s.W
			x, w, b, gy := z.floats(pixels*l.I), z.floats(l.Weights()), z.floats(l.O), z.floats(pixels*l.O)
			conv, full := NewConvolution(s, false), NewFullyConnected(l)
			conv.Pack(p, w, true)
			check := func(name string, size int, convolve, connect func(v []float32)) {
				got, v := stale(size), stale(size)
				convolve(got)
				connect(v)
				var want []float64
				for _, v := range v {
					want = append(want, float64(v))
				}
				nearly(t, name, got, want)
			}
			check("forward", len(gy),
				func(y []float32) { conv.Forward(p, n, Maps{x, l.I}, b, true, Maps{y, l.O}) },
				func(y []float32) { full.Forward(p, pixels, x, w, b, true, y) })
			check("data", len(x),
				func(gx []float32) { conv.BackwardData(p, n, Maps{gy, l.O}, Maps{gx, l.I}, false) },
				func(gx []float32) { full.BackwardData(p, pixels, gy, w, gx) })
			check("weights and bias", len(w)+l.O,
				func(g []float32) {
					conv.BackwardWeights(p, Maps{x, l.I}, Maps{gy, l.O}, []int{0, 1, n}, g[:len(w)], g[len(w):])
				},
				func(g []float32) {
					full.BackwardWeights(p, x, gy, []int{0, pixels / n, pixels}, g[:len(w)], g[len(w):])
				})
		})
	}
}

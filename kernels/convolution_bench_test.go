package kernels

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// squareConv is a convolution of square images and kernels.
func squareConv(c, size, o, kernel, stride, pad int) Conv {
	return Conv{C: c, H: size, W: size, O: o, KH: kernel, KW: kernel, StrideH: stride, StrideW: stride, PadH: pad, PadW: pad}
}

// directLayers are layers of the networks that are measured.
var directLayers = []struct {
	name string
	n    int
	s    Conv
}{
	{"AlexNet-5x5", 32, squareConv(96, 26, 256, 5, 1, 2)},
	{"AlexNet-3x3", 32, squareConv(384, 12, 384, 3, 1, 1)},
	{"VGG-56", 32, squareConv(256, 56, 256, 3, 1, 1)},
	{"VGG-14", 32, squareConv(512, 14, 512, 3, 1, 1)},
	{"AlexNet-first", 32, squareConv(1, 224, 96, 11, 4, 1)},
	{"GoogLeNet-first", 32, squareConv(1, 96, 64, 7, 2, 3)},
	{"VGG-first", 8, squareConv(1, 224, 64, 3, 1, 1)},
	{"NiN-54", 32, squareConv(96, 54, 96, 1, 1, 0)},
	{"NiN-26", 32, squareConv(256, 26, 256, 1, 1, 0)},
	{"NiN-12", 32, squareConv(384, 12, 384, 1, 1, 0)},
	{"GoogLeNet-1x1-12", 32, squareConv(192, 12, 64, 1, 1, 0)},
	{"GoogLeNet-1x1-6", 32, squareConv(480, 6, 192, 1, 1, 0)},
	{"GoogLeNet-1x1-3", 32, squareConv(832, 3, 256, 1, 1, 0)},
	{"GoogLeNet-3x3-6", 32, squareConv(96, 6, 208, 3, 1, 1)},
	{"GoogLeNet-3x3-3", 32, squareConv(160, 3, 320, 3, 1, 1)},
	{"GoogLeNet-5x5-6", 32, squareConv(16, 6, 48, 5, 1, 2)},
	{"GoogLeNet-5x5-12", 32, squareConv(16, 12, 32, 5, 1, 2)},
	{"LeNet-2", 256, squareConv(6, 14, 16, 5, 1, 0)},
}

// clock is what benchmarks read.
var clock = func() time.Duration { return time.Since(began) }

var began = time.Now()

// measure runs f until the benchmark has enough and reports the best and the
// median of FLOPs a second.
func measure(b *testing.B, flops int, f func()) {
	f()
	var times []time.Duration
	for b.Loop() {
		start := clock()
		f()
		times = append(times, clock()-start)
	}
	slices.Sort(times)
	b.ReportMetric(float64(flops)/float64(times[0].Nanoseconds()), "best-GFLOP/s")
	b.ReportMetric(float64(flops)/float64(times[len(times)/2].Nanoseconds()), "GFLOP/s")
}

func BenchmarkConvolution(b *testing.B) {
	for _, l := range directLayers {
		for threads := 1; threads <= 2; threads++ {
			s, n := l.s, l.n
			flops := n * s.FLOPs()
			b.Run(fmt.Sprintf("%s/threads=%d", l.name, threads), func(b *testing.B) {
				p := newPool(b, threads)
				z := noise(1)
				c := NewConvolution(s, true)
				x, y := maps(z.floats, n*s.H*s.W, s.C, 0), maps(z.floats, n*s.OutH()*s.OutW(), s.O, 0)
				w, bias := z.floats(s.Weights()), z.floats(s.O)
				gx, gw := Maps{Floats(len(x.V)), s.C}, Floats(len(w))
				x.V, y.V = append(Floats(0), x.V...), append(Floats(0), y.V...)
				c.Pack(p, w, true)
				cuts := []int{0, n / 8, n / 4, n * 3 / 8, n / 2, n * 5 / 8, n * 3 / 4, n * 7 / 8, n}
				b.Run("forward", func(b *testing.B) {
					measure(b, flops, func() { c.Forward(p, n, x, bias, true, y) })
				})
				b.Run("data", func(b *testing.B) {
					measure(b, flops, func() { c.BackwardData(p, n, y, gx, false) })
				})
				b.Run("weights", func(b *testing.B) {
					measure(b, flops, func() { c.BackwardWeights(p, x, y, cuts, gw, bias) })
				})
				b.Run("weights-one", func(b *testing.B) {
					measure(b, flops, func() { c.BackwardWeights(p, x, y, []int{0, n}, gw, bias) })
				})
				b.Run("pack", func(b *testing.B) {
					measure(b, flops, func() { c.Pack(p, w, true) })
				})
			})
		}
	}
}

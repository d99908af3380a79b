package kernels

import (
	"fmt"
	"testing"
)

// winogradLayers are layers of the networks that are measured, with the batch that
// they are measured with.
var winogradLayers = []struct {
	name string
	n    int
	s    Conv
}{
	{"AlexNet", 32, squareConv(96, 26, 256, 5, 1, 2)},
	{"AlexNet", 32, squareConv(256, 12, 384, 3, 1, 1)},
	{"AlexNet", 32, squareConv(384, 12, 384, 3, 1, 1)},
	{"AlexNet", 32, squareConv(384, 12, 256, 3, 1, 1)},
	{"VGG", 8, squareConv(64, 112, 128, 3, 1, 1)},
	{"VGG", 8, squareConv(128, 56, 256, 3, 1, 1)},
	{"VGG", 32, squareConv(256, 56, 256, 3, 1, 1)},
	{"VGG", 8, squareConv(256, 28, 512, 3, 1, 1)},
	{"VGG", 8, squareConv(512, 28, 512, 3, 1, 1)},
	{"VGG", 32, squareConv(512, 14, 512, 3, 1, 1)},
	{"VGG", 8, squareConv(512, 14, 512, 3, 1, 1)},
	{"VGG/4", 32, squareConv(16, 112, 32, 3, 1, 1)},
	{"VGG/4", 32, squareConv(32, 56, 64, 3, 1, 1)},
	{"VGG/4", 32, squareConv(64, 56, 64, 3, 1, 1)},
	{"VGG/4", 32, squareConv(64, 28, 128, 3, 1, 1)},
	{"VGG/4", 32, squareConv(128, 28, 128, 3, 1, 1)},
	{"VGG/4", 32, squareConv(128, 14, 128, 3, 1, 1)},
	{"NiN", 32, squareConv(384, 5, 10, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(64, 24, 192, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(96, 12, 128, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(112, 6, 224, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(160, 6, 320, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(192, 3, 384, 3, 1, 1)},
	{"GoogLeNet", 32, squareConv(16, 12, 32, 5, 1, 2)},
	{"GoogLeNet", 32, squareConv(32, 12, 96, 5, 1, 2)},
	{"GoogLeNet", 32, squareConv(16, 6, 48, 5, 1, 2)},
	{"GoogLeNet", 32, squareConv(32, 6, 128, 5, 1, 2)},
	{"GoogLeNet", 32, squareConv(48, 3, 128, 5, 1, 2)},
}

// BenchmarkWinograd gives the FLOPs of the definition over time, of both
// algorithms: it is what winogradPays was decided by.
func BenchmarkWinograd(b *testing.B) {
	for _, l := range winogradLayers {
		for _, c := range []*Convolution{{l.s, newWinograd(l.s)}, NewConvolution(l.s, true)} {
			b.Run(fmt.Sprintf("%s-%d-%d-%dx%d-%d/%s", l.name, l.s.C, l.s.O, l.s.KH, l.s.KW, l.s.H, c.Algorithm()), func(b *testing.B) {
				benchmarkDirections(b, l.s, l.n, c)
			})
		}
	}
}

func benchmarkDirections(b *testing.B, s Conv, n int, c *Convolution) {
	p, z, flops := newPool(b, 1), noise(1), n*s.FLOPs()
	x, y := Maps{z.floats(n * s.In()), s.C}, Maps{z.floats(n * s.Out()), s.O}
	gx, w, bias := Maps{Floats(len(x.V)), s.C}, z.floats(s.Weights()), z.floats(s.O)
	gw, gb := Floats(len(w)), Floats(s.O)
	c.Pack(p, w, true)
	cuts := make([]int, 9)
	for i := range cuts {
		cuts[i] = i * n / 8
	}
	b.Run("pack", func(b *testing.B) { measure(b, flops, func() { c.Pack(p, w, true) }) })
	b.Run("forward", func(b *testing.B) { measure(b, flops, func() { c.Forward(p, n, x, bias, true, y) }) })
	b.Run("data", func(b *testing.B) { measure(b, flops, func() { c.BackwardData(p, n, y, gx, false) }) })
	b.Run("weights", func(b *testing.B) { measure(b, flops, func() { c.BackwardWeights(p, x, y, cuts, gw, gb) }) })
}

package kernels

import (
	"fmt"
	"testing"
)

// linearLayers are layers of the networks that are measured.
var linearLayers = []struct {
	name string
	n    int
	s    Linear
}{
	{"AlexNet-6400-4096", 32, Linear{6400, 4096}},
	{"AlexNet-4096-4096", 32, Linear{4096, 4096}},
	{"AlexNet-4096-10", 32, Linear{4096, 10}},
	{"VGG-25088-4096", 8, Linear{25088, 4096}},
	{"LeNet-400-120", 256, Linear{400, 120}},
	{"LeNet-120-84", 256, Linear{120, 84}},
	{"LeNet-84-10", 256, Linear{84, 10}},
}

func BenchmarkFullyConnected(b *testing.B) {
	for _, layer := range linearLayers {
		for threads := 1; threads <= 2; threads++ {
			s, n := layer.s, layer.n
			flops := n * s.FLOPs()
			b.Run(fmt.Sprintf("%s/threads=%d", layer.name, threads), func(b *testing.B) {
				p := newPool(b, threads)
				l := NewFullyConnected(s)
				fill := func(n int) []float32 {
					v, z := Floats(n), noise(1)
					for i := range v {
						v[i] = z.next()
					}
					return v
				}
				x, y, gx, bias := fill(n*s.I), fill(n*s.O), Floats(n*s.I), fill(s.O)
				w, gw := fill(s.Weights()), Floats(s.Weights())
				cuts := []int{0, n / 8, n / 4, n * 3 / 8, n / 2, n * 5 / 8, n * 3 / 4, n * 7 / 8, n}
				b.Run("forward", func(b *testing.B) {
					measure(b, flops, func() { l.Forward(p, n, x, w, bias, true, y) })
				})
				b.Run("data", func(b *testing.B) {
					measure(b, flops, func() { l.BackwardData(p, n, y, w, gx) })
				})
				b.Run("weights", func(b *testing.B) {
					measure(b, flops, func() { l.BackwardWeights(p, x, y, cuts, gw, bias) })
				})
			})
		}
	}
}

package kernels

import (
	"fmt"
	"testing"
)

// perByte runs f on 1 and 2 threads and reports the bytes that it has to move.
func perByte(b *testing.B, name string, bytes int, f func(p *Pool)) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
			p := newPool(b, threads)
			f(p)
			b.SetBytes(int64(bytes))
			for b.Loop() {
				f(p)
			}
		})
	}
}

func BenchmarkElements(b *testing.B) {
	const c = 64
	for _, pixels := range []int{1 << 12, 1 << 17} {
		x, y := Maps{Floats(pixels * c), c}, Maps{Floats(pixels * c), c}
		z := noise(1)
		for i := range x.V {
			x.V[i] = z.next() * 4
		}
		size := 4 * pixels * c
		name := func(op string) string { return fmt.Sprintf("%s/%dMB", op, size>>20) }
		perByte(b, name("ReLU"), 2*size, func(p *Pool) { ReLUForward(p, pixels, c, x, y) })
		perByte(b, name("ReLUBackward"), 3*size, func(p *Pool) { ReLUBackward(p, pixels, c, x, y, y) })
		perByte(b, name("sigmoid"), 2*size, func(p *Pool) { SigmoidForward(p, pixels, c, x, y) })
		perByte(b, name("sigmoidBackward"), 3*size, func(p *Pool) { SigmoidBackward(p, pixels, c, y, x, x) })
		perByte(b, name("tanh"), 2*size, func(p *Pool) { TanhForward(p, pixels, c, x, y) })
		perByte(b, name("add"), 3*size, func(p *Pool) { AddMaps(p, pixels, c, x, y) })
		perByte(b, name("copy"), 2*size, func(p *Pool) { CopyMaps(p, pixels, c, x, y) })
		perByte(b, name("toNCHW"), 2*size, func(p *Pool) { MapsToNCHW(p, 1, c, pixels, x, y.V) })
		perByte(b, name("toNCHW49"), 2*size, func(p *Pool) { MapsToNCHW(p, pixels/64, c*64/64, 64, x, y.V) })
		perByte(b, name("fromNCHW3"), 2*size, func(p *Pool) { NCHWToMaps(p, 1, 3, pixels*c/3, x.V[:pixels*c/3*3], Maps{y.V, 3}) })
		perByte(b, name("LRN"), 2*size, func(p *Pool) { LRNForward(p, LRN{5, 1e-4, 0.75, 2}, pixels, c, x, y) })
		keep := make([]uint8, pixels*c)
		for i := range keep {
			keep[i] = uint8(i % 2)
		}
		perByte(b, name("dropout"), 2*size+size/4, func(p *Pool) { Dropout(p, 0.5, keep, x.V, y.V) })
	}
}

var benchPools = []struct {
	name string
	s    Pool2D
	n    int
}{
	{"VGG2×2", Pool2D{C: 64, H: 224, W: 224, KH: 2, KW: 2, StrideH: 2, StrideW: 2, ReLU: true}, 4},
	{"AlexNet3×3s2", Pool2D{C: 96, H: 54, W: 54, KH: 3, KW: 3, StrideH: 2, StrideW: 2}, 16},
	{"GoogLeNet3×3s1", Pool2D{C: 192, H: 12, W: 12, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1}, 32},
	{"small2×2", Pool2D{C: 512, H: 14, W: 14, KH: 2, KW: 2, StrideH: 2, StrideW: 2}, 4},
	{"global", Pool2D{C: 1024, H: 7, W: 7, KH: 7, KW: 7, StrideH: 1, StrideW: 1}, 32},
}

func BenchmarkPooling(b *testing.B) {
	for _, c := range benchPools {
		s, n := c.s, c.n
		x, y, arg := Maps{Floats(n * s.In()), s.C}, Maps{Floats(n * s.Out()), s.C}, make([]uint8, n*s.Out())
		z := noise(1)
		for i := range x.V {
			x.V[i] = z.next()
		}
		size := 4*n*s.In() + 5*n*s.Out()
		perByte(b, c.name+"/max", size, func(p *Pool) { MaxPoolForward(p, s, n, x, y, arg) })
		perByte(b, c.name+"/maxBackward", size, func(p *Pool) { MaxPoolBackward(p, s, n, y, arg, x, false) })
		perByte(b, c.name+"/avg", size, func(p *Pool) { AvgPoolForward(p, s, n, x, y) })
		perByte(b, c.name+"/avgBackward", size, func(p *Pool) { AvgPoolBackward(p, s, n, y, x, false) })
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1 << 16, 1 << 24} {
		params, velocity, grad := Floats(n), Floats(n), Floats(n)
		perByte(b, fmt.Sprintf("plain/%dMB", n>>18), 12*n, func(p *Pool) { Update(p, SGD{LR: 1e-3, Scale: 1}, params, nil, grad) })
		perByte(b, fmt.Sprintf("momentum/%dMB", n>>18), 20*n, func(p *Pool) {
			Update(p, SGD{LR: 1e-3, Momentum: 0.9, Decay: 1e-4, Scale: 1}, params, velocity, grad)
		})
	}
}

func BenchmarkSoftmaxCrossEntropy(b *testing.B) {
	for _, size := range [][2]int{{256, 10}, {32, 1000}} {
		n, classes := size[0], size[1]
		z := noise(1)
		x, gx, losses, labels := z.floats(n*classes), make([]float32, n*classes), make([]float64, n), make([]int32, n)
		perByte(b, fmt.Sprintf("%d×%d", n, classes), 8*n*classes, func(p *Pool) { SoftmaxCrossEntropy(p, classes, x, labels, losses, gx) })
	}
}

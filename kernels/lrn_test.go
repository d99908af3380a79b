package kernels

import (
	"math"
	"testing"
)

func TestLRN(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for i, l := range []LRN{
			{5, 1e-4, 0.75, 2}, {5, 0.7, 0.75, 1}, {1, 1, 0.75, 1}, {4, 0.3, 0.75, 1.5}, {3, 2, 0.9, 2}, {9, 1, 0.5, 0.5},
		} {
			for _, size := range [][2]int{{3, 1}, {5, 3}, {4, 16}, {700, 37}, {2, 96}} {
				checkLRN(t, l, size[0], size[1], uint32(i))
			}
		}
	})
}

func FuzzLRN(f *testing.F) {
	f.Add(5, float32(0.1), float32(0.75), float32(2), 3, 32, uint32(1))
	f.Add(2, float32(0.1), float32(0.6), float32(1), 3, 9, uint32(1))
	f.Fuzz(func(t *testing.T, size int, alpha, beta, k float32, pixels, c int, seed uint32) {
		l := LRN{size, alpha, beta, k}
		if l.Check() != nil || size > 20 || pixels < 1 || pixels > 100 || c < 1 || c > 200 {
			t.Skip()
		}
		eachImpl(t, func(t *testing.T) { checkLRN(t, l, pixels, c, seed) })
	})
}

func checkLRN(t *testing.T, l LRN, pixels, c int, seed uint32) {
	t.Helper()
	z := noise(seed)
	x, gy := z.floats(pixels*c), z.floats(pixels*c)
	var y, gx []float32
	for i := range pixels {
		a, b := referenceLRN(l, plane(x, i, c), plane(gy, i, c))
		y, gx = append(y, a...), append(gx, b...)
	}
	eachThreads(func(p *Pool) {
		for _, dense := range []bool{true, false} {
			in, g, out := mapsOf(x, pixels, c, !dense), mapsOf(gy, pixels, c, dense), mapsOf(nil, pixels, c, dense)
			LRNForward(p, l, pixels, c, in, out)
			sameNumbers(t, name(l)+" y", out.floats(pixels, c), y)
			LRNBackward(p, l, pixels, c, in, g, out)
			sameNumbers(t, name(l)+" gx", out.floats(pixels, c), gx)
			LRNBackward(p, l, pixels, c, in, g, g)
			sameNumbers(t, name(l)+" gx in place", g.floats(pixels, c), gx)
		}
	})
}

// referenceLRN is the doc comments for one pixel.
func referenceLRN(l LRN, x, gy []float32) (y, gx []float32) {
	at := func(v []float32, j int) float32 {
		if j < 0 || j >= len(v) {
			return 0
		}
		return v[j]
	}
	var power, r []float32
	share := l.Alpha / float32(l.Size)
	for c, v := range x {
		var sum float32
		for j := c - l.Size/2; j <= c+(l.Size-1)/2; j++ {
			sum = fma(at(x, j), at(x, j), sum)
		}
		d := fma(share, sum, l.K)
		power = append(power, l.power(d))
		y = append(y, v/power[c])
		r = append(r, float32(gy[c]*y[c])/d)
	}
	for c, v := range x {
		var sum float32
		for j := c - (l.Size-1)/2; j <= c+l.Size/2; j++ {
			sum += at(r, j)
		}
		factor := -2 * float32(l.Alpha*l.Beta) / float32(l.Size)
		gx = append(gx, fma(float32(factor*v), sum, gy[c]/power[c]))
	}
	return y, gx
}

func TestLRNPower(t *testing.T) {
	for _, beta := range []float32{0.75, 0.5, 0.9, 0, 3} {
		l := LRN{Beta: beta}
		for _, d := range []float32{1e-6, 0.5, 1, 2, 2.0001, 77, 1e9} {
			want := math.Pow(float64(d), float64(beta))
			if got := float64(l.power(d)); math.Abs(got-want) > 2e-7*want {
				t.Errorf("%g^%g = %g, want %g", d, beta, got, want)
			}
		}
	}
}

package kernels

import (
	"testing"

	"convoy/tree"
)

// sumOfMicros adds f of each example up as the doc comments say: float64 within a
// micro-batch, the tree above.
func sumOfMicros(cuts []int, width int, f func(n int, sums []float64)) []float32 {
	root, scratch := make([]float32, width), make([][]float32, len(cuts))
	for i := range scratch {
		scratch[i] = make([]float32, width)
	}
	tree.Sum(tree.Node{Low: 0, High: len(cuts) - 1}, root, scratch, func(m int, dst []float32) bool {
		total := make([]float64, width)
		for n := cuts[m]; n < cuts[m+1]; n++ {
			f(n, total)
		}
		for i, v := range total {
			dst[i] = float32(v)
		}
		return cuts[m] < cuts[m+1]
	})
	return root
}

func TestRBF(t *testing.T) {
	for _, c := range []struct {
		s    RBF
		cuts []int
	}{
		{RBF{I: 84, O: 10}, []int{0, 3, 7}},
		{RBF{I: 5, O: 3}, []int{0, 1, 1, 4, 9, 9, 9, 9, 10}},
		{RBF{I: 1, O: 1}, []int{0, 2}},
	} {
		s, n, z := c.s, c.cuts[len(c.cuts)-1], noise(uint32(c.s.I))
		x, w, gy := z.floats(n*s.I), z.floats(s.Weights()), z.floats(n*s.O)
		wantY, wantX := make([]float32, n*s.O), make([]float32, n*s.I)
		for k := range wantY {
			sum := 0.0
			for i := range s.I {
				d := float64(x[k/s.O*s.I+i]) - float64(w[k%s.O*s.I+i])
				sum += float64(d * d)
			}
			wantY[k] = float32(sum)
		}
		for k := range wantX {
			sum := 0.0
			for o := range s.O {
				sum += float64(2 * float64(gy[k/s.I*s.O+o]) * (float64(x[k]) - float64(w[o*s.I+k%s.I])))
			}
			wantX[k] = float32(sum)
		}
		wantW := sumOfMicros(c.cuts, s.Weights(), func(n int, sums []float64) {
			for k := range sums {
				sums[k] += float64(2 * float64(gy[n*s.O+k/s.I]) * (float64(w[k]) - float64(x[n*s.I+k%s.I])))
			}
		})
		eachThreads(func(p *Pool) {
			y, gx, gw := stale(n*s.O), stale(n*s.I), stale(s.Weights())
			RBFForward(p, s, n, x, w, y)
			sameBits(t, "y", y, wantY)
			RBFBackwardData(p, s, n, x, w, gy, gx)
			sameBits(t, "gx", gx, wantX)
			RBFBackwardWeights(p, s, x, w, gy, c.cuts, gw)
			sameBits(t, "gw", gw, wantW)
		})
	}
}

func TestAffine(t *testing.T) {
	for _, c := range []struct {
		pixels, c int
		cuts      []int
	}{
		{196, 6, []int{0, 2, 5}},
		{1, 3, []int{0, 1, 1, 4, 9, 9, 9, 9, 10}},
		{7, 16, []int{0, 2}},
		{5000, 5, []int{0, 1}},
	} {
		n, z := c.cuts[len(c.cuts)-1], noise(uint32(c.c))
		all := n * c.pixels
		x, gy, scale, shift := z.floats(all*c.c), z.floats(all*c.c), z.floats(c.c), z.floats(c.c)
		wantY, wantX := make([]float32, len(x)), make([]float32, len(x))
		for i, v := range x {
			wantY[i] = float32(scale[i%c.c]*v) + shift[i%c.c]
			wantX[i] = scale[i%c.c] * gy[i]
		}
		want := sumOfMicros(c.cuts, 2*c.c, func(n int, sums []float64) {
			own := make([]float64, 2*c.c)
			for i := n * c.pixels * c.c; i < (n+1)*c.pixels*c.c; i++ {
				own[i%c.c] += float64(float64(gy[i]) * float64(x[i]))
				own[c.c+i%c.c] += float64(gy[i])
			}
			for i, v := range own {
				sums[i] += v
			}
		})
		eachThreads(func(p *Pool) {
			for _, dense := range []bool{true, false} {
				in, out := mapsOf(x, all, c.c, dense), mapsOf(nil, all, c.c, dense)
				AffineForward(p, all, c.c, in, scale, shift, out)
				sameBits(t, "y", out.floats(all, c.c), wantY)
				g, gscale, gshift := mapsOf(gy, all, c.c, dense), stale(c.c), stale(c.c)
				AffineBackward(p, c.pixels, c.c, in, g, scale, c.cuts, out, gscale, gshift)
				sameBits(t, "gx", out.floats(all, c.c), wantX)
				sameBits(t, "gscale", gscale, want[:c.c])
				sameBits(t, "gshift", gshift, want[c.c:])
				AffineBackward(p, c.pixels, c.c, in, g, scale, c.cuts, g, gscale, gshift)
				sameBits(t, "gx in place", g.floats(all, c.c), wantX)
				AffineForward(p, all, c.c, in, scale, shift, in)
				sameBits(t, "y in place", in.floats(all, c.c), wantY)
			}
		})
	}
}

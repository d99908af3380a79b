package kernels

import (
	"testing"

	"convoy/digest"
)

// goldenDigest is what a few steps of LeNet and of a network with strides, sigmoid
// and average pooling give on every CPU. It changes only with the arithmetic
// version.
const goldenDigest = "05eed2bf9e9d321009e5979b72106d7f5708c9c87a95a0c091f403b5ca69fcf7"

// TestDigest is run on arm64 too.
func TestDigest(t *testing.T) {
	for _, threads := range []int{1, 3} {
		if got := digestOfSteps(newPool(t, threads)).String(); got != goldenDigest {
			t.Errorf("%d threads: digest %s, want %s", threads, got, goldenDigest)
		}
	}
}

func digestOfSteps(p *Pool) digest.Sum {
	var all []digest.Vector
	add := func(v []float32) { all = append(all, digest.Vector{Floats: v}) }

	l := newLeNet(p, 10, 4)
	for range 2 {
		l.step()
		for i := range l.w {
			for j, g := range l.gw[i] {
				l.w[i][j] -= float32(0.01 * g)
			}
		}
	}
	for i := range l.w {
		add(l.w[i])
		add(l.gb[i])
	}
	var losses []float32
	for _, v := range l.losses {
		losses = append(losses, float32(v), float32(v-float64(float32(v))))
	}
	add(losses)

	s := convs[3]
	q := Pool2D{C: s.O, H: s.OutH(), W: s.OutW(), KH: 3, KW: 2, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1}
	z := noise(9)
	x, w, b := z.floats(3*s.In()), z.floats(s.Weights()), z.floats(s.O)
	y, mean := make([]float32, 3*s.Out()), make([]float32, 3*q.Out())
	ConvForward(p, s, x, w, b, y)
	SigmoidForward(p, y, y)
	AvgPoolForward(p, q, y, mean)
	TanhForward(p, mean, mean)
	g, gx := make([]float32, len(y)), make([]float32, len(x))
	TanhBackward(p, mean, mean, mean)
	AvgPoolBackward(p, q, mean, g)
	SigmoidBackward(p, y, g, g)
	ConvBackwardData(p, s, g, w, gx)
	ConvBackwardWeights(p, s, x, g, []int{0, 1, 1, 2, 3}, w, b)
	for _, v := range [][]float32{y, mean, gx, w, b} {
		add(v)
	}
	return digest.Tensors("convoy kernels test", all...)
}

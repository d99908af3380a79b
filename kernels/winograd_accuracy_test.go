package kernels

import (
	"fmt"
	"math"
	"testing"
)

// TestWinogradAccuracy compares the relative root mean square of the rounding
// error, against float64, with that of the direct algorithm, whose chains are cut
// like PyTorch's, on layers of real networks and inputs as ReLU leaves them.
func TestWinogradAccuracy(t *testing.T) {
	if active == generic {
		t.Skip("too slow in generic Go")
	}
	for _, l := range []struct{ c, h, o, k, n int }{
		{256, 56, 256, 3, 1}, // VGG
		{512, 14, 512, 3, 8}, // VGG
		{64, 56, 64, 3, 1},   // VGG with quarter widths
		{256, 12, 384, 3, 8}, // AlexNet
		{96, 26, 256, 5, 4},  // AlexNet
		{96, 12, 128, 3, 8},  // GoogLeNet
		{160, 6, 320, 3, 32}, // GoogLeNet
		{192, 3, 384, 3, 32}, // GoogLeNet
		{32, 12, 96, 5, 8},   // GoogLeNet
		{16, 112, 32, 3, 1},  // VGG with quarter widths
	} {
		s := Conv{C: l.c, H: l.h, W: l.h, O: l.o, KH: l.k, KW: l.k, StrideH: 1, StrideW: 1, PadH: l.k / 2, PadW: l.k / 2}
		t.Run(fmt.Sprintf("%d→%d %d×%d %d²", l.c, l.o, l.k, l.k, l.h), func(t *testing.T) { checkAccuracy(t, s, l.n) })
	}
}

func checkAccuracy(t *testing.T, s Conv, n int) {
	p, z := newPool(t, 2), noise(1)
	x, gy := Maps{positive(normal(&z, n*s.In())), s.C}, Maps{normal(&z, n*s.Out()), s.O}
	w := normal(&z, s.Weights())
	pixels := s.OutH() * s.OutW()
	var direct, fast [3]rms
	for i, c := range []*Convolution{NewConvolution(s, true), {s, newWinograd(s)}} {
		errors := [2]*[3]rms{&direct, &fast}[i]
		y, gx, gw := Maps{Floats(n * s.Out()), s.O}, Maps{Floats(n * s.In()), s.C}, Floats(s.Weights())
		c.Pack(p, w, true)
		c.Forward(p, n, x, nil, false, y)
		c.BackwardData(p, n, gy, gx, false)
		c.BackwardWeights(p, x, gy, []int{0, n}, gw, nil)
		pick := noise(2)
		at := func(n int) int { return int(uint32(math.Float32bits(pick.next()))) % n }
		for range 300 {
			q, o := at(n*pixels), at(s.O)
			errors[0].add(y.V[q*s.O+o], exactOutput(s, x, w, q, o))
			q, ch := at(n*s.H*s.W), at(s.C)
			errors[1].add(gx.V[q*s.C+ch], exactInputGradient(s, gy, w, q, ch))
		}
		for range 300 {
			i := at(s.Weights())
			errors[2].add(gw[i], exactWeightGradient(s, n, x, gy, i))
		}
	}
	for i, name := range []string{"forward", "backward-data", "backward-weights"} {
		f, d := fast[i].relative(), direct[i].relative()
		t.Logf("%-16s Winograd %.2e, direct %.2e: %.1f times", name, f, d, f/d)
		if f > 6*d {
			t.Errorf("%s: Winograd's relative error is %.2e, more than 6 times the direct algorithm's %.2e", name, f, d)
		}
	}
}

// An rms is sums of squares of errors and of values.
type rms struct{ errors, values float64 }

func (r *rms) add(got float32, want float64) {
	d := float64(got) - want
	r.errors += d * d
	r.values += want * want
}

func (r rms) relative() float64 { return math.Sqrt(r.errors / r.values) }

// normal is numbers with about a normal distribution of variance 1.
func normal(z *noise, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = z.next() + z.next() + z.next()
	}
	return v
}

func positive(v []float32) []float32 {
	for i := range v {
		v[i] = max(0, v[i])
	}
	return v
}

func exactOutput(s Conv, x Maps, w []float32, q, o int) (sum float64) {
	example, oh, ow := q/(s.OutH()*s.OutW()), q/s.OutW()%s.OutH(), q%s.OutW()
	for i := range s.C * s.KH * s.KW {
		c, kh, kw := i/(s.KH*s.KW), i/s.KW%s.KH, i%s.KW
		sum += float64(pixel(x, s.H, s.W, example, oh+kh-s.PadH, ow+kw-s.PadW, c)) * float64(w[o*s.C*s.KH*s.KW+i])
	}
	return sum
}

func exactInputGradient(s Conv, gy Maps, w []float32, q, c int) (sum float64) {
	example, ih, iw := q/(s.H*s.W), q/s.W%s.H, q%s.W
	for i := range s.O * s.KH * s.KW {
		o, kh, kw := i/(s.KH*s.KW), i/s.KW%s.KH, i%s.KW
		sum += float64(pixel(gy, s.OutH(), s.OutW(), example, ih+s.PadH-kh, iw+s.PadW-kw, o)) * float64(w[((o*s.C+c)*s.KH+kh)*s.KW+kw])
	}
	return sum
}

func exactWeightGradient(s Conv, n int, x, gy Maps, i int) (sum float64) {
	o, c, kh, kw := i/(s.C*s.KH*s.KW), i/(s.KH*s.KW)%s.C, i/s.KW%s.KH, i%s.KW
	for q := range n * s.OutH() * s.OutW() {
		example, oh, ow := q/(s.OutH()*s.OutW()), q/s.OutW()%s.OutH(), q%s.OutW()
		sum += float64(pixel(x, s.H, s.W, example, oh+kh-s.PadH, ow+kw-s.PadW, c)) * float64(gy.V[q*gy.Pitch+o])
	}
	return sum
}

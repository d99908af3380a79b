package kernels

import (
	"math"
	"testing"

	"convoy/fmath"
)

// eachPool runs f with several numbers of threads.
func eachPool(f func(p *Pool)) {
	for _, threads := range threadCounts {
		p := NewPool(threads)
		f(p)
		p.Close()
	}
}

func TestActivations(t *testing.T) {
	special := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, math.MaxFloat32, -math.MaxFloat32, 90, -90}
	z := noise(3)
	x := append(special, z.floats(3*taskFloats)...)
	gy := z.floats(len(x))
	for _, op := range []struct {
		name     string
		forward  func(p *Pool, x, y []float32)
		backward func(p *Pool, y, gy, gx []float32)
		f        func(x float32) float32
		df       func(y, g float32) float32
	}{
		{
			"ReLU", ReLUForward, ReLUBackward,
			func(x float32) float32 {
				if x > 0 {
					return x
				}
				return 0
			},
			func(y, g float32) float32 {
				if y > 0 {
					return g
				}
				return 0
			},
		},
		{
			"Sigmoid", SigmoidForward, SigmoidBackward, fmath.Sigmoid32,
			func(y, g float32) float32 { return g * float32(y*(1-y)) },
		},
		{
			"Tanh", TanhForward, TanhBackward, fmath.Tanh32,
			func(y, g float32) float32 { return g * float32((1-y)*(1+y)) },
		},
	} {
		t.Run(op.name, func(t *testing.T) {
			y, gx := make([]float32, len(x)), make([]float32, len(x))
			for i := range x {
				y[i] = op.f(x[i])
				gx[i] = op.df(y[i], gy[i])
			}
			eachPool(func(p *Pool) {
				got := stale(len(x))
				op.forward(p, x, got)
				sameBits(t, "y", got, y)
				copy(got, x)
				op.forward(p, got, got)
				sameBits(t, "y in place", got, y)
				op.backward(p, y, gy, got)
				sameBits(t, "gx", got, gx)
				copy(got, gy)
				op.backward(p, y, got, got)
				sameBits(t, "gx in place", got, gx)
			})
			p, nan := newPool(t, 1), stale(1)
			if op.forward(p, nan, nan); nan[0] == nan[0] {
				t.Errorf("NaN gives %g", nan[0])
			}
		})
	}
}

func TestReLUGradientAtEdges(t *testing.T) {
	p := newPool(t, 1)
	y := []float32{0, float32(math.Copysign(0, -1)), -1, 1e-45, float32(math.Inf(1))}
	gx := stale(len(y))
	ReLUBackward(p, y, []float32{7, 7, 7, 7, 7}, gx)
	sameBits(t, "gx", gx, []float32{0, 0, 0, 7, 7})
}

var pools = []Pool2D{
	{C: 1, H: 1, W: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
	{C: 6, H: 28, W: 28, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
	{C: 3, H: 11, W: 9, KH: 3, KW: 2, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1},
	{C: 2, H: 7, W: 7, KH: 5, KW: 5, StrideH: 1, StrideW: 3, PadH: 2, PadW: 2, CountPad: true},
	{C: 2, H: 5, W: 5, KH: 2, KW: 2, StrideH: 3, StrideW: 3},
}

func TestPooling(t *testing.T) {
	for i, s := range pools {
		t.Run(name(s), func(t *testing.T) { checkPooling(t, s, 5, uint32(i)) })
	}
}

func FuzzPooling(f *testing.F) {
	for i, s := range pools {
		f.Add(s.C, s.H, s.W, s.KH, s.KW, s.StrideH, s.StrideW, s.PadH, s.PadW, s.CountPad, uint32(i))
	}
	f.Fuzz(func(t *testing.T, c, h, w, kh, kw, sh, sw, ph, pw int, count bool, seed uint32) {
		s := Pool2D{c, h, w, kh, kw, sh, sw, ph, pw, count}
		if s.Check() != nil || s.In() > 1e4 || s.Out()*kh*kw > 1e5 {
			t.Skip()
		}
		checkPooling(t, s, 3, seed)
	})
}

// checkPooling compares with loops over the window that look at each position.
func checkPooling(t *testing.T, s Pool2D, n int, seed uint32) {
	z := noise(seed)
	x, gy := z.sparse(n*s.In()), z.floats(n*s.Out())
	maxY, maxG, avgY, avgG := stale(len(gy)), make([]float32, len(x)), stale(len(gy)), make([]float32, len(x))
	for i := range gy {
		plane, oh, ow := i/(s.OutH()*s.OutW()), i/s.OutW()%s.OutH(), i%s.OutW()
		best, where, sum := float32(math.Inf(-1)), -1, float32(0)
		var inside []int
		for kh := range s.KH {
			for kw := range s.KW {
				h, w := oh*s.StrideH+kh-s.PadH, ow*s.StrideW+kw-s.PadW
				if h < 0 || h >= s.H || w < 0 || w >= s.W {
					continue
				}
				j := (plane*s.H+h)*s.W + w
				inside = append(inside, j)
				sum += x[j]
				if x[j] > best {
					best, where = x[j], j
				}
			}
		}
		count := float32(len(inside))
		if s.CountPad {
			count = float32(s.KH * s.KW)
		}
		maxY[i], avgY[i] = best, sum/count
		maxG[where] += gy[i]
		for _, j := range inside {
			avgG[j] += gy[i] / count
		}
	}
	eachPool(func(p *Pool) {
		y, gx, arg := stale(len(gy)), stale(len(x)), make([]int32, len(gy))
		MaxPoolForward(p, s, x, y, arg)
		sameBits(t, "max y", y, maxY)
		MaxPoolBackward(p, s, gy, arg, gx)
		sameBits(t, "max gx", gx, maxG)
		AvgPoolForward(p, s, x, y)
		sameBits(t, "average y", y, avgY)
		AvgPoolBackward(p, s, gy, gx)
		sameBits(t, "average gx", gx, avgG)
	})
}

func TestMaxPoolPassesNaN(t *testing.T) {
	s := Pool2D{C: 1, H: 2, W: 2, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	for i := range 4 {
		x, y, arg := []float32{1, 2, 3, 4}, make([]float32, 1), make([]int32, 1)
		x[i] = float32(math.NaN())
		MaxPoolForward(newPool(t, 1), s, x, y, arg)
		if y[0] == y[0] || arg[0] != int32(i) {
			t.Errorf("NaN at %d gives %g from %d", i, y[0], arg[0])
		}
	}
}

func TestSoftmaxCrossEntropy(t *testing.T) {
	z := noise(5)
	const classes, n = 10, 300
	x, labels, right := z.floats(n*classes), make([]int32, n), 0
	for i := range labels {
		labels[i] = int32(i * 7 % classes)
		row := plane(x, i, classes)
		row[3], row[8] = 2, 2 // equal maxima: the first wins
		if labels[i] == 3 {
			right++
		}
	}
	losses, gx := make([]float64, n), stale(n*classes)
	if got := SoftmaxCrossEntropy(newPool(t, 1), classes, x, labels, losses, gx); got != right {
		t.Errorf("%d correct, want %d", got, right)
	}
	for i, l := range labels {
		row, sum := plane(x, i, classes), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		if want := math.Log(sum) - float64(row[l]); math.Abs(losses[i]-want) > 1e-12 {
			t.Errorf("loss %d is %v, want %v", i, losses[i], want)
		}
		for j, v := range row {
			want := math.Exp(float64(v)) / sum
			if j == int(l) {
				want--
			}
			if got := float64(gx[i*classes+j]); math.Abs(got-want) > 1e-7 {
				t.Errorf("gradient %d of example %d is %v, want %v", j, i, got, want)
			}
		}
	}
	eachPool(func(p *Pool) {
		again, got := make([]float64, n), append([]float32(nil), x...)
		if c := SoftmaxCrossEntropy(p, classes, got, labels, again, got); c != right {
			t.Errorf("%d threads: %d correct, want %d", p.Threads(), c, right)
		}
		sameBits(t, "gx in place", got, gx)
		for i := range losses {
			if math.Float64bits(again[i]) != math.Float64bits(losses[i]) {
				t.Fatalf("%d threads: loss %d is %v, want %v", p.Threads(), i, again[i], losses[i])
			}
		}
		if c := SoftmaxCrossEntropy(p, classes, x, labels, again, nil); c != right {
			t.Errorf("without gradient: %d correct, want %d", c, right)
		}
	})
}

// Logits far apart neither overflow nor lose the loss.
func TestSoftmaxCrossEntropyFarApart(t *testing.T) {
	losses, gx := make([]float64, 2), stale(4)
	SoftmaxCrossEntropy(newPool(t, 1), 2, []float32{3e38, -3e38, 0, 1000}, []int32{0, 0}, losses, gx)
	if losses[0] != 0 || losses[1] != 1000 {
		t.Errorf("losses %v, want 0 and 1000", losses)
	}
	sameBits(t, "gx", gx, []float32{0, 0, -1, 1})
}

package kernels

import (
	"math"
	"testing"
)

// eachThreads runs f with several numbers of threads.
func eachThreads(f func(p *Pool)) {
	for _, threads := range []int{1, 2, 3} {
		p := NewPool(threads)
		f(p)
		p.Close()
	}
}

// mapsOf returns maps of pixels × c in the middle of wider ones, unless dense,
// with v's elements.
func mapsOf(v []float32, pixels, c int, dense bool) Maps {
	m := Maps{stale(pixels * c), c}
	if !dense {
		m = Maps{stale(pixels * (c + 7)), c + 7}.Window(3)
	}
	for i, x := range v {
		m.V[i/c*m.Pitch+i%c] = x
	}
	return m
}

// floats are the elements of maps in order.
func (m Maps) floats(pixels, c int) []float32 {
	v := make([]float32, 0, pixels*c)
	for i := range pixels {
		v = append(v, m.V[i*m.Pitch:][:c]...)
	}
	return v
}

// awkward are numbers at the edges of what operations do.
var awkward = []float32{
	0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1e-38, -1e-38, 1e-30, 1e-8, -1e-8, 0.34657359, -0.3465736, 0.6931472,
	17.328679, -17.328679, 87.33654, -87.33655, 88.72284, -88.72284, 90, -90, 103.97, -103.97208, 103.9721, -104, 200, -200,
	math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), 1, -1, 20, -20, 9, -9, 10.5,
}

// activations are the elementwise operations with what defines them.
var activations = []struct {
	name     string
	forward  func(p *Pool, pixels, c int, x, y Maps)
	backward func(p *Pool, pixels, c int, y, gy, gx Maps)
	f, df    func(a, b float32) float32
	exact    func(x float64) float64
}{
	{"ReLU", ReLUForward, ReLUBackward, relu, reluBackward, func(x float64) float64 { return max(x, 0) }},
	{"sigmoid", SigmoidForward, SigmoidBackward, sigmoid, sigmoidBackward, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }},
	{"tanh", TanhForward, TanhBackward, tanh, tanhBackward, math.Tanh},
	{"scaled tanh", ScaledTanhForward, ScaledTanhBackward, scaledTanh, scaledTanhBackward, func(x float64) float64 { return 1.7159 * math.Tanh(2*x/3) }},
}

func TestActivations(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, size := range [][2]int{{1, 1}, {3, 5}, {7, 16}, {5, 37}, {1, 3 * taskFloats}, {taskFloats/20 + 3, 40}} {
			checkActivations(t, size[0], size[1], uint32(size[0]))
		}
	})
}

func FuzzActivations(f *testing.F) {
	f.Add(3, 17, uint32(1))
	f.Add(9, 64, uint32(2))
	f.Fuzz(func(t *testing.T, pixels, c int, seed uint32) {
		if pixels < 1 || c < 1 || pixels > 1000 || c > 1000 {
			t.Skip()
		}
		eachImpl(t, func(t *testing.T) { checkActivations(t, pixels, c, seed) })
	})
}

func checkActivations(t *testing.T, pixels, c int, seed uint32) {
	t.Helper()
	z := noise(seed)
	x, gy := z.floats(pixels*c), z.floats(pixels*c)
	for i := range x {
		x[i] *= float32(i % 23)
		if i%3 == 0 {
			x[i] = awkward[i/3%len(awkward)]
		}
	}
	for _, op := range activations {
		y, gx := make([]float32, len(x)), make([]float32, len(x))
		for i := range x {
			y[i] = op.f(x[i], 0)
			gx[i] = op.df(y[i], gy[i])
		}
		eachThreads(func(p *Pool) {
			for _, dense := range []bool{true, false} {
				in, out := mapsOf(x, pixels, c, dense), mapsOf(nil, pixels, c, dense)
				op.forward(p, pixels, c, in, out)
				sameBits(t, op.name, out.floats(pixels, c), y)
				op.forward(p, pixels, c, in, in)
				sameBits(t, op.name+" in place", in.floats(pixels, c), y)
				g, g2 := mapsOf(gy, pixels, c, dense), mapsOf(nil, pixels, c, !dense)
				op.backward(p, pixels, c, out, g, g2)
				sameBits(t, op.name+" gx", g2.floats(pixels, c), gx)
				op.backward(p, pixels, c, out, g, g)
				sameBits(t, op.name+" gx in place", g.floats(pixels, c), gx)
			}
		})
	}
}

// TestActivationAccuracy compares with float64 over many magnitudes.
func TestActivationAccuracy(t *testing.T) {
	for _, op := range activations {
		worst, at := 0.0, float32(0)
		for bits := uint32(0x20000000); bits < 0x43000000; bits += 1777 {
			for _, x := range []float32{math.Float32frombits(bits), -math.Float32frombits(bits)} {
				if op.name == "sigmoid" && x < -88 {
					continue // TestActivationLimits
				}
				if d := ulps32(op.f(x, 0), op.exact(float64(x))); d > worst {
					worst, at = d, x
				}
			}
		}
		t.Logf("%s: at most %.2f ulp, at %g", op.name, worst, at)
		bound := 2.5
		if op.name == "scaled tanh" {
			bound = 3.5 // two products more are rounded
		}
		if worst > bound {
			t.Errorf("%s(%g) is %.2f ulp off", op.name, at, worst)
		}
	}
}

// ulps32 is the distance of got from want in units of want's last place as a
// float32.
func ulps32(got float32, want float64) float64 {
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

func TestActivationLimits(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		f       func(a, b float32) float32
		x, want float32
	}{
		{sigmoid, inf, 1},
		{sigmoid, -inf, 0},
		{sigmoid, 0, 0.5},
		{sigmoid, awkward[1], 0.5},
		{sigmoid, -88.5, 0},
		{sigmoid, -105, 0},
		{sigmoid, 17.4, 1},
		{sigmoid, 500, 1},
		{tanh, inf, 1},
		{tanh, -inf, -1},
		{tanh, 0, 0},
		{tanh, awkward[1], awkward[1]},
		{tanh, 1e-45, 1e-45},
		{tanh, -1e-39, -1e-39},
		{scaledTanh, inf, 1.7159},
		{scaledTanh, -inf, -1.7159},
		{scaledTanh, awkward[1], awkward[1]},
		{relu, awkward[1], awkward[1]},
		{relu, -1, 0},
	} {
		sameBits(t, "limit", []float32{c.f(c.x, 0)}, []float32{c.want})
	}
	eachImpl(t, func(t *testing.T) {
		p := newPool(t, 1)
		for _, op := range activations {
			m := Maps{stale(32), 32}
			op.forward(p, 1, 32, m, m)
			for i, v := range m.V {
				if v == v {
					t.Fatalf("%s of NaN is %g at %d", op.name, v, i)
				}
			}
		}
	})
}

func TestReLUGradientAtEdges(t *testing.T) {
	y := []float32{0, awkward[1], -1, 1e-45, float32(math.Inf(1)), float32(math.NaN())}
	for i, want := range []float32{0, 0, 0, 7, 7, 0} {
		sameBits(t, "gx", []float32{reluBackward(y[i], 7)}, []float32{want})
	}
}

func TestAddAndCopyMaps(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, size := range [][2]int{{1, 1}, {6, 5}, {9, 48}, {3, 2*taskFloats + 5}} {
			pixels, c := size[0], size[1]
			z := noise(pixels)
			x, y := z.floats(pixels*c), z.floats(pixels*c)
			sum := make([]float32, len(x))
			for i := range x {
				sum[i] = y[i] + x[i]
			}
			eachThreads(func(p *Pool) {
				for _, dense := range []bool{true, false} {
					in, out := mapsOf(x, pixels, c, dense), mapsOf(y, pixels, c, false)
					AddMaps(p, pixels, c, in, out)
					sameBits(t, "sum", out.floats(pixels, c), sum)
					CopyMaps(p, pixels, c, in, out)
					sameBits(t, "copy", out.floats(pixels, c), x)
				}
			})
		}
	})
}

func TestTransposition(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, size := range [][3]int{{1, 1, 1}, {2, 3, 50}, {3, 37, 19}, {2, 256, 33}, {1, 5, 7000}, {2, 1, 30}, {2, 48, 1}} {
			checkTransposition(t, size[0], size[1], size[2])
		}
	})
}

func FuzzTransposition(f *testing.F) {
	f.Add(2, 7, 19)
	f.Add(1, 64, 49)
	f.Fuzz(func(t *testing.T, n, c, pixels int) {
		if min(n, c, pixels) < 1 || max(n, c, pixels) > 1000 || n*c*pixels > 1e5 {
			t.Skip()
		}
		eachImpl(t, func(t *testing.T) { checkTransposition(t, n, c, pixels) })
	})
}

func checkTransposition(t *testing.T, n, c, pixels int) {
	t.Helper()
	z := noise(c)
	x := z.floats(n * c * pixels)
	want := make([]float32, len(x))
	for i := range x {
		want[(i/(c*pixels)*pixels+i%pixels)*c+i/pixels%c] = x[i]
	}
	eachThreads(func(p *Pool) {
		for _, dense := range []bool{true, false} {
			m, back := mapsOf(nil, n*pixels, c, dense), stale(len(x))
			NCHWToMaps(p, n, c, pixels, x, m)
			sameBits(t, "maps", m.floats(n*pixels, c), want)
			MapsToNCHW(p, n, c, pixels, m, back)
			sameBits(t, "back", back, x)
		}
	})
}

func TestDropout(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, n := range []int{1, 16, 77, taskFloats + 35} {
			z := noise(n)
			x, keep := z.floats(n), make([]uint8, n)
			for i := range keep {
				if z.next() > 0 {
					keep[i] = uint8(1 + i%255)
				}
			}
			want := make([]float32, n)
			for i := range x {
				if keep[i] != 0 {
					want[i] = x[i] * (1 / (1 - float32(0.3)))
				}
			}
			eachThreads(func(p *Pool) {
				y := stale(n)
				Dropout(p, 0.3, keep, x, y)
				sameBits(t, "y", y, want)
				copy(y, x)
				Dropout(p, 0.3, keep, y, y)
				sameBits(t, "y in place", y, want)
			})
		}
	})
}

func TestDivide(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 16, 75, taskFloats + 33} {
			z := noise(n)
			x, got, want := z.floats(n), stale(n), stale(n)
			for _, by := range []float32{3, 32, 1e-30} {
				for i := range x {
					want[i] = x[i] / by
				}
				Divide(x, got, by)
				sameBits(t, "quotients", got, want)
			}
		}
	})
}

func TestUpdate(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for i, s := range []SGD{
			{LR: 0.1, Scale: 1},
			{LR: 0.1, Decay: 0.01, Scale: 0.7},
			{LR: 0.3, Momentum: 0.9, Scale: 0.1},
			{LR: 0.2, Momentum: 0.8, Decay: 0.1, Scale: 1},
			{LR: 0.3, Momentum: 0.9, Nesterov: true, Scale: 0.3},
			{LR: 0.2, Momentum: 0.8, Decay: 0.1, Nesterov: true, Scale: 0.9},
		} {
			for _, n := range []int{1, 16, 75, 2*taskFloats + 33} {
				checkUpdate(t, s, n, uint32(i))
			}
		}
	})
}

func FuzzUpdate(f *testing.F) {
	f.Add(float32(0.1), float32(0.9), float32(0.01), float32(0.5), true, 77, uint32(1))
	f.Add(float32(0.1), float32(0), float32(0), float32(1), false, 16, uint32(2))
	f.Fuzz(func(t *testing.T, lr, momentum, decay, scale float32, nesterov bool, n int, seed uint32) {
		s := SGD{LR: lr, Momentum: momentum, Decay: decay, Nesterov: nesterov && momentum != 0, Scale: scale}
		if n < 1 || n > 1000 || lr-lr != 0 || momentum-momentum != 0 || decay-decay != 0 || scale-scale != 0 {
			t.Skip()
		}
		eachImpl(t, func(t *testing.T) { checkUpdate(t, s, n, seed) })
	})
}

func checkUpdate(t *testing.T, s SGD, n int, seed uint32) {
	t.Helper()
	z := noise(seed)
	params, velocity, grad := z.floats(n), z.floats(n), z.sparse(n)
	wantP, wantV := make([]float32, n), make([]float32, n)
	for i := range n {
		g := float32(s.Scale * grad[i])
		if s.Decay != 0 {
			g += float32(s.Decay * params[i])
		}
		v := g
		wantV[i] = velocity[i]
		if s.Momentum != 0 {
			v = float32(s.Momentum*velocity[i]) + g
			wantV[i] = v
		}
		if s.Nesterov {
			v = g + float32(s.Momentum*v)
		}
		wantP[i] = params[i] - float32(s.LR*v)
	}
	check := func(p *Pool) {
		gotP, gotV := append([]float32(nil), params...), append([]float32(nil), velocity...)
		Update(p, s, gotP, gotV, grad)
		sameNumbers(t, name(s)+" params", gotP, wantP)
		sameNumbers(t, name(s)+" velocity", gotV, wantV)
	}
	check(nil)
	eachThreads(check)
}

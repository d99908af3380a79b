package fmath

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"convoy/digest"
)

// next is a small generator of test inputs (xorshift64*, Vigna 2014).
type next uint64

func (s *next) bits() uint64 {
	*s ^= *s >> 12
	*s ^= *s << 25
	*s ^= *s >> 27
	return uint64(*s) * 0x2545f4914f6cdd1d
}

// in returns a float64 in [low, high).
func (s *next) in(low, high float64) float64 {
	return low + float64((high-low)*(float64(s.bits()>>11)*0x1p-53))
}

// ulps is the distance of got from want in units of want's last place.
func ulps(got, want float64) float64 {
	if got == want || (got != got && want != want) {
		return 0
	}
	unit := math.Nextafter(math.Abs(want), math.Inf(1)) - math.Abs(want)
	return math.Abs(got-want) / unit
}

// functions lists every float64 function of one argument with math's own, and
// the range on which it is compared.
var functions = []struct {
	name      string
	got, want func(float64) float64
	low, high float64
}{
	{"Exp", Exp, math.Exp, -700, 700},
	{"Exp near 0", Exp, math.Exp, -0.5, 0.5},
	{"Exp subnormal", Exp, math.Exp, -745, -700},
	{"Log near 1", Log, math.Log, 0.5, 2},
	{"Log", Log, math.Log, 0, 1e9},
	{"Log small", Log, math.Log, 0, 1e-300},
	{"Sin", Sin, math.Sin, -2 * math.Pi, 2 * math.Pi},
	{"Sin far", Sin, math.Sin, -1e6, 1e6},
	{"Cos", Cos, math.Cos, -2 * math.Pi, 2 * math.Pi},
	{"Cos far", Cos, math.Cos, -1e6, 1e6},
	{"Tanh", Tanh, tanh, -25, 25},
	{"Tanh near 0", Tanh, tanh, -1e-3, 1e-3},
}

// tanh: math.Tanh itself is 2 ulp off in places.
func tanh(x float64) float64 {
	t := math.Expm1(2 * math.Abs(x))
	return math.Copysign(t/(t+2), x)
}

// log: math.Log is wrong on amd64 where x is subnormal.
func log(x float64) float64 {
	if x > 0 && x < 0x1p-1022 {
		return math.Log(x*0x1p54) - 54*math.Ln2
	}
	return math.Log(x)
}

func TestAgainstMath(t *testing.T) {
	for _, f := range functions {
		t.Run(f.name, func(t *testing.T) {
			s, worst := next(7), 0.0
			for range 20000 {
				x := s.in(f.low, f.high)
				d := ulps(f.got(x), f.want(x))
				worst = max(worst, d)
				if d > 2 {
					t.Fatalf("%s(%v) = %v, math has %v: %.2f ulp", f.name, x, f.got(x), f.want(x), d)
				}
			}
			t.Logf("worst %.2f ulp", worst)
		})
	}
}

// TestHardArguments checks the reduction where kπ/2 all but cancels x, against
// the difference computed with 400 bits (math's own is off there).
func TestHardArguments(t *testing.T) {
	pi, _, err := big.ParseFloat("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899", 10, 256, big.ToNearestEven)
	if err != nil {
		t.Fatal(err)
	}
	for k := 1; k < 600000; k += 1 + k/50 {
		x := float64(k) * (math.Pi / 2)
		half := new(big.Float).SetPrec(400).Mul(pi, big.NewFloat(float64(k)/2))
		rest, _ := new(big.Float).SetPrec(400).Sub(new(big.Float).SetFloat64(x), half).Float64()
		want := rest // the sine of so small a rest is the rest itself
		if k&2 != 0 {
			want = -want
		}
		if k&1 == 0 {
			if got := Sin(x); ulps(got, want) > 1 {
				t.Errorf("Sin(%v) = %v, want %v", x, got, want)
			}
		} else if got := Cos(x); ulps(got, -want) > 1 {
			t.Errorf("Cos(%v) = %v, want %v", x, got, -want)
		}
	}
	if got, want := Sin(1e15), math.Sin(1e15); math.Abs(got-want) > 0.25 {
		t.Errorf("Sin(1e15) = %v, want about %v", got, want)
	}
}

// TestPow compares whole powers with exact arithmetic and others with math.
func TestPow(t *testing.T) {
	s := next(3)
	for range 3000 {
		x := s.in(0.5, 1.5)
		n := 1 + int(s.bits()%1500)
		if s.bits()&1 == 0 {
			x = -x
		}
		exact := big.NewFloat(1).SetPrec(2000)
		base := new(big.Float).SetPrec(2000).SetFloat64(x)
		for i, square := n, base; i > 0; i >>= 1 {
			if i&1 == 1 {
				exact.Mul(exact, square)
			}
			square = new(big.Float).SetPrec(2000).Mul(square, square)
		}
		want, _ := exact.Float64()
		if got := Pow(x, float64(n)); ulps(got, want) > 1 {
			t.Fatalf("Pow(%v, %d) = %v, want %v", x, n, got, want)
		}
		x, y := s.in(0, 100), s.in(-20, 20)
		if got, want := Pow(x, y), math.Pow(x, y); math.Abs(got-want) > 1e-14*want {
			t.Fatalf("Pow(%v, %v) = %v, math has %v", x, y, got, want)
		}
	}
	if got := Pow(0.5, 1070); got != 0x1p-1070 {
		t.Errorf("Pow(0.5, 1070) = %v", got)
	}
	if got := Pow(2, 1023.5); ulps(got, math.Pow(2, 1023.5)) > 2 {
		t.Errorf("Pow(2, 1023.5) = %v", got)
	}
	if got := Pow(1e-200, 2); got != 0 {
		t.Errorf("Pow(1e-200, 2) = %v", got)
	}
}

// TestSpecialCases goes through the cases in which math defines the result
// exactly.
func TestSpecialCases(t *testing.T) {
	special := []float64{
		0, math.Copysign(0, -1), 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e300, -1e300, 1e-310, -1e-310,
		math.Inf(1), math.Inf(-1), math.NaN(), 1 << 53, -(1<<53 - 1), math.MaxFloat64, -math.MaxFloat64,
		710, -750, 5e-324,
	}
	same := func(name string, got, want float64) {
		t.Helper()
		edge := want == 0 || want != want || math.IsInf(want, 0)
		if edge && math.Float64bits(got) != math.Float64bits(want) && !(got != got && want != want) ||
			!edge && math.Abs(got-want) > 4e-16*math.Abs(want)+5e-324 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	for _, x := range special {
		same("Exp", Exp(x), math.Exp(x))
		same("Log", Log(x), log(x))
		same("Tanh", Tanh(x), math.Tanh(x))
		if math.Abs(x) < 1<<20 || math.IsInf(x, 0) || x != x {
			same("Sin", Sin(x), math.Sin(x))
			same("Cos", Cos(x), math.Cos(x))
		}
		for _, y := range special {
			same("Pow", Pow(x, y), math.Pow(x, y))
		}
		same("Exp32", float64(Exp32(float32(x))), float64(float32(math.Exp(float64(float32(x))))))
		same("Sigmoid32", float64(Sigmoid32(float32(x))), float64(float32(1/(1+math.Exp(-float64(float32(x)))))))
		same("Tanh32", float64(Tanh32(float32(x))), float64(float32(math.Tanh(float64(float32(x))))))
	}
}

// TestFloat32 holds the float32 functions to 0.6 ulp of float32 (7e-8 or less).
func TestFloat32(t *testing.T) {
	check := func(name string, got float32, want float64, x float32) {
		t.Helper()
		if math.Abs(want) < 0x1p-126 {
			if math.Abs(float64(got)-want) > 0.6*0x1p-149 {
				t.Fatalf("%s(%v) = %v, want %v", name, x, got, want)
			}
			return
		}
		_, e := math.Frexp(want)
		if d := math.Abs(float64(got)-want) / math.Ldexp(1, e-24); d > 0.6 {
			t.Fatalf("%s(%v) = %v, want %v: %.2f ulp", name, x, got, want, d)
		}
	}
	s := next(11)
	for i := range 60000 {
		width := []float64{1e-3, 1, 9, 100}[i%4]
		x := float32(s.in(-width, width))
		if x < 88.7 {
			check("Exp32", Exp32(x), math.Exp(float64(x)), x)
		}
		check("Sigmoid32", Sigmoid32(x), 1/(1+math.Exp(-float64(x))), x)
		check("Tanh32", Tanh32(x), math.Tanh(float64(x)), x)
	}
}

// TestGoldenBits pins every function's bits: the digest is the same on every
// machine, and changing it changes job.ArithmeticVersion.
func TestGoldenBits(t *testing.T) {
	const golden = "226607236ee9e79342b8190fbb92a31419a0a13e1d7c665d6ab2f07c980d4b9b"
	var h hasher
	s := next(1)
	for _, f := range functions {
		for range 2000 {
			h.put(math.Float64bits(f.got(s.in(f.low, f.high))))
		}
	}
	for range 2000 {
		h.put(math.Float64bits(Pow(s.in(0, 10), s.in(-300, 300))))
		h.put(math.Float64bits(Sin(s.in(-1e15, 1e15))))
		x := float32(s.in(-20, 20))
		h.put(uint64(math.Float32bits(Exp32(x))))
		h.put(uint64(math.Float32bits(Sigmoid32(x))))
		h.put(uint64(math.Float32bits(Tanh32(x))))
	}
	if got := digest.Of(h.bytes).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}

type hasher struct{ bytes []byte }

func (h *hasher) put(v uint64) { h.bytes = binary.LittleEndian.AppendUint64(h.bytes, v) }

func BenchmarkExp(b *testing.B) { bench(b, func(x float64) float64 { return Exp(x) }) }
func BenchmarkLog(b *testing.B) { bench(b, func(x float64) float64 { return Log(x + 17) }) }
func BenchmarkSin(b *testing.B) { bench(b, Sin) }
func BenchmarkPow(b *testing.B) { bench(b, func(x float64) float64 { return Pow(x+17, 1.5) }) }
func BenchmarkExp32(b *testing.B) {
	bench(b, func(x float64) float64 { return float64(Exp32(float32(x))) })
}

func BenchmarkSigmoid32(b *testing.B) {
	bench(b, func(x float64) float64 { return float64(Sigmoid32(float32(x))) })
}

func BenchmarkTanh32(b *testing.B) {
	bench(b, func(x float64) float64 { return float64(Tanh32(float32(x))) })
}

var sink float64

func bench(b *testing.B, f func(float64) float64) {
	x := -16.0
	for b.Loop() {
		sink += f(x)
		if x += 0.37; x > 16 {
			x -= 32
		}
	}
}

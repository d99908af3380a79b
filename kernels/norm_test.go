package kernels

import (
	"fmt"
	"math"
	"math/big"
	"testing"
)

// TestSumOfSquares compares with exact sums, at every tail.
func TestSumOfSquares(t *testing.T) {
	for n := range 40 {
		z := noise(n + 1)
		x := z.floats(n)
		want := new(big.Float).SetPrec(2000)
		for _, v := range x {
			f := new(big.Float).SetPrec(2000).SetFloat64(float64(v))
			want.Add(want, f.Mul(f, f))
		}
		exact, _ := want.Float64()
		if got := SumOfSquares(x); math.Abs(got-exact) > 1e-14*exact {
			t.Errorf("%d elements: %v, want %v", n, got, exact)
		}
	}
	if got := SumOfSquares([]float32{math.MaxFloat32, math.MaxFloat32}); math.IsInf(got, 0) {
		t.Error("the largest floats overflow")
	}
}

// The bits are part of the arithmetic version.
func TestSumOfSquaresBits(t *testing.T) {
	const want = "0x4075950219ef7fe4"
	z := noise(9)
	if got := fmt.Sprintf("%#x", math.Float64bits(SumOfSquares(z.floats(1003)))); got != want {
		t.Errorf("bits %s, want %s", got, want)
	}
}

func BenchmarkSumOfSquares(b *testing.B) {
	z := noise(1)
	x := z.floats(16 << 10)
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		SumOfSquares(x)
	}
}

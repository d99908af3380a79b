package kernels

import (
	"fmt"
	"math"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachImpl runs f with every implementation that this machine has.
func eachImpl(t *testing.T, f func(t *testing.T)) {
	before := active
	defer func() { active = before }()
	for _, i := range implementations {
		t.Run(i.name, func(t *testing.T) {
			active = i
			f(t)
		})
	}
}

// newPool returns a pool that ends with the test.
func newPool(t testing.TB, threads int) *Pool {
	p := NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

// noise is a small generator for test data: numbers in [−1, 1).
type noise uint32

func (z *noise) next() float32 {
	*z = *z*1664525 + 1013904223
	return float32(int32(*z)) / (1 << 31)
}

func (z *noise) floats(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = z.next()
	}
	return v
}

// sparse is floats with many zeros of both signs and ties among them.
func (z *noise) sparse(n int) []float32 {
	v := z.floats(n)
	for i := range v {
		v[i] = float32(math.Round(float64(v[i]*2))) / 2
	}
	return v
}

// sameBits fails the test unless got and want are the same to the bit.
func sameBits(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			t.Fatalf("%s: element %d is %g (%08x), want %g (%08x)",
				name, i, got[i], math.Float32bits(got[i]), w, math.Float32bits(w))
		}
	}
}

// stale is a slice that an operation must overwrite in full.
func stale(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.NaN())
	}
	return v
}

var threadCounts = []int{1, 2, 3, 5}

// mustPanic fails the test unless f panics with a message.
func mustPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if v := recover(); v == nil {
			t.Errorf("%s: no panic", name)
		} else if _, ok := v.(string); !ok {
			t.Errorf("%s: panic with %v", name, v)
		}
	}()
	f()
}

// cutsFrom divides n examples among 1 to 8 micro-batches, some of them absent.
func cutsFrom(n int, seed uint32) []int {
	z := noise(seed)
	m := 1 << (seed % 4)
	cuts := make([]int, m+1)
	cuts[m] = n
	for i := 1; i < m; i++ {
		cuts[i] = min(n, cuts[i-1]+int(uint32(z.next()*(1<<30)))%(2*n/m+1))
	}
	return cuts
}

func name(s any) string { return fmt.Sprintf("%+v", s) }

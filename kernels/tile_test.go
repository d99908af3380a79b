package kernels

import (
	"math/big"
	"testing"
	"unsafe"
)

// tileCase is a tile of either form with everything that can differ.
type tileCase struct {
	columns       bool // the form
	rows, cols    int
	k, segs, skip int
	init          int // 0: none, 1: C itself, 2: a bias
	relu          bool
	seed          uint32
}

// run computes the case with f and returns C with what lies around it.
func (c tileCase) run(f micro) []float32 {
	z := noise(c.seed)
	k := c.k*c.segs + c.skip*c.segs
	a, b := z.floats(c.rows*k+c.rows), z.floats((k+1)*(c.cols+3))
	out, bias := z.floats(c.rows*(c.cols+5)), z.floats(c.cols)
	t := tile{
		a: unsafe.Pointer(&a[0]), aRow: uintptr(4 * k), aStep: uintptr(4 * c.rows), aSeg: uintptr(4 * c.skip),
		b: unsafe.Pointer(&b[0]), bStep: uintptr(4 * (c.cols + 3)), bSeg: uintptr(4 * c.skip * (c.cols + 3)),
		c: unsafe.Pointer(&out[0]), cRow: uintptr(4 * (c.cols + 5)),
		k: uintptr(c.k), segs: uintptr(c.segs), low: noLow,
	}
	if c.columns {
		t.aSeg *= uintptr(c.rows)
	}
	switch c.init {
	case 1:
		t.init, t.initRow = t.c, t.cRow
	case 2:
		t.init = unsafe.Pointer(&bias[0])
	}
	if c.relu {
		t.low = 0
	}
	f(&t)
	return out
}

func TestTiles(t *testing.T) {
	for _, impl := range implementations[:len(implementations)-1] {
		t.Run(impl.name, func(t *testing.T) {
			for i := range 3000 {
				c := tileCase{
					columns: i%2 == 1, rows: i/2%impl.rows + 1, cols: 16 * (i/28%(impl.cols/16) + 1),
					k: i*7%19 + 1, segs: i*5%3 + 1, skip: i * 3 % 4, init: i % 3, relu: i%5 == 0, seed: uint32(i),
				}
				checkTile(t, impl, c)
			}
		})
	}
}

func checkTile(t *testing.T, impl *isa, c tileCase) {
	t.Helper()
	fast, slow := impl.tileRows[c.cols/16][c.rows], generic.tileRows[c.cols/16][c.rows]
	if c.columns {
		fast, slow = impl.tileColumns[c.cols/16][c.rows], generic.tileColumns[c.cols/16][c.rows]
	}
	sameBits(t, name(c), c.run(fast), c.run(slow))
}

// TestFMA compares with exact arithmetic, over the whole range of exponents.
func TestFMA(t *testing.T) {
	z := noise(1)
	scales := []float32{1, 1e-45, 3e-39, 1e-20, 1e19, 1.5, 1 << 24, 1.0 / (1 << 24), 1.0 / (1 << 25)}
	for i := range 200000 {
		x, y, v := z.next()*scales[i%9], z.next()*scales[i/9%9], z.next()*scales[i/81%9]
		if i%7 == 0 {
			v = -float32(float64(x) * float64(y))
		}
		exact := new(big.Float).SetPrec(400).Mul(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
		exact.Add(exact, big.NewFloat(float64(v)))
		want, _ := exact.Float32()
		if got := fma(x, y, v); got != want {
			t.Fatalf("fma(%g, %g, %g) = %g, want %g", x, y, v, got, want)
		}
	}
}

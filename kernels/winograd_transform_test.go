package kernels

import (
	"fmt"
	"math"
	"testing"
	"unsafe"
)

// transformCase is a transform with everything that can differ.
type transformCase struct {
	form, groups int
	init         int // 0: none, 1: what is there, 2: a bias
	relu         bool
	seed         uint32
}

// run computes the case with f and returns dst with what lies around it.
func (c transformCase) run(f func(t *transform)) []float32 {
	z := noise(c.seed)
	s := sequences[c.form]
	n := 16 * c.groups
	src, dst, bias := z.floats(s.in*s.in*(n+3)), z.floats(s.out*s.out*(n+5)), z.floats(n)
	t := transform{
		src: unsafe.Pointer(&src[0]), srcRow: uintptr(4 * (n + 3)), srcColumn: uintptr(4 * s.in * (n + 3)),
		dst: unsafe.Pointer(&dst[0]), dstRow: uintptr(4 * s.out * (n + 5)), dstColumn: uintptr(4 * (n + 5)),
		temp: unsafe.Pointer(&make([]float32, transformTemp)[0]), constants: &winogradTable,
		groups: uintptr(c.groups), low: noLow,
	}
	switch c.init {
	case 1:
		t.init, t.initRow, t.initColumn = t.dst, t.dstRow, t.dstColumn
	case 2:
		t.init = unsafe.Pointer(&bias[0])
	}
	if c.relu {
		t.low = 0
	}
	f(&t)
	return dst
}

func TestTransforms(t *testing.T) {
	for _, impl := range implementations[:len(implementations)-1] {
		for form := range transformForms {
			for i := range 18 {
				c := transformCase{form: form, groups: i%4 + 1, init: i % 3, relu: i%2 == 0, seed: uint32(i)}
				sameBits(t, impl.name+name(c), c.run(impl.transforms[form]), c.run(genericTransforms[form]))
			}
		}
	}
}

// TestSequences compares one-dimensional convolutions by the sequences with the
// sum of products, both as Winograd's forward pass uses them, m outputs of 7−m
// taps, and with outputs and taps exchanged.
func TestSequences(t *testing.T) {
	z := noise(1)
	for m := 2; m <= 5; m++ {
		taps := 7 - m
		var d, g, v, u, y [6]float32
		copy(d[:], z.floats(6))
		copy(g[:taps], z.floats(taps))
		sequences[inputs6].apply(&d, &v)
		sequences[kernel2+taps-2].apply(&g, &u)
		for i := range v {
			v[i] *= u[i]
		}
		sequences[outputs2+m-2].apply(&v, &y)
		for i := range m {
			var want float64
			for k := range taps {
				want += float64(d[i+k]) * float64(g[k])
			}
			if math.Abs(float64(y[i])-want) > 1e-5 {
				t.Errorf("%d outputs of %d taps: output %d is %g, want %g", m, taps, i, y[i], want)
			}
		}
	}
}

// BenchmarkTransforms is each transform of four groups with all in the first
// cache.
func BenchmarkTransforms(b *testing.B) {
	for _, impl := range implementations[:len(implementations)-1] {
		for form, s := range sequences {
			b.Run(fmt.Sprintf("%s/%d→%d", impl.name, s.in, s.out), func(b *testing.B) {
				src, dst := Floats(36*80), Floats(36*80)
				t := transform{
					src: unsafe.Pointer(&src[0]), srcRow: 6 * 80 * 4, srcColumn: 80 * 4,
					dst: unsafe.Pointer(&dst[0]), dstRow: 6 * 80 * 4, dstColumn: 80 * 4,
					temp: unsafe.Pointer(&Floats(transformTemp)[0]), constants: &winogradTable, groups: 4, low: noLow,
				}
				for b.Loop() {
					impl.transforms[form](&t)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4, "ns/group")
			})
		}
	}
}

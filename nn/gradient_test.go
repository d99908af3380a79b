package nn

import (
	"math"
	"testing"

	"convoy/rng"
)

// TestGradients compares every layer's gradients with central differences of
// Σ y·gy. A new layer is one line here.
func TestGradients(t *testing.T) {
	for _, c := range []struct {
		layer Layer
		in    Shape
	}{
		{Conv{Out: 3, Kernel: 3}, Shape{2, 5, 4}},
		{Conv{Out: 2, Kernel: 5, Stride: 2, Pad: 2}, Shape{3, 6, 7}},
		{Linear{Out: 5}, Shape{7, 1, 1}},
		{MaxPool{Kernel: 2}, Shape{2, 5, 6}},
		{MaxPool{Kernel: 3, Stride: 2, Pad: 1}, Shape{2, 5, 6}},
		{AvgPool{Kernel: 2}, Shape{2, 5, 6}},
		{AvgPool{Kernel: 3, Stride: 1, Pad: 1}, Shape{2, 5, 4}},
		{GlobalAvgPool{}, Shape{3, 4, 5}},
		{ReLU{}, Shape{2, 3, 4}},
		{Sigmoid{}, Shape{2, 3, 4}},
		{Flatten{}, Shape{2, 3, 4}},
		{Chain{Conv{Out: 3, Kernel: 3}, Sigmoid{}, Flatten{}, Linear{Out: 4}}, Shape{2, 4, 4}},
		{Branches{{Conv{Out: 2, Kernel: 1}}, {Sigmoid{}, AvgPool{Kernel: 3, Stride: 1, Pad: 1}}, {ReLU{}}}, Shape{2, 3, 4}},
	} {
		t.Run(c.layer.String(), func(t *testing.T) { checkGradient(t, c.layer, c.in) })
	}
}

const difference = 1.0 / 128 // exact in float32

func checkGradient(t *testing.T, layer Layer, in Shape) {
	const n = 3
	var b binder
	op, err := layer.bind(&b, in)
	if err != nil {
		t.Fatal(err)
	}
	r := run{
		pool: pool(t, 2), n: n, cuts: []int{0, 2, 3},
		params: uniform(b.params, 1), grad: uniform(b.params, 2),
	}
	x, gy := spread(n*in.Len()), uniform(n*op.out().Len(), 3)
	objective := func() float64 {
		var sum float64
		for i, y := range op.forward(&r, append([]float32(nil), x...)) {
			sum += float64(y) * float64(gy[i])
		}
		return sum
	}
	objective()
	gx := append([]float32(nil), op.backward(&r, append([]float32(nil), gy...), true)...)
	compare(t, "input", gx, x, objective)
	compare(t, "parameters", r.grad, r.params, objective)
	if !op.learns() {
		return
	}
	// Without the input's gradient the parameters' is the same.
	want := append([]float32(nil), r.grad...)
	objective()
	op.backward(&r, append([]float32(nil), gy...), false)
	if !sameBits(r.grad, want) {
		t.Error("the parameters' gradient depends on whether the input's is wanted")
	}
}

// spread returns n values that all lie further from one another and from 0 than
// a difference reaches, so that no maximum and no sign changes.
func spread(n int) []float32 {
	order := rng.NewPermutation(4, 0, n)
	v := make([]float32, n)
	for i := range v {
		v[i] = (float32(order.At(i)-n/2) + 0.5) * (4 * difference)
	}
	return v
}

// compare changes each of v in turn and holds the differences of f against got.
func compare(t *testing.T, name string, got, v []float32, f func() float64) {
	t.Helper()
	if len(got) != len(v) {
		t.Fatalf("gradient of %s has %d elements, want %d", name, len(got), len(v))
	}
	for i, old := range v {
		v[i] = old + difference
		up := f()
		v[i] = old - difference
		down := f()
		v[i] = old
		want := (up - down) / (2 * difference)
		if math.Abs(float64(got[i])-want) > 2e-3 {
			t.Errorf("gradient of %s[%d] is %v, differences give %v", name, i, got[i], want)
		}
	}
}

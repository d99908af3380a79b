package nn

import (
	"math"
	"testing"

	"convoy/kernels"
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
		{Conv{Out: 4, Kernel: 3, Pad: 1, Groups: 2}, Shape{6, 4, 3}},
		{Conv{Out: 6, Kernel: 2, Stride: 2, Groups: 3}, Shape{3, 4, 5}},
		{Conv{Out: 4, Kernel: 3, Pad: 1, Table: Table{"X.XX", ".XX.", "XX.X"}}, Shape{3, 4, 5}},
		{Conv{Out: 4, Kernel: 3}, Shape{2, 3, 3}},
		{Linear{Out: 5}, Shape{7, 1, 1}},
		{MaxPool{Kernel: 2}, Shape{2, 5, 6}},
		{MaxPool{Kernel: 3, Stride: 2, Pad: 1}, Shape{2, 5, 6}},
		{AvgPool{Kernel: 2}, Shape{2, 5, 6}},
		{AvgPool{Kernel: 3, Stride: 1, Pad: 1}, Shape{2, 5, 4}},
		{GlobalAvgPool{}, Shape{3, 4, 5}},
		{Subsample{}, Shape{3, 5, 6}},
		{Subsample{Max: true}, Shape{3, 4, 7}},
		{ReLU{}, Shape{2, 3, 4}},
		{Sigmoid{}, Shape{2, 3, 4}},
		{Tanh{}, Shape{2, 3, 4}},
		{ScaledTanh{}, Shape{2, 3, 4}},
		{LRN{Size: 3, Alpha: 0.5, Beta: 0.75, K: 2}, Shape{5, 2, 3}},
		{LRN{Size: 4, Alpha: 0.5, Beta: 0.6, K: 1}, Shape{5, 2, 3}},
		{Dropout{Rate: 0.4}, Shape{5, 2, 3}},
		{RBF{Out: 3, Codes: codes(3, 5)}, Shape{5, 1, 1}},
		{RBF{Out: 3, Codes: codes(3, 5), Trainable: true}, Shape{5, 1, 1}},
		{Flatten{}, Shape{2, 3, 4}},
		{Flatten{}, Shape{1, 3, 4}},
		{Chain{Conv{Out: 3, Kernel: 3, Pad: 1}, ReLU{}, MaxPool{Kernel: 2}}, Shape{2, 4, 4}},
		{Chain{Conv{Out: 3, Kernel: 3, Pad: 1}, ReLU{}, Dropout{Rate: 0.4}, Sigmoid{}}, Shape{2, 3, 4}},
		{Chain{Conv{Out: 3, Kernel: 1}, Dropout{Rate: 0.4}, Flatten{}, ReLU{}, Linear{Out: 2}, ReLU{}}, Shape{2, 2, 2}},
		{Chain{Conv{Out: 3, Kernel: 3}, Sigmoid{}, Flatten{}, Linear{Out: 4}}, Shape{2, 4, 4}},
		{Branches{{Conv{Out: 2, Kernel: 1}}, {Sigmoid{}, AvgPool{Kernel: 3, Stride: 1, Pad: 1}}, {ReLU{}}}, Shape{2, 3, 4}},
		{Chain{Conv{Out: 3, Kernel: 3}, ScaledTanh{}, Subsample{}, ScaledTanh{}}, Shape{2, 6, 6}},
		{Branches{{Subsample{}}, {Subsample{Max: true}, ReLU{}}}, Shape{2, 4, 4}},
		{Branches{{Linear{Out: 2}}, {Flatten{}}, {Linear{Out: 3}, ReLU{}}, {Dropout{Rate: 0.4}}}, Shape{5, 1, 1}},
		{Chain{Branches{{Conv{Out: 2, Kernel: 1}, ReLU{}}, {Branches{{ReLU{}}, {Tanh{}}}}, {LRN{Size: 2, Alpha: 1, Beta: 0.75, K: 1}}}, Sigmoid{}}, Shape{2, 3, 3}},
		{Auxiliary{Chain{Linear{Out: 2}}, 0.3}, Shape{5, 1, 1}},
		{Chain{Sigmoid{}, Auxiliary{Chain{AvgPool{Kernel: 2}, Conv{Out: 3, Kernel: 1}, ReLU{}, Flatten{}, Dropout{Rate: 0.4}, Linear{Out: 2}}, 0.5}, ReLU{}}, Shape{2, 4, 4}},
		{Branches{{Auxiliary{Chain{GlobalAvgPool{}}, 0.3}}, {Conv{Out: 3, Kernel: 1}, Auxiliary{Chain{Flatten{}, Linear{Out: 2}}, 2}}}, Shape{2, 2, 3}},
	} {
		t.Run(c.layer.String(), func(t *testing.T) { checkGradient(t, c.layer, c.in) })
	}
}

const difference = 1.0 / 128 // exact in float32

func checkGradient(t *testing.T, layer Layer, in Shape) {
	const n = 3
	m, op := bound(t, layer, in, true)
	m.n, m.cuts = n, []int{0, 2, 3}
	m.labels, m.losses = []int32{1, 0, 1}, make([]float64, n)
	x, gy := kernels.Maps{V: spread(n * in.Len()), Pitch: in.C}, uniform(n*op.out().Len(), 3)
	y := kernels.Maps{V: make([]float32, len(gy)), Pitch: op.out().C}
	backward := func(gx kernels.Maps, add bool) {
		op.backward(m, x, y, kernels.Maps{V: append([]float32(nil), gy...), Pitch: y.Pitch}, gx, add)
	}
	scratch := kernels.Maps{V: make([]float32, len(x.V)), Pitch: in.C}
	objective := func() float64 {
		var sum float64
		op.forward(m, x, y)
		for i, y := range y.V {
			sum += float64(y) * float64(gy[i])
		}
		clear(m.losses)
		backward(scratch, false) // which adds the losses of auxiliary classifiers
		for _, l := range m.losses {
			sum += l
		}
		return sum
	}
	m.pack()
	objective()
	gx := kernels.Maps{V: make([]float32, len(x.V)), Pitch: in.C}
	backward(gx, false)
	grad := append([]float32(nil), m.grad...)
	compare(t, "input", gx.V, x.V, objective)
	compare(t, "parameters", grad, m.params, func() float64 { m.pack(); return objective() })
	m.pack()
	objective()
	if op.traits().adds {
		sum := append([]float32(nil), gx.V...)
		backward(kernels.Maps{V: sum, Pitch: in.C}, true)
		for i, v := range sum {
			if math.Abs(float64(v-2*gx.V[i])) > 1e-6 {
				t.Fatalf("added gradient of input[%d] is %v, want twice %v", i, v, gx.V[i])
			}
		}
	}
	// Without the input's gradient the parameters' is the same.
	alone, op := bound(t, layer, in, false)
	alone.n, alone.cuts, alone.labels, alone.losses = m.n, m.cuts, m.labels, m.losses
	alone.pack()
	op.forward(alone, x, y)
	op.backward(alone, x, y, kernels.Maps{V: gy, Pitch: y.Pitch}, kernels.Maps{}, false)
	if !sameBits(alone.grad, grad) {
		t.Error("the parameters' gradient depends on whether the input's is wanted")
	}
}

// bound binds one layer and makes a run for it.
func bound(t *testing.T, layer Layer, in Shape, below bool) (*run, operator) {
	b := newBinder(Options{}, below)
	b.depth = 1 // as in a branch
	op, err := layer.bind(b, in)
	if err != nil {
		t.Fatal(err)
	}
	return &run{
		pool: pool(t, 2), training: true, step: 3, first: 5,
		params: uniform(b.params, 1), grad: uniform(b.params, 2),
		gradients: make([][2][]float32, len(b.sides)), packers: b.packers,
	}, op
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

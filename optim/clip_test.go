package optim

import (
	"math"
	"testing"

	"convoy/digest"
	"convoy/internal/allocs"
	"convoy/kernels"
)

// TestClip compares with torch.nn.utils.clip_grad_norm_'s formula in float64, for
// gradients of one leaf and of many, and any number of goroutines.
func TestClip(t *testing.T) {
	pool := kernels.NewPool(3)
	defer pool.Close()
	for _, n := range []int{1, 37, digest.LeafFloats, sharedLeaves*digest.LeafFloats + 77} {
		grad := wave(n, 5)
		norm := 0.0
		for _, g := range grad {
			norm += float64(g) * float64(g)
		}
		norm = math.Sqrt(norm)
		for _, share := range []float64{1e-3, 0.7, 0.999, 1.001, 50} {
			o := SGD{ClipNorm: float32(share * norm)}
			want := math.Min(1, float64(o.ClipNorm)/(norm+1e-6))
			_, got := NewUpdater(nil).Gradient(o, grad, digest.Sums{})
			if math.Abs(float64(got)-want) > 6e-8*want {
				t.Errorf("%d floats of norm %g clipped to %g: factor %v, want %v", n, norm, o.ClipNorm, got, want)
			}
			if _, shared := NewUpdater(pool).Gradient(o, grad, digest.Sums{}); shared != got {
				t.Errorf("%d floats: factor %v, shared out %v", n, got, shared)
			}
			sum := wave(n, 5)
			for i := range sum {
				sum[i] *= 8 // a mean of 8 examples is exact
			}
			if _, mean, _ := NewUpdater(pool).Mean(o, false, sum, sum, digest.Sums{Examples: 8}); mean != got {
				t.Errorf("%d floats: factor %v, of the mean %v", n, got, mean)
			}
		}
	}
	u := NewUpdater(pool)
	grad := wave(sharedLeaves*digest.LeafFloats, 1)
	plain := allocs.Steady(func() { u.Gradient(SGD{}, grad, digest.Sums{}) })
	if a := allocs.Steady(func() { u.Gradient(SGD{ClipNorm: 1}, grad, digest.Sums{}) }); a != plain && !allocs.Race {
		t.Errorf("%v allocations in a gradient's digest and norm, %v in its digest", a, plain)
	}
}

// The bits of a factor, which everybody must find.
func TestClipBits(t *testing.T) {
	_, got := NewUpdater(nil).Gradient(SGD{ClipNorm: 100}, wave(3*digest.LeafFloats+5, 1), digest.Sums{})
	if bits := math.Float32bits(got); bits != 0x3c00f894 {
		t.Errorf("bits %#x, want 0x3c00f894", bits)
	}
}

// A gradient of zeros is left as it is, not divided by.
func TestClipOfNothing(t *testing.T) {
	if _, got := NewUpdater(nil).Gradient(SGD{ClipNorm: 1}, make([]float32, 5), digest.Sums{}); got != 1 {
		t.Errorf("factor %v, want 1", got)
	}
}

// TestWeightsOnly: weights decay and biases do not, wherever a leaf of the digest
// ends, and the digest is that of the state.
func TestWeightsOnly(t *testing.T) {
	pool := kernels.NewPool(3)
	defer pool.Close()
	layout := []Tensor{
		{"0.weight", []int{3, 5}},
		{"0.bias", []int{3}},
		{"1.weight", []int{2, 2*digest.LeafFloats - 9}},
		{"1.bias", []int{2}},
		{"2.weight", []int{5, digest.LeafFloats, 1}},
		{"2.bias", []int{digest.LeafFloats + 7}},
		{"3.coefficient", []int{1}},
	}
	n := 0
	for _, x := range layout {
		n += x.Len()
	}
	for _, u := range []*Updater{NewUpdater(nil), NewUpdater(pool)} {
		for _, o := range optimizers {
			if o.WeightDecay == 0 {
				continue
			}
			o.WeightsOnly = true
			want := NewState(layout, wave(n, 1), o)
			got := want.Clone()
			for step := range 2 {
				grad, at := wave(n, 2+step), 0
				for _, x := range layout {
					part := o
					if len(x.Dims) == 1 {
						part.WeightDecay = 0
					}
					update(want, part, at, grad[at:at+x.Len()], 0.1, 0.5)
					at += x.Len()
				}
				if sum := u.Apply(got, o, grad, 0.1, 0.5, true); sum != want.Digest() || got.Digest() != sum {
					t.Errorf("%+v: step %d gives %s, want %s", o, step, sum, want.Digest())
				}
			}
			all := o
			all.WeightsOnly = false
			grad := wave(n, 9)
			if u.Apply(got.Clone(), o, grad, 0.1, 1, true) == u.Apply(got.Clone(), all, grad, 0.1, 1, true) {
				t.Errorf("%+v: biases decay", o)
			}
		}
	}
}

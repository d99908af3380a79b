package optim

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"convoy/digest"
	"convoy/internal/allocs"
	"convoy/internal/golden"
	"convoy/job"
	"convoy/kernels"
)

// velocity returns the optimizer's slot, or nil where there is none.
func velocity(s *State) []float32 {
	if len(s.Slots) == 0 {
		return nil
	}
	return s.Slots[0]
}

// update is the definition: kernels.Update, which has golden tests of its own, on
// the window of s that begins at offset, all of which decays.
func update(s *State, o SGD, offset int, grad []float32, lr, clip float32) {
	v := velocity(s)
	if v != nil {
		v = v[offset : offset+len(grad)]
	}
	k := kernels.SGD{LR: lr, Momentum: o.Momentum, Decay: o.WeightDecay, Nesterov: o.Nesterov, Scale: clip}
	kernels.Update(nil, k, s.Params[offset:offset+len(grad)], v, grad)
}

// TestGoldenSGD follows PyTorch over five steps; lr_from_step changes the
// learning rate on the way, as a schedule of ours does.
func TestGoldenSGD(t *testing.T) {
	golden.Each(t, "sgd_*", func(t *testing.T, c golden.Case) {
		r := job.Recipe{
			Data: job.Data{Train: 1, Test: 1}, Epochs: 5, Batch: 1, MicroBatches: 1,
			Optimizer: job.Optimizer{
				LR: float32(c.Float("lr")), Momentum: float32(c.Float("momentum")),
				WeightDecay: float32(c.Float("weight_decay")), Nesterov: c.Bool("nesterov"), DecayBiases: true,
			},
		}
		if at, ok := c.Meta["lr_from_step"].([]any); ok {
			r.Schedule = job.Schedule{
				Type: job.ScheduleStep, Milestones: []int{int(at[0].(float64))}, Gamma: float32(at[1].(float64) / c.Float("lr")),
			}
		}
		o := FromJob(r.Optimizer)
		s := NewState([]Tensor{{"p", c.Dims("p0")}}, c.F32("p0"), o)
		for i := range r.Epochs {
			lr := r.LearningRate(i * r.Sequence().PerEpoch())
			NewUpdater(nil).Apply(s, o, c.F32(fmt.Sprint("g", i)), lr, 1, false)
			c.Near(t, fmt.Sprint("p", i+1), s.Params, 2e-6)
		}
		if c.Has("velocity5") != (velocity(s) != nil) {
			t.Errorf("velocity kept: %t, PyTorch: %t", velocity(s) != nil, c.Has("velocity5"))
		}
		if c.Has("velocity5") {
			c.Near(t, "velocity5", velocity(s), 2e-6)
		}
	})
}

// wave fills a vector with numbers of many sizes.
func wave(n, seed int) []float32 {
	v := make([]float32, n)
	x := uint32(seed)*2654435761 + 1
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = (float32(x>>8)*0x1p-23 - 1) * float32(int(1)<<(i%9))
	}
	return v
}

var optimizers = []SGD{
	{},
	{WeightDecay: 0.01},
	{Momentum: 0.9},
	{Momentum: 0.9, WeightDecay: 0.01},
	{Momentum: 0.8, Nesterov: true, WeightDecay: 0.001},
}

// TestUpdater: whole states, shared out by leaves, get the bits and the digests
// that they get otherwise.
func TestUpdater(t *testing.T) {
	const n = sharedLeaves*digest.LeafFloats + 77
	pool := kernels.NewPool(3)
	defer pool.Close()
	for _, u := range []*Updater{NewUpdater(nil), NewUpdater(pool)} {
		for _, o := range optimizers {
			want := NewState([]Tensor{{"p", []int{n}}}, wave(n, 1), o)
			got := want.Clone()
			for step := range 3 {
				grad := wave(n, 2+step)
				clip := 1 / float32(1+step)
				update(want, o, 0, grad, 0.1, clip)
				sum := u.Apply(got, o, grad, 0.1, clip, step == 2)
				if step < 2 != sum.IsZero() || step == 2 && sum != want.Digest() {
					t.Errorf("%+v: digest %s, want %s", o, sum, want.Digest())
				}
				if g, clip := u.Gradient(o, grad, digest.Sums{Loss: 1.5, Correct: 3, Examples: 4}); g != digest.OfGradient(grad, digest.Sums{Loss: 1.5, Correct: 3, Examples: 4}) || clip != 1 {
					t.Errorf("the gradient's digest is another")
				}
			}
			if u.Digest(got) != want.Digest() {
				t.Errorf("%+v: the state's digest is another", o)
			}
			grad := wave(n, 2)
			if a := allocs.Steady(func() { u.Apply(got, o, grad, 0.1, 1, false) }); a != 0 && !allocs.Race {
				t.Errorf("%+v: %v allocations in an update", o, a)
			}
		}
		sum, mean := wave(n, 9), wave(n, 9)
		for i := range mean {
			mean[i] /= 24
		}
		got := make([]float32, n)
		for _, into := range [][]float32{got, sum} {
			g, _, finite := u.Mean(SGD{}, false, into, sum, digest.Sums{Loss: 1, Examples: 24})
			if g != digest.OfGradient(mean, digest.Sums{Loss: 1, Examples: 24}) || !finite || !slices.Equal(into, mean) {
				t.Error("the mean is another")
			}
		}
		sum[n-1] = float32(math.Inf(1))
		if _, _, finite := u.Mean(SGD{}, false, got, sum, digest.Sums{Examples: 24}); finite {
			t.Error("an infinite mean passes for finite")
		}
		if g, clip := u.Gradient(SGD{ClipNorm: 1e-9}, nil, digest.Sums{Loss: 1, Examples: 3}); g != digest.OfGradient(nil, digest.Sums{Loss: 1, Examples: 3}) || clip != 1 {
			t.Error("the digest of no gradient is another")
		}
	}
}

// TestGoldenBits pins the update's bits: the same on every machine.
func TestGoldenBits(t *testing.T) {
	want := []string{"e227b6bc1feb3479eecf332d49449176d9ef5f09da03337b037c0814ec1cf715", "d1f43a62027ef7eeb0e092853da402931d1388e605ea55f3e2d63c83cb5f94ed", "73b1797e43947005f1bf15828086347093013462b73a082bc3ff0cadf07360c2", "6aac24d58f18c672c2782c9e8b29ce71d94b4563a0b7b705563efdd85d497441", "f2ae1294bb610f5a770ecede3a3ee72ece5f96368b28e7eb9d38d2a6390f2f95"}
	for i, o := range optimizers {
		s := NewState([]Tensor{{"p", []int{500, 2}}}, wave(1000, 3), o)
		for step := range 10 {
			NewUpdater(nil).Apply(s, o, wave(1000, 4+step), 0.05, 1, false)
		}
		if got := s.Digest().String(); got != want[i] {
			t.Errorf("%+v: digest %q, want %q", o, got, want[i])
		}
	}
}

func TestDigestCoversEverything(t *testing.T) {
	fresh := func() *State { return NewState([]Tensor{{"p", []int{9}}}, wave(9, 1), SGD{Momentum: 0.9}) }
	base := fresh().Digest()
	if s := fresh(); s.Digest() != base {
		t.Error("equal states have different digests")
	}
	s := fresh()
	s.Params[8] = -s.Params[8]
	if s.Digest() == base {
		t.Error("the digest misses a parameter")
	}
	s = fresh()
	s.Slots[0][3] = 1
	if s.Digest() == base {
		t.Error("the digest misses the velocity")
	}
	if NewState([]Tensor{{"p", []int{9}}}, wave(9, 1), SGD{}).Digest() == base {
		t.Error("the digest misses whether there is a velocity")
	}
}

func TestMisfits(t *testing.T) {
	panics := func(name string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	panics("layout", func() { NewState([]Tensor{{"p", []int{3, 3}}}, make([]float32, 8), SGD{}) })
	s := NewState([]Tensor{{"p", []int{3}}}, make([]float32, 3), SGD{})
	panics("gradient", func() { NewUpdater(nil).Apply(s, SGD{}, make([]float32, 2), 1, 1, false) })
	panics("velocity", func() { NewUpdater(nil).Apply(s, SGD{Momentum: 0.5}, make([]float32, 3), 1, 1, false) })
}

func BenchmarkApply(b *testing.B) {
	for _, o := range optimizers {
		name := "plain"
		switch {
		case o.Nesterov:
			name = "nesterov"
		case o.Momentum != 0 && o.WeightDecay != 0:
			name = "momentum+decay"
		case o.Momentum != 0:
			name = "momentum"
		case o.WeightDecay != 0:
			name = "decay"
		}
		b.Run(name, func(b *testing.B) {
			const n = 61706
			s := NewState([]Tensor{{"p", []int{n}}}, wave(n, 1), o)
			g, u := wave(n, 2), NewUpdater(nil)
			b.SetBytes(4 * n)
			for b.Loop() {
				u.Apply(s, o, g, 1e-9, 1, false)
			}
		})
	}
}

// BenchmarkUpdater is a state of AlexNet's size.
func BenchmarkUpdater(b *testing.B) {
	const n = 46_800_000
	pool := kernels.NewPool(2)
	defer pool.Close()
	u := NewUpdater(pool)
	for _, o := range []SGD{{}, {Momentum: 0.9, WeightDecay: 1e-4}} {
		s, g := NewState([]Tensor{{"p", []int{n}}}, wave(n, 1), o), wave(n, 2)
		for _, withDigest := range []bool{false, true} {
			b.Run(fmt.Sprintf("momentum=%v/digest=%t", o.Momentum, withDigest), func(b *testing.B) {
				b.SetBytes(int64(4 * n * (3 + 2*len(s.Slots))))
				for b.Loop() {
					u.Apply(s, o, g, 1e-9, 1, withDigest)
				}
			})
		}
	}
}

// TestGoldenNoticesChanges of any expected number.
func TestGoldenNoticesChanges(t *testing.T) {
	golden.Notices(t, "TestGoldenSGD", "sgd_momentum*")
}

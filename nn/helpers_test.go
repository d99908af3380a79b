package nn

import (
	"math"
	"testing"

	"convoy/kernels"
	"convoy/rng"
)

func pool(t testing.TB, threads int) *kernels.Pool {
	p := kernels.NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

func build(t testing.TB, model Chain, in Shape) *Net {
	t.Helper()
	n, err := Build(model, in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// uniform returns n random numbers in [−1, 1).
func uniform(n int, seed uint64) []float32 {
	s := rng.At(seed, rng.Digits, 0, 0)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(2*s.Float32()) - 1
	}
	return v
}

// batchOf returns n random examples cut into m micro-batches as a step's are.
func batchOf(net *Net, n, m int) Batch {
	s := rng.At(99, rng.Digits, uint64(n), 0)
	b := Batch{Images: uniform(n*net.Input().Len(), uint64(n)), Labels: make([]int32, n), Cuts: make([]int, m+1), Seed: 3, Step: 4}
	for i := range b.Labels {
		b.Labels[i] = int32(s.Intn(net.Classes()))
	}
	for i := range b.Cuts {
		b.Cuts[i] = i * n / m
	}
	return b
}

// node returns micro-batches low to high of b as a batch of its own.
func (b Batch) node(low, high int) Batch {
	first, last := b.Cuts[low], b.Cuts[high]
	size := 0
	if len(b.Labels) > 0 {
		size = len(b.Images) / len(b.Labels)
	}
	part := Batch{
		Images: b.Images[first*size : last*size], Labels: b.Labels[first:last],
		Seed: b.Seed, Step: b.Step, First: b.First + first,
	}
	for _, c := range b.Cuts[low : high+1] {
		part.Cuts = append(part.Cuts, c-first)
	}
	return part
}

func initial(n *Net) []float32 {
	params := make([]float32, n.NumParams())
	n.Init(1, params)
	return params
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// inception is the block of Szegedy et al., 2015, figure 2b.
func inception(c1, c2a, c2b, c3a, c3b, c4 int) Branches {
	return Branches{
		{Conv{Out: c1, Kernel: 1}, ReLU{}},
		{Conv{Out: c2a, Kernel: 1}, ReLU{}, Conv{Out: c2b, Kernel: 3, Pad: 1}, ReLU{}},
		{Conv{Out: c3a, Kernel: 1}, ReLU{}, Conv{Out: c3b, Kernel: 5, Pad: 2}, ReLU{}},
		{MaxPool{Kernel: 3, Stride: 1, Pad: 1}, Conv{Out: c4, Kernel: 1}, ReLU{}},
	}
}

// everything is a small network with every layer in it.
func everything(drop float32) Chain {
	return Chain{
		Conv{Out: 4, Kernel: 3, Pad: 1},
		ReLU{},
		MaxPool{Kernel: 3, Stride: 2},
		inception(3, 2, 4, 2, 3, 2),
		Sigmoid{},
		Dropout{Rate: drop},
		LRN{Size: 3, Alpha: 0.1, Beta: 0.75, K: 2},
		AvgPool{Kernel: 2},
		Branches{{Flatten{}, ReLU{}}, {GlobalAvgPool{}, Linear{Out: 5}}, {Flatten{}}},
		Linear{Out: 6},
		ReLU{},
		Dropout{Rate: drop},
		Linear{Out: 6},
		Tanh{},
		Linear{Out: 4},
	}
}

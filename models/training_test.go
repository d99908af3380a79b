package models

import (
	"fmt"
	"testing"

	"convoy/kernels"
	"convoy/nn"
	"convoy/optim"
	"convoy/rng"
	"convoy/tree"
)

// trainingSet makes n noisy images of two bars in ten places.
func trainingSet(n int) (images []float32, labels []int32) {
	const size = 28
	images, labels = make([]float32, n*size*size), make([]int32, n)
	for i := range n {
		s := rng.At(5, rng.Digits, uint64(i), 0)
		label := s.Intn(10)
		labels[i] = int32(label)
		for y := range size {
			for x := range size {
				v := s.Float32() / 4
				if y/3 == label || x/3 == 9-label {
					v += 0.7
				}
				images[(i*size+y)*size+x] = v
			}
		}
	}
	return images, labels
}

const (
	trainingSteps = 4
	microBatches  = 8
)

// train takes a few steps of b examples, each node of the tree that division
// names computed by a pass of its own, and returns the state's digest.
func train(t *testing.T, division []tree.Node, threads int) string {
	t.Helper()
	model, err := Lookup("lenet-relu")
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.Build(model.Layers(10), model.Input, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pool := kernels.NewPool(threads)
	defer pool.Close()
	const batch = 37 // divides by nothing; the last step has 5 examples and empty micro-batches
	images, labels := trainingSet(batch*(trainingSteps-1) + 5)
	params := make([]float32, net.NumParams())
	net.Init(42, params)
	o := optim.SGD{Momentum: 0.9, WeightDecay: 0.0005}
	state := optim.NewState([]optim.Tensor{{Name: "all", Dims: []int{len(params)}}}, params, o)
	passes := make([]*nn.Pass, len(division))
	for i := range passes {
		passes[i] = net.NewPass(pool)
	}
	for first := 0; first < len(labels); first += batch {
		n := min(batch, len(labels)-first)
		cut := func(m int) int { return first + m*n/microBatches }
		grads := map[tree.Node][]float32{}
		for i, node := range division {
			b := nn.Batch{Images: images[cut(node.Low)*28*28 : cut(node.High)*28*28], Labels: labels[cut(node.Low):cut(node.High)]}
			for m := node.Low; m <= node.High; m++ {
				b.Cuts = append(b.Cuts, cut(m)-cut(node.Low))
			}
			grad := make([]float32, len(params))
			if s := passes[i].Gradient(params, b, grad); s.Examples > 0 {
				grads[node] = grad
			}
		}
		root := combine(tree.Node{Low: 0, High: microBatches}, division, grads)
		for i := range root {
			root[i] /= float32(n)
		}
		optim.NewUpdater(pool).Apply(state, o, root, 0.05, 1, false)
	}
	return state.Digest().String()
}

// combine finishes the tree above the nodes of a division.
func combine(n tree.Node, division []tree.Node, grads map[tree.Node][]float32) []float32 {
	for _, d := range division {
		if d == n {
			return grads[n]
		}
	}
	left, right := n.Children()
	a, b := combine(left, division, grads), combine(right, division, grads)
	switch {
	case a == nil:
		return b
	case b != nil:
		tree.Add(a, b)
	}
	return a
}

// TestGoldenTraining pins the bits of four training steps: for any number of
// goroutines, any division of the batch, on any machine. If it changes on
// purpose, job.ArithmeticVersion changes with it.
func TestGoldenTraining(t *testing.T) {
	const golden = "58b5f4db752bf8985995fef5041d245a147f79e1b7ea0c38d0c385468435b89e"
	whole := tree.Cover(0, 8)
	for _, c := range []struct {
		division []tree.Node
		threads  int
	}{
		{whole, 1},
		{whole, 2},
		{whole, 3},
		{append(tree.Cover(0, 4), tree.Cover(4, 8)...), 2},
		{append(tree.Cover(0, 3), tree.Cover(3, 8)...), 1},
		{append(tree.Cover(0, 1), append(tree.Cover(1, 7), tree.Cover(7, 8)...)...), 2},
	} {
		t.Run(fmt.Sprintf("%v, %d threads", c.division, c.threads), func(t *testing.T) {
			if got := train(t, c.division, c.threads); got != golden {
				t.Errorf("digest %s, want %s", got, golden)
			}
		})
	}
}

// BenchmarkGradient is a training step's arithmetic.
func BenchmarkGradient(b *testing.B) {
	for _, name := range Names() {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s, %d threads", name, threads), func(b *testing.B) {
				model, err := Lookup(name)
				if err != nil {
					b.Fatal(err)
				}
				net, err := nn.Build(model.Layers(10), model.Input, nn.Options{})
				if err != nil {
					b.Fatal(err)
				}
				pool := kernels.NewPool(threads)
				defer pool.Close()
				const n = 256
				images, labels := trainingSet(n)
				params, grad := make([]float32, net.NumParams()), make([]float32, net.NumParams())
				net.Init(1, params)
				batch := nn.Batch{Images: images, Labels: labels}
				for m := 0; m <= microBatches; m++ {
					batch.Cuts = append(batch.Cuts, m*n/microBatches)
				}
				p := net.NewPass(pool)
				for b.Loop() {
					p.Gradient(params, batch, grad)
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

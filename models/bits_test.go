package models

import (
	"testing"

	"convoy/nn"
	"convoy/optim"
	"convoy/tree"
)

// TestEveryModelHasOneDigest: three steps of each model, dropout and auxiliary
// classifiers on, by one worker and by three that share the micro-batches.
func TestEveryModelHasOneDigest(t *testing.T) {
	one, three := [][2]int{{0, 8}}, [][2]int{{0, 3}, {3, 4}, {4, 8}}
	for _, m := range measured {
		if m.name == "vgg11" {
			continue // vgg11/4 has the same layers
		}
		t.Run(m.name, func(t *testing.T) {
			if a, b := threeSteps(t, m.name, m.little, one), threeSteps(t, m.name, m.little, three); a != b {
				t.Errorf("one worker ends at %s, three at %s", a, b)
			}
		})
	}
}

// threeSteps returns the digest of the state after three steps of 13 examples, the
// micro-batches divided among workers as shares say. Worker i has i+1 threads.
func threeSteps(t *testing.T, name string, side int, shares [][2]int) string {
	t.Helper()
	var workers []*step
	for i := range shares {
		workers = append(workers, newStep(t, name, side, 13, i+1))
	}
	first := workers[0]
	o := optim.SGD{Momentum: 0.9}
	state := Blank(first.net, o)
	first.net.Init(1, state.Params)
	for range 3 {
		grads := map[tree.Node][]float32{}
		var nodes []tree.Node
		for i, share := range shares {
			for _, n := range tree.Cover(share[0], share[1]) {
				nodes = append(nodes, n)
				grads[n] = workers[i].node(state.Params, n)
			}
		}
		root := combine(tree.Node{Low: 0, High: microBatches}, nodes, grads)
		for i := range root {
			root[i] /= float32(len(first.batch.Labels))
		}
		optim.NewUpdater(nil).Apply(state, o, root, 0.01, 1, false)
		for _, w := range workers {
			w.batch.Step++
		}
	}
	return state.Digest().String()
}

// node is the gradient of a node's examples.
func (s *step) node(params []float32, n tree.Node) []float32 {
	b, size := s.batch, s.net.Input().Len()
	low, high := b.Cuts[n.Low], b.Cuts[n.High]
	part := nn.Batch{
		Images: b.Images[low*size : high*size], Labels: b.Labels[low:high],
		Seed: b.Seed, Step: b.Step, First: low,
	}
	for _, c := range b.Cuts[n.Low : n.High+1] {
		part.Cuts = append(part.Cuts, c-low)
	}
	grad := make([]float32, len(params))
	s.pass.Gradient(params, part, grad)
	return grad
}

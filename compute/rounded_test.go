package compute

import (
	"math"
	"slices"
	"testing"

	"convoy/data"
	"convoy/floats"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/state"
	"convoy/tree"
)

// noisy is examples of a few pixels without a pattern.
type noisy int

func (s noisy) Len() int { return int(s) }

func (s noisy) Example(i int, pixels []byte) int {
	for k := range pixels {
		pixels[k] = byte(i*37 + k*91 + i*k)
	}
	return i % 3
}

// roundedJob has a last batch of 3 examples for 4 micro-batches, so that one is
// absent.
func roundedJob(unit int) *state.Job {
	return state.NewJob("toy", job.Recipe{
		Data:   job.Data{Train: 23, Test: 3, Classes: 3, Channels: 1, Height: 2, Width: 3},
		Layers: []job.Layer{{Type: "flatten"}, {Type: "linear", Out: 7}, {Type: "tanh"}, {Type: "linear", Out: 3}}, Input: job.Input{Normalize: job.NormalizeUnit},
		Model: job.Listed, Loss: job.LossAuto, Algorithm: job.AlgorithmAuto,
		Epochs: 1, Batch: 10, MicroBatches: 4, Seed: 1, Wire: job.WireBFloat16, WireUnit: unit,
	})
}

// TestRounded: a node is the rounded sum of its halves, as a leader adds them up,
// whoever computes which; and those of a unit are sums as they always were,
// rounded once.
func TestRounded(t *testing.T) {
	pool := kernels.NewPool(2)
	defer pool.Close()
	for _, unit := range []int{1, 2, 4} {
		j := roundedJob(unit)
		net, err := models.ForRecipe(j.Recipe)
		if err != nil {
			t.Fatal(err)
		}
		set := &data.Set{Manifest: data.Manifest{Channels: 1, Height: 2, Width: 3, Train: 23}, Train: noisy(23), Test: noisy(3)}
		params := models.Blank(net, j.SGD).Params
		net.Init(1, params)
		compute := func(j *state.Job, step int, n tree.Node) ([]float32, state.Sums) {
			c, err := New(j, net, set, nil, pool)
			if err != nil {
				t.Fatal(err)
			}
			grad := make([]float32, len(params))
			c.Plan(step, []tree.Node{n})
			sums := c.Node(params, step, n, grad)
			c.Stop()
			return grad, sums
		}
		plain := roundedJob(0)
		plain.Recipe.Wire = job.WireFloat32
		var sum func(step int, n tree.Node) ([]float32, state.Sums)
		sum = func(step int, n tree.Node) ([]float32, state.Sums) {
			if state.Examples(j.Sequence, step, n.Low, n.High) == 0 {
				return nil, state.Sums{}
			}
			if n.High-n.Low == unit {
				grad, sums := compute(plain, step, n)
				floats.RoundBF16(grad)
				return grad, sums
			}
			left, right := n.Children()
			a, x := sum(step, left)
			b, y := sum(step, right)
			switch {
			case a == nil:
				return b, y
			case b == nil:
				return a, x
			}
			tree.Add(a, b)
			floats.RoundBF16(a)
			x.Loss, x.Correct, x.Top5, x.Examples = x.Loss+y.Loss, x.Correct+y.Correct, x.Top5+y.Top5, x.Examples+y.Examples
			return a, x
		}
		for step := range j.Sequence.TrainingPerEpoch() {
			for _, n := range []tree.Node{{Low: 0, High: 4}, {Low: 0, High: 2}, {Low: 2, High: 4}, {Low: 1, High: 2}} {
				if n.High-n.Low < unit || state.Examples(j.Sequence, step, n.Low, n.High) == 0 {
					continue
				}
				got, sums := compute(j, step, n)
				want, wantSums := sum(step, n)
				if !floats.IsBF16(got) || !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) || sums != wantSums {
					t.Errorf("unit %d, step %d, node %v: %v with %+v, want %v with %+v", unit, step, n, got, sums, want, wantSums)
				}
			}
		}
	}
}

func TestSimulated(t *testing.T) {
	pool := kernels.NewPool(1)
	defer pool.Close()
	j := roundedJob(1)
	j.Recipe.SimulateComputeMS = 1
	net, err := models.ForRecipe(j.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	set := &data.Set{Manifest: data.Manifest{Channels: 1, Height: 2, Width: 3, Train: 23}, Train: noisy(23), Test: noisy(3)}
	c, err := New(j, net, set, nil, pool)
	if err != nil {
		t.Fatal(err)
	}
	grad := []float32{1, 2, 3}
	n := tree.Node{Low: 2, High: 4}
	c.Plan(2, []tree.Node{n})
	if sums := c.Node(nil, 2, n, grad); sums != (state.Sums{Examples: 2}) || !slices.Equal(grad, []float32{0, 0, 0}) {
		t.Errorf("%+v and %v", sums, grad)
	}
	c.Rest()
	c.Stop()
}

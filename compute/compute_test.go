package compute

import (
	"math"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"convoy/data"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
	"convoy/state"
	"convoy/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testJob is a job of two epochs of 37 examples of one pixel, in batches of 10.
func testJob() *state.Job {
	return state.NewJob("toy", job.Recipe{
		Data:   job.Data{Train: 37, Test: 3, Classes: 2, Channels: 1, Height: 1, Width: 1},
		Layers: []job.Layer{{Type: "flatten"}, {Type: "linear", Out: 2}}, Input: job.Input{Normalize: job.NormalizeUnit},
		Epochs: 2, Batch: 10, MicroBatches: 4, Seed: 1,
	})
}

// indexed is examples whose only pixel is their index.
type indexed int

func (s indexed) Len() int { return int(s) }

func (s indexed) Example(i int, pixels []byte) int {
	pixels[0] = byte(i)
	return i % 2
}

// inputs prepares examples of one pixel.
func inputs(t *testing.T) *data.Preparation {
	p, err := data.NewPreparation(data.Manifest{Channels: 1, Height: 1, Width: 1}, job.Input{Normalize: job.NormalizeUnit}, job.Augment{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// feeds are both ways of preparing: in the leader's turn, and beside the
// arithmetic.
func feeds(t *testing.T, test int, visit func(t *testing.T, f *feed)) {
	for name, idle := range map[string]bool{"on the pool": false, "beside it": true} {
		t.Run(name, func(t *testing.T) {
			pool := kernels.NewPool(1)
			defer pool.Close()
			r := testJob().Recipe
			r.Data.Test = test
			f := newFeed(r, &data.Set{Manifest: data.Manifest{Train: 37}, Train: indexed(37), Test: indexed(test)}, inputs(t), pool)
			f.idle, f.ahead = idle, f.now
			if idle {
				f.ahead = &prepared{}
			}
			visit(t, f)
		})
	}
}

// TestBatchPlaces: each example of a node knows its place in the step's batch,
// which its dropout follows from, whoever computes the node.
func TestBatchPlaces(t *testing.T) {
	feeds(t, 3, func(t *testing.T, f *feed) {
		j := testJob()
		c := &Computer{job: j, feed: f}
		batch := func(step int, n tree.Node) nn.Batch {
			f.follow(step, []tree.Node{n}, 1)
			return c.batch(step, n)
		}
		for step := range 4 {
			whole := batch(step, tree.Node{Low: 0, High: 4})
			images := append([]float32(nil), whole.Images...)
			if whole.First != 0 || whole.Step != step || whole.Seed != j.Recipe.Seed || len(images) != whole.Cuts[4] {
				t.Errorf("step %d: the whole batch begins at %d of step %d with seed %d", step, whole.First, whole.Step, whole.Seed)
			}
			for _, n := range []tree.Node{{Low: 0, High: 2}, {Low: 1, High: 2}, {Low: 2, High: 4}, {Low: 3, High: 4}} {
				part := batch(step, n)
				for i, v := range part.Images {
					if v != images[part.First+i] {
						t.Errorf("step %d, %v: example %d is not that at place %d", step, n, i, part.First+i)
					}
				}
			}
			f.stop()
		}
	})
}

// TestFeedFollowsThePlan: every block has the examples that it should, whatever
// was prepared ahead, and an evaluation comes in blocks.
func TestFeedFollowsThePlan(t *testing.T) {
	const tests, side = 10, 1536 // 9 MB each as floats
	feeds(t, tests, func(t *testing.T, f *feed) {
		var err error
		f.inputs, err = data.NewPreparation(data.Manifest{Channels: 1, Height: 1, Width: 1}, job.Input{Height: side, Width: side, Normalize: job.NormalizeUnit}, job.Augment{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		evaluation := f.sequence.PerEpoch() - 1
		all := tree.Node{Low: 0, High: 4}
		f.follow(evaluation, []tree.Node{{Low: 0, High: 2}, {Low: 2, High: 4}}, 1)
		var sizes, seen []int
		for range len(f.plan) - 1 {
			p := f.take()
			sizes = append(sizes, len(p.labels))
			for k := range p.labels {
				seen = append(seen, int(math.Round(float64(p.images[k*side*side]*255))))
			}
		}
		if want := []int{3, 2, 3, 2}; !slices.Equal(sizes, want) {
			t.Errorf("blocks of %v, want %v", sizes, want)
		}
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(seen, want) {
			t.Errorf("examples %v, want %v", seen, want)
		}
		f.rest()
		if f.ahead.block != f.plan[len(f.plan)-1] || f.ahead.step.Epoch != 1 {
			t.Errorf("the first block of epoch 1 is not ahead, but %+v", f.ahead.block)
		}
		f.follow(evaluation+1, []tree.Node{all}, 1) // another one than was ahead
		if p := f.take(); len(p.labels) != 10 || p.first != 0 || p.images[0] != float32(p.order.At(0))/255 {
			t.Errorf("%d examples from %d", len(p.labels), p.first)
		}
		f.stop()
	})
}

// patterns is examples of many pixels.
type patterns struct{ indexed }

func (s patterns) Example(i int, pixels []byte) int {
	for k := range pixels {
		pixels[k] = byte(i*31 + k*k)
	}
	return i % 2
}

// TestNodesSeeTheSameImages: whoever prepares a node's examples, ahead or not,
// changes them to the same bits, and differently in the next epoch.
func TestNodesSeeTheSameImages(t *testing.T) {
	feeds(t, 3, func(t *testing.T, f *feed) {
		f.set = &data.Set{Train: patterns{37}, Test: patterns{3}}
		var err error
		f.inputs, err = data.NewPreparation(data.Manifest{Channels: 3, Height: 8, Width: 8},
			job.Input{Height: 11, Width: 9, Pad: 1, Normalize: job.NormalizeUnit},
			job.Augment{Flip: true, Crop: 3, Brightness: 0.5, Contrast: 0.5, Saturation: 0.5}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := &Computer{job: testJob(), feed: f}
		images := map[int]map[int][]float32{} // by epoch and example
		for _, nodes := range [][]tree.Node{{{Low: 0, High: 4}}, {{Low: 0, High: 2}, {Low: 2, High: 3}, {Low: 3, High: 4}}} {
			for step := range f.sequence.Len() {
				if f.sequence.At(step).Evaluation {
					continue
				}
				f.follow(step, nodes, 1)
				for _, n := range nodes {
					c.batch(step, n)
					for k, i := range f.now.indices {
						image := f.now.images[k*f.inputs.Len():][:f.inputs.Len()]
						seen := images[f.now.step.Epoch]
						if seen == nil {
							seen = map[int][]float32{}
							images[f.now.step.Epoch] = seen
						}
						if seen[i] == nil {
							seen[i] = slices.Clone(image)
						} else if !slices.Equal(seen[i], image) {
							t.Errorf("step %d, node %v: example %d is another image", step, n, i)
						}
					}
				}
				f.rest()
			}
		}
		for i, image := range images[0] {
			if len(images[0]) != 37 || slices.Equal(image, images[1][i]) {
				t.Errorf("example %d of %d is the same in both epochs", i, len(images[0]))
			}
		}
	})
}

// TestNodesMakeUpTheirParents: the nodes of a step, computed one after the other
// or each for itself, add up to the bits of the whole step, and so do the sums of
// an evaluation, whatever was planned before.
func TestNodesMakeUpTheirParents(t *testing.T) {
	j := testJob()
	net, err := models.ForRecipe(j.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	params := make([]float32, net.NumParams())
	net.Init(1, params)
	about := data.Manifest{Train: 37, Test: 3, Channels: 1, Height: 1, Width: 1}
	pool := kernels.NewPool(2)
	defer pool.Close()
	c, err := New(j, net, &data.Set{Manifest: about, Train: indexed(37), Test: indexed(3)}, nil, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	root := tree.Node{Low: 0, High: 4}
	left, right := root.Children()
	computed := func(t int, n tree.Node) ([]float32, state.Sums) {
		grad := make([]float32, net.NumParams())
		return grad, c.Node(params, t, n, grad)
	}
	for step := range j.Sequence.Len() {
		c.Plan(step, []tree.Node{root})
		whole, sums := computed(step, root)
		c.Rest()
		c.Plan(step, []tree.Node{left, right})
		a, first := computed(step, left)
		b, second := computed(step, right)
		tree.Add(a, b)
		together := state.Sums{
			Loss: first.Loss + second.Loss, Correct: first.Correct + second.Correct,
			Top5: first.Top5 + second.Top5, Examples: first.Examples + second.Examples,
		}
		if !slices.Equal(a, whole) || together != sums || sums.Examples != j.Sequence.At(step).Examples {
			t.Errorf("step %d: the halves give %+v, the whole %+v", step, together, sums)
		}
		if evaluated := j.Sequence.At(step).Evaluation; evaluated != (slices.Max(whole) == 0) {
			t.Errorf("step %d: evaluation %t, gradient up to %g", step, evaluated, slices.Max(whole))
		}
	}
}

// TestNewRefuses: a set that cannot become the network's input is refused.
func TestNewRefuses(t *testing.T) {
	j := testJob()
	j.Recipe.Input.Normalize = job.NormalizeSet
	black := data.Manifest{Name: "black", Train: 37, Channels: 1, Height: 1, Width: 1, PixelSums: make([]data.PixelSums, 1)}
	if _, err := New(j, nil, &data.Set{Manifest: black}, nil, nil); err == nil || !strings.Contains(err.Error(), "black") {
		t.Errorf("%v, want why the set cannot be normalised", err)
	}
}

package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"convoy/internal/golden"
)

// TestObserveByHand compares each layer of a small network with sums that were
// done on paper.
func TestObserveByHand(t *testing.T) {
	net := build(t, Chain{Conv{Out: 2, Kernel: 2}, ReLU{}, MaxPool{Kernel: 2}, Flatten{}, Linear{Out: 2}}, Shape{1, 3, 3})
	params := []float32{
		1, 0, 0, -1 /* first kernel */, 1, 1, 1, 1 /* second */, 0.5, -10, /* biases */
		1, 2, 3, 4 /* weights of the product */, 0, 1, /* biases */
	}
	image := []float32{
		1, 2, 3,
		0, 1, 2,
		5, 4, 0,
	}
	for layer, want := range map[string]struct {
		shape  Shape
		values []float32
	}{
		"0": {Shape{2, 2, 2}, []float32{0.5, 0.5, -3.5, 1.5, -6, -2, 0, -3}},
		"1": {Shape{2, 2, 2}, []float32{0.5, 0.5, 0, 1.5, 0, 0, 0, 0}},
		"2": {Shape{2, 1, 1}, []float32{1.5, 0}},
		"3": {Shape{2, 1, 1}, []float32{1.5, 0}},
		"4": {Shape{2, 1, 1}, []float32{1.5, 5.5}},
	} {
		shape, values, err := net.Observe(pool(t, 1), params, image, layer)
		if err != nil || shape != want.shape || !slices.Equal(values, want.values) {
			t.Errorf("layer %s is %v %v, %v; want %v %v", layer, shape, values, err, want.shape, want.values)
		}
	}
}

// TestObserveSeesEveryLayer that the summary lists, branches and what otherwise
// is fused or lies in the lanes among them; the last one is the logits.
func TestObserveSeesEveryLayer(t *testing.T) {
	for name, model := range map[string]Chain{
		"everything": everything(0.5),
		"lanes":      {Conv{Out: 4, Kernel: 3, Pad: 1}, Sigmoid{}, AvgPool{Kernel: 2}, Conv{Out: 20, Kernel: 3}, Tanh{}, Flatten{}, Linear{Out: 4}},
	} {
		for _, o := range []Options{{}, {Direct: true}} {
			net, err := Build(model, smallInput, o)
			if err != nil {
				t.Fatal(err)
			}
			params, image := initial(net), uniform(smallInput.Len(), 5)
			var last []float32
			for _, l := range net.Layers() {
				shape, values, err := net.Observe(pool(t, 2), params, image, l.Name)
				if err != nil || shape != l.Out || len(values) != shape.Len() {
					t.Errorf("%s %+v, layer %s (%s): %v and %d values, %v; want %v", name, o, l.Name, l.Layer, shape, len(values), err, l.Out)
				}
				if l.Type == "relu" && slices.Min(values) < 0 {
					t.Errorf("%s %+v, layer %s (%s) has the value %v", name, o, l.Name, l.Layer, slices.Min(values))
				}
				last = values
			}
			logits := make([]float32, net.Classes())
			net.NewPass(pool(t, 1)).Examine(params, image, nil, nil, logits)
			if o.Direct && !sameBits(last, logits) {
				t.Errorf("%s: the last layer is %v, the logits are %v", name, last, logits)
			}
			golden.Near(t, fmt.Sprintf("%s %+v", name, o), last, logits, 1e-5)
		}
	}
}

// TestObserveJoinedBranches: the branches' name gives their joined maps.
func TestObserveJoinedBranches(t *testing.T) {
	net := build(t, everything(0), smallInput)
	params, image := initial(net), uniform(smallInput.Len(), 5)
	joined, values, err := net.Observe(pool(t, 1), params, image, "3")
	if err != nil {
		t.Fatal(err)
	}
	var parts []float32
	for _, name := range []string{"3.0.1", "3.1.3", "3.2.3", "3.3.2"} {
		_, part, err := net.Observe(pool(t, 1), params, image, name)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part...)
	}
	if joined.C != 3+4+3+2 || !sameBits(values, parts) {
		t.Errorf("the joined maps of %v differ from those of the branches", joined)
	}
}

// TestObserveNamed: what stands under one name shows the last of it.
func TestObserveNamed(t *testing.T) {
	conv := Conv{Out: 3, Kernel: 3}
	net := build(t, Chain{Named{"C1", Chain{conv, Tanh{}}}, Flatten{}, Named{"OUTPUT", Linear{Out: 2}}}, Shape{1, 5, 5})
	plain := build(t, Chain{conv, Tanh{}, Flatten{}, Linear{Out: 2}}, Shape{1, 5, 5})
	params, image := initial(net), uniform(25, 3)
	for named, number := range map[string]string{"C1": "1", "OUTPUT": "3"} {
		shape, got, err := net.Observe(pool(t, 1), params, image, named)
		if err != nil {
			t.Fatal(err)
		}
		want, values, err := plain.Observe(pool(t, 1), params, image, number)
		if err != nil || shape != want || !sameBits(got, values) {
			t.Errorf("layer %s is %v %v, %v; layer %s of the same without names %v %v", named, shape, got, err, number, want, values)
		}
	}
}

func TestObserveNoLayer(t *testing.T) {
	net := build(t, Chain{Conv{Out: 2, Kernel: 2}, ReLU{}, Flatten{}, Linear{Out: 2}}, Shape{1, 3, 3})
	_, _, err := net.Observe(pool(t, 1), initial(net), uniform(9, 1), "O")
	const want = `the network has no layer "O": name one of 0 (Conv 2, kernel 2×2), 1 (ReLU), 2 (Flatten), 3 (Linear 2)`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestObserveGolden: what the last layer shows are PyTorch's logits.
func TestObserveGolden(t *testing.T) {
	golden.Each(t, "model_inception_block", func(t *testing.T, c golden.Case) {
		net := build(t, Chain{inception(7, 9, 13, 3, 5, 6), GlobalAvgPool{}, Linear{Out: 10}}, Shape{20, 7, 7})
		var params, logits []float32
		for _, layer := range []string{"0.b1_1", "0.b2_1", "0.b2_2", "0.b3_1", "0.b3_2", "0.b4_2", "2"} {
			params = append(append(params, c.F32("param."+layer+".weight")...), c.F32("param."+layer+".bias")...)
		}
		images, size := c.F32("x"), net.Input().Len()
		for i := range c.Dims("x")[0] {
			_, v, err := net.Observe(pool(t, 1), params, images[i*size:(i+1)*size], "2")
			if err != nil {
				t.Fatal(err)
			}
			logits = append(logits, v...)
		}
		c.Near(t, "logits", logits, 1e-5)
	})
}

// TestExamineIsEvaluate, example by example: its losses add up to the same bits.
func TestExamineIsEvaluate(t *testing.T) {
	net := build(t, everything(0.5), smallInput)
	params := initial(net)
	for _, n := range []int{1, 5, 300} { // more than one piece
		b := batchOf(net, n, 8)
		p := net.NewPass(pool(t, 2))
		want := p.Evaluate(params, b)
		losses, logits := make([]float64, n), make([]float32, n*net.Classes())
		p.Examine(params, b.Images, b.Labels, losses, logits)
		if got := SumLosses(losses, b.Cuts); got != want.Loss {
			t.Errorf("%d examples: losses of %v, Evaluate says %v", n, got, want.Loss)
		}
		correct := 0
		for i, l := range b.Labels {
			row := logits[i*net.Classes() : (i+1)*net.Classes()]
			if slices.Index(row, slices.Max(row)) == int(l) {
				correct++
			}
			if math.IsNaN(losses[i]) {
				t.Errorf("example %d has no loss", i)
			}
		}
		if correct != want.Correct {
			t.Errorf("%d examples: %d correct, Evaluate says %d", n, correct, want.Correct)
		}
	}
}

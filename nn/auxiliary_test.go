package nn

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"convoy/internal/allocs"
	"convoy/tree"
)

// The two networks are the same, but for two classifiers: trunk's tensors are
// assisted's without those that begin with 2 or 5.
var (
	trunk = Chain{
		Conv{Out: 6, Kernel: 3, Pad: 1},
		ReLU{},
		ReLU{}, // in place of a classifier, and nothing behind a ReLU
		MaxPool{Kernel: 2},
		Branches{{Conv{Out: 3, Kernel: 1}, ReLU{}}, {Sigmoid{}}},
		ReLU{},
		Dropout{Rate: 0.3},
		GlobalAvgPool{},
		Linear{Out: 4},
	}
	assisted = Chain{
		trunk[0], trunk[1],
		Auxiliary{Chain{AvgPool{Kernel: 3}, Conv{Out: 5, Kernel: 1}, ReLU{}, Flatten{}, Linear{Out: 7}, ReLU{}, Dropout{Rate: 0.7}, Linear{Out: 4}}, 0.3},
		trunk[3], trunk[4],
		Auxiliary{Chain{GlobalAvgPool{}, Linear{Out: 4}}, 0.25},
		trunk[6], trunk[7], trunk[8],
	}
)

// TestAuxiliaryNodesAddUp: the classifiers' gradients and losses are the same to
// the bit for every division of the batch and number of goroutines.
func TestAuxiliaryNodesAddUp(t *testing.T) {
	net := build(t, assisted, smallInput)
	params, want := initial(net), make([]float32, net.NumParams())
	b := batchOf(net, 13, 8)
	whole := net.NewPass(pool(t, 1)).Gradient(params, b, want)
	for _, threads := range []int{1, 2, 3} {
		got, sums := byHalves(net.NewPass(pool(t, threads)), params, b, tree.Node{Low: 0, High: 8})
		if !sameBits(got, want) || sums != whole {
			t.Errorf("%d threads: sums %+v of the halves, %+v of the whole, or another gradient", threads, sums, whole)
		}
	}
}

// TestAuxiliary: evaluation does not know the classifiers, the training loss has
// their share, and the trunk's gradient is the sum of the network's alone and of
// what the weights let through.
func TestAuxiliary(t *testing.T) {
	plain, helped := build(t, trunk, smallInput), build(t, assisted, smallInput)
	helpedParams := initial(helped)
	trunkOf := func(v []float32) (list []float32) {
		for _, x := range helped.Tensors() {
			if !strings.HasPrefix(x.Name, "2.") && !strings.HasPrefix(x.Name, "5.") {
				list = append(list, v[x.Offset:x.Offset+x.Len]...)
			}
		}
		return list
	}
	params := trunkOf(helpedParams)
	b := batchOf(plain, 9, 2)
	if got, want := helped.NewPass(pool(t, 2)).Evaluate(helpedParams, b), plain.NewPass(pool(t, 2)).Evaluate(params, b); got != want {
		t.Errorf("evaluation gives %+v with classifiers, %+v without", got, want)
	}
	for _, l := range helped.Layers() {
		if l.Auxiliary != (strings.HasPrefix(l.Name, "2.") || strings.HasPrefix(l.Name, "5.")) {
			t.Errorf("layer %s: auxiliary is %v", l.Name, l.Auxiliary)
		}
	}

	// Without dropout: the loss falls by the square of the gradient.
	quiet := append(Chain(nil), assisted...)
	quiet[2], quiet[6] = Auxiliary{append(Chain(nil), assisted[2].(Auxiliary).Chain...), 0.3}, ReLU{}
	quiet[2].(Auxiliary).Chain[6] = ReLU{}
	net := build(t, quiet, smallInput)
	pass, grad, other := net.NewPass(pool(t, 2)), make([]float32, net.NumParams()), make([]float32, net.NumParams())
	moved := initial(net)
	before := pass.Gradient(moved, b, grad)
	if alone := pass.Evaluate(moved, b); before.Loss < alone.Loss+float64(len(b.Labels))*0.55*0.5 || before.Correct != alone.Correct {
		t.Errorf("training gives %+v, evaluation %+v: want more by 0.55 times about ln 4 an example", before, alone)
	}
	var square float64
	for _, g := range grad {
		square += float64(g) * float64(g)
	}
	for i, g := range grad {
		moved[i] -= float32(0.01 / square * float64(g))
	}
	if fall := before.Loss - pass.Gradient(moved, b, other).Loss; math.Abs(fall-0.01) > 0.001 {
		t.Errorf("the loss fell by %v, the gradient promises 0.01", fall)
	}
}

func TestAuxiliaryAllocatesNothing(t *testing.T) {
	net := build(t, assisted, smallInput)
	params, grad := initial(net), make([]float32, net.NumParams())
	p, b := net.NewPass(pool(t, 2)), batchOf(net, 13, 4)
	p.Gradient(params, b, grad)
	if n := allocs.Steady(func() { p.Gradient(params, b, grad) }); n != 0 {
		t.Errorf("%v allocations a step, want none", n)
	}
}

func TestAuxiliaryErrors(t *testing.T) {
	end := func(l Layer) Chain { return Chain{Conv{Out: 2, Kernel: 3}, l, GlobalAvgPool{}, Linear{Out: 4}} }
	for _, c := range []struct {
		l    Auxiliary
		want string
	}{
		{Auxiliary{Chain{GlobalAvgPool{}, Linear{Out: 3}}, 0.3}, "the auxiliary classifier at layer 1 ends in 3×1×1, the network in 4×1×1"},
		{Auxiliary{Chain{ReLU{}}, 0.3}, "the auxiliary classifier at layer 1 ends in 2×7×6"},
		{Auxiliary{Chain{AvgPool{Kernel: 9}}, 0.3}, "layer 1.0 (AvgPool 9×9), input 2×7×6"},
		{Auxiliary{Chain{GlobalAvgPool{}, Linear{Out: 4}}, 0}, "layer 1 (Auxiliary, weight 0): want a finite weight above 0"},
		{Auxiliary{Chain{GlobalAvgPool{}, Linear{Out: 4}}, float32(math.Inf(1))}, "want a finite weight"},
		{Auxiliary{nil, 0.3}, "1 has no layers"},
	} {
		if _, err := Build(end(c.l), smallInput, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q in it", c.l, err, c.want)
		}
	}
	net := build(t, end(Auxiliary{Chain{GlobalAvgPool{}, Linear{Out: 4}}, 0.3}), smallInput)
	_, _, err := net.Observe(pool(t, 1), initial(net), make([]float32, smallInput.Len()), "1.1")
	if err == nil || strings.Contains(err.Error(), "1.1 (") {
		t.Errorf("error %v, want one that does not offer the classifier's layers", fmt.Sprint(err))
	}
}

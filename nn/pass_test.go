package nn

import (
	"fmt"
	"math"
	"testing"

	"convoy/internal/allocs"
	"convoy/tree"
)

var smallInput = Shape{2, 9, 8}

// TestNodesAddUp is the promise that the division of work rests on: the gradient
// and the sums of a node are those of its halves, added, whatever the number of
// goroutines, with micro-batches of all sizes, empty ones among them.
func TestNodesAddUp(t *testing.T) {
	for _, drop := range []float32{0, 0.5} {
		net := build(t, everything(drop), smallInput)
		params := initial(net)
		reference := net.NewPass(pool(t, 1))
		for _, threads := range []int{1, 2, 3} {
			p := net.NewPass(pool(t, threads))
			for _, n := range []int{1, 2, 3, 5, 7, 13, 37} {
				t.Run(fmt.Sprintf("dropout %v, %d examples, %d threads", drop, n, threads), func(t *testing.T) {
					b := batchOf(net, n, 8)
					want := uniform(net.NumParams(), 7) // must be overwritten
					whole := p.Gradient(params, b, want)
					got, sums := byHalves(reference, params, b, tree.Node{Low: 0, High: 8})
					if !sameBits(got, want) {
						t.Error("the gradient differs from the sum of the halves'")
					}
					if whole != sums || whole.Examples != n {
						t.Errorf("sums %+v, the halves' add up to %+v of %d examples", whole, sums, n)
					}
					if e := p.Evaluate(params, b); e != whole && drop == 0 {
						t.Errorf("evaluation gives %+v, the gradient's pass %+v", e, whole)
					}
				})
			}
		}
	}
}

// byHalves computes every micro-batch alone and adds them up in the tree.
func byHalves(p *Pass, params []float32, b Batch, n tree.Node) ([]float32, Sums) {
	if n.Leaf() {
		leaf := b.node(n.Low, n.High)
		if len(leaf.Labels) == 0 {
			return nil, Sums{}
		}
		grad := make([]float32, len(params))
		return grad, p.Gradient(params, leaf, grad)
	}
	left, right := n.Children()
	a, sa := byHalves(p, params, b, left)
	c, sc := byHalves(p, params, b, right)
	switch {
	case a == nil:
		return c, sc
	case c == nil:
		return a, sa
	}
	tree.Add(a, c)
	return a, Sums{sa.Loss + sc.Loss, sa.Correct + sc.Correct, sa.Top5 + sc.Top5, sa.Examples + sc.Examples}
}

// TestEmptyNode: no examples, no sums, and a gradient that stays as it was.
func TestEmptyNode(t *testing.T) {
	net := build(t, everything(0.5), smallInput)
	p := net.NewPass(pool(t, 1))
	grad := uniform(net.NumParams(), 1)
	if s := p.Gradient(initial(net), Batch{Cuts: []int{0, 0, 0}}, grad); s != (Sums{}) || !sameBits(grad, uniform(net.NumParams(), 1)) {
		t.Errorf("an empty node gives %+v or touches the gradient", s)
	}
	if s := p.Evaluate(initial(net), Batch{Cuts: []int{0, 0}}); s != (Sums{}) {
		t.Errorf("the evaluation of no examples gives %+v", s)
	}
}

// TestEvaluationInPieces: more examples than a piece holds, at the bits of each
// micro-batch evaluated alone, in a bounded amount of memory.
func TestEvaluationInPieces(t *testing.T) {
	net := build(t, everything(0.5), smallInput)
	params := initial(net)
	piece := net.NewPass(pool(t, 1)).piece
	n := 2*piece + 75
	b := batchOf(net, n, 2)
	p := net.NewPass(pool(t, 2))
	got := p.Evaluate(params, b)
	a, c := p.Evaluate(params, b.node(0, 1)), p.Evaluate(params, b.node(1, 2))
	if want := (Sums{a.Loss + c.Loss, a.Correct + c.Correct, a.Top5 + c.Top5, n}); got != want {
		t.Errorf("evaluation gives %+v, its micro-batches %+v", got, want)
	}
	first := p.op.links[1]
	if cap(first.buffer) > piece*first.out.Len() || piece != evaluationPiece {
		t.Errorf("buffers hold %d examples, want at most %d", cap(first.buffer)/first.out.Len(), evaluationPiece)
	}
}

// TestLossAndGradientAgree moves the parameters a little against the gradient:
// the loss falls by the gradient's square.
func TestLossAndGradientAgree(t *testing.T) {
	net := build(t, everything(0), smallInput)
	params, grad := initial(net), make([]float32, net.NumParams())
	p := net.NewPass(pool(t, 2))
	b := batchOf(net, 20, 4)
	before := p.Gradient(params, b, grad).Loss
	var square float64
	for _, g := range grad {
		square += float64(g) * float64(g)
	}
	step := 0.01 / square
	for i, g := range grad {
		params[i] -= float32(step * float64(g))
	}
	fall := before - p.Evaluate(params, b).Loss
	if math.Abs(fall-0.01) > 0.001 {
		t.Errorf("the loss fell by %v, the gradient promises 0.01", fall)
	}
}

// TestSteadyStateAllocatesNothing: after the first call of a shape, none does.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	net := build(t, everything(0.5), smallInput)
	params, grad := initial(net), make([]float32, net.NumParams())
	for _, threads := range []int{1, 2} {
		p := net.NewPass(pool(t, threads))
		large, small := batchOf(net, 13, 4), batchOf(net, 5, 4)
		p.Gradient(params, large, grad)
		if n := allocs.Steady(func() {
			p.Gradient(params, large, grad)
			p.Gradient(params, small, grad)
			p.Evaluate(params, large)
		}); n != 0 {
			t.Errorf("%d threads: %v allocations a round, want none", threads, n)
		}
	}
}

func TestMisfitsPanic(t *testing.T) {
	net := build(t, everything(0.5), smallInput)
	p := net.NewPass(pool(t, 1))
	params, grad := initial(net), make([]float32, net.NumParams())
	good := batchOf(net, 3, 2)
	for name, f := range map[string]func(){
		"parameters": func() { p.Evaluate(params[1:], good) },
		"gradient":   func() { p.Gradient(params, good, grad[1:]) },
		"images":     func() { p.Evaluate(params, Batch{Images: good.Images[1:], Labels: good.Labels, Cuts: good.Cuts}) },
		"cuts":       func() { p.Evaluate(params, Batch{Images: good.Images, Labels: good.Labels, Cuts: []int{0, 1, 2, 3}}) },
		"cuts' end":  func() { p.Evaluate(params, Batch{Images: good.Images, Labels: good.Labels, Cuts: []int{0, 2}}) },
		"initial":    func() { net.Init(1, grad[1:]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestEvaluateBlocks: however the examples come, the sums are the same.
func TestEvaluateBlocks(t *testing.T) {
	net := build(t, Chain{Conv{Out: 2, Kernel: 3}, ReLU{}, Flatten{}, Linear{Out: 3}}, Shape{1, 6, 6})
	b := batchOf(net, 300, 4)
	params := initial(net)
	p := net.NewPass(pool(t, 2))
	want, size := p.Evaluate(params, b), net.in.Len()
	for _, block := range []int{1, 7, 128, 130, 300} {
		got := p.EvaluateBlocks(params, b.Cuts, func(yield func([]float32, []int32) bool) {
			for low := 0; low < 300; low += block {
				high := min(low+block, 300)
				yield(b.Images[low*size:high*size], b.Labels[low:high])
			}
		})
		if got != want {
			t.Errorf("in blocks of %d: %+v, want %+v", block, got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("too few examples, and no panic")
		}
	}()
	p.EvaluateBlocks(params, b.Cuts, func(yield func([]float32, []int32) bool) { yield(b.Images[:size], b.Labels[:1]) })
}

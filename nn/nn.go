// Package nn builds convolutional networks out of layers and computes their
// loss and gradient.
//
// A layer is a stateless description (Conv, Linear, MaxPool, …); Chain puts
// layers one after another and Branches puts chains side by side. Build binds
// them to the shape of an input and lays all parameters out in one flat vector
// with PyTorch's names and order; a gradient is a vector of the same layout, so
// that nothing is gathered or scattered between backward and the wire.
//
// What it promises: the sums that a Pass returns are those of the fixed tree of
// micro-batches (package tree), with the same bits on any machine, for any number
// of goroutines and any division of the tree's nodes among callers; and nothing
// is allocated once the buffers have grown to the largest batch.
//
// Adding a layer is one file, and one line in the table of its gradient test.
// The plan (a list of layers, one allocation for all parameters) is llm.c's and
// torch.nn.Sequential's.
package nn

import (
	"errors"
	"fmt"
)

// Shape is what one example looks like between two layers: channels, height and
// width. A flat vector of n values is n×1×1.
type Shape struct{ C, H, W int }

// Len is the number of values.
func (s Shape) Len() int { return s.C * s.H * s.W }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.C, s.H, s.W) }

// Layer describes a part of a network.
type Layer interface {
	// bind makes the operator for inputs of shape in, asking b for windows of
	// the parameter vector in canonical order.
	bind(b *binder, in Shape) (operator, error)
	// String names the layer with its settings, for errors and summaries.
	String() string
}

// An operator is a layer bound to a shape, with the buffers of one Pass.
type operator interface {
	out() Shape
	// learns reports whether there are parameters in it.
	learns() bool
	// forward computes the outputs of r.n examples; they stay valid, and x must,
	// until backward is done. It may overwrite x only if it was told inPlace.
	forward(r *run, x []float32) []float32
	// backward writes the gradients of its parameters into windows of r.grad
	// and, if wanted, returns that of its input. It may overwrite gy.
	backward(r *run, gy []float32, wantInput bool) []float32
}

// Tensor is a window of the flat vector of parameters.
type Tensor struct {
	Name        string // as PyTorch names it: "0.weight"
	Dims        []int  // row-major; weights are [out][in][height][width] or [out][in]
	Offset, Len int
}

// Info describes one bound layer for a summary.
type Info struct {
	Name   string // its place, as in the names of its tensors
	Layer  string
	Out    Shape
	Params int
	MACs   int // multiplications with additions, forward, for one example
}

// Net is a network bound to the shape of its input. It holds no parameters and
// no buffers: it may be shared.
type Net struct {
	model   Chain
	in, out Shape
	tensors []parameter
	infos   []Info
	params  int
}

// Build binds a model to inputs of a shape. The model ends in a flat vector, one
// value (logit) a class. An error names the layer and the shapes that do not
// meet.
func Build(model Chain, in Shape) (*Net, error) {
	if in.C < 1 || in.H < 1 || in.W < 1 {
		return nil, fmt.Errorf("network input %v (channels × height × width): each must be at least 1", in)
	}
	var b binder
	op, err := model.bind(&b, in)
	if err != nil {
		return nil, err
	}
	out := op.out()
	if out.H != 1 || out.W != 1 {
		return nil, fmt.Errorf("the network ends in %v: end it with GlobalAvgPool, or Flatten and Linear, so that there is one value for each class", out)
	}
	if b.params == 0 {
		return nil, errors.New("the network has no parameters: add a Conv or Linear layer")
	}
	return &Net{model: model, in: in, out: out, tensors: b.tensors, infos: b.infos, params: b.params}, nil
}

// Input is the shape of one example.
func (n *Net) Input() Shape { return n.in }

// Classes is the number of logits.
func (n *Net) Classes() int { return n.out.C }

// NumParams is the length of the vector of parameters.
func (n *Net) NumParams() int { return n.params }

// Tensors lists the windows of the vector of parameters in canonical order; they
// cover it without gaps.
func (n *Net) Tensors() []Tensor {
	list := make([]Tensor, len(n.tensors))
	for i, p := range n.tensors {
		list[i] = p.Tensor
	}
	return list
}

// Layers describes the network's layers in order.
func (n *Net) Layers() []Info { return append([]Info(nil), n.infos...) }

// MACs is the number of multiplications with additions of one example's forward
// pass through convolutions and fully connected layers.
func (n *Net) MACs() int {
	total := 0
	for _, i := range n.infos {
		total += i.MACs
	}
	return total
}

// Package nn builds convolutional networks out of layers and computes their
// loss and gradient.
//
// A layer is a stateless description (Conv, Linear, MaxPool, …); Chain puts
// layers one after another and Branches puts chains side by side. Build binds
// them to the shape of an input and lays all parameters out in one flat vector
// with PyTorch's names and order; a gradient is a vector of the same layout, so
// that nothing is gathered or scattered between backward and the wire. Images
// come as [C][H][W]; inside, feature maps are NHWC, and are turned once at the
// edges. The kernels choose an algorithm for each convolution by its shape.
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

	"convoy/kernels"
)

// Shape is what one example looks like between two layers: channels, height and
// width. A flat vector of n values is n×1×1.
type Shape struct{ C, H, W int }

// Len is the number of values.
func (s Shape) Len() int { return s.C * s.H * s.W }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.C, s.H, s.W) }

// pixels is the number of values of one channel.
func (s Shape) pixels() int { return s.H * s.W }

// Layer describes a part of a network.
type Layer interface {
	// bind makes the operator for inputs of shape in, asking b for windows of
	// the parameter vector in canonical order.
	bind(b *binder, in Shape) (operator, error)
	// kind names the type of layer, as a job file writes it.
	kind() string
	// String names the layer with its settings, for errors and summaries.
	String() string
}

// An operator is a layer, or a few, bound to a shape. Between operators values
// are feature maps in NHWC order, dense unless something else is said; a flat
// vector is one pixel.
type operator interface {
	out() Shape
	traits() traits
	// forward computes y of r.n examples. Both x and y stay until backward is
	// done, unless it is another operator that overwrites y (traits.needs).
	forward(r *run, x, y kernels.Maps)
	// backward writes the gradients of its parameters into windows of r.grad
	// and that of its input to gx, or adds it to what is there. gx has no
	// values where nobody wants it. It may overwrite gy.
	backward(r *run, x, y, gy, gx kernels.Maps, add bool)
}

// traits are what an operator can do beyond the ordinary, and what it asks for.
type traits struct {
	windows    bool // y and gy may be a window of channels of other maps
	adds       bool // backward knows add
	inPlace    bool // y may be x, and gx may be gy
	keepsSigns bool // written over x, y is positive where x was or lets no gradient through
	view       bool // y is x's memory, and gx gy's: there is nothing to compute
	needs      need // of y, in backward
}

// A need is what must be left of an output until backward.
type need int

const (
	nothing need = iota
	signs        // whether a value is positive
	values
)

// Tensor is a window of the flat vector of parameters.
type Tensor struct {
	Name        string // as PyTorch names it: "0.weight"
	Dims        []int  // row-major; weights are [out][in][height][width] or [out][in]
	Offset, Len int
}

// Info describes one bound layer for a summary.
type Info struct {
	Name      string // its place, as in the names of its tensors
	Type      string // as in a job file: conv, relu, maxpool
	Layer     string // the type with its settings
	Out       Shape
	Params    int
	Fixed     int                 // numbers that are given and never trained, such as codes
	MACs      int                 // multiplications with additions, forward, for one example
	Conv      *kernels.Conv       // the kernels' shape, where it is a convolution
	Linear    *kernels.Linear     // the same of a fully connected layer
	Stages    []kernels.LaneStage // of the run in the lanes that begins with the layer
	Algorithm string              // where there is a choice; "fused" is the one of the layer before
	Auxiliary bool                // of a classifier that training alone computes
	// ReceptiveField is the side of the square of the input's pixels that a
	// value depends on, padding included, and Stride by how many pixels the
	// squares of neighbours are apart. For a flat vector they are those of all
	// values of the last image together.
	ReceptiveField, Stride int
}

// Options choose how a network is computed. Different options round differently:
// they are part of the recipe.
type Options struct {
	Direct bool // convolutions by their definition's sums, no other algorithm
	Loss   Loss // nil: what fits the network's last layer
}

// Net is a network bound to the shape of its input. It holds no parameters and
// no buffers: it may be shared.
type Net struct {
	model   Chain
	options Options
	in, out Shape
	tensors []parameter
	infos   []Info
	params  int
	loss    Loss
	lossOf  lossFunc
}

// Build binds a model to inputs of a shape. The model ends in a flat vector, one
// value (logit) a class. An error names the layer and the shapes that do not
// meet.
func Build(model Chain, in Shape, o Options) (*Net, error) {
	if in.C < 1 || in.H < 1 || in.W < 1 {
		return nil, fmt.Errorf("network input %v (channels × height × width): each must be at least 1", in)
	}
	b := newBinder(o, false)
	op, err := model.bind(b, in)
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
	for _, a := range b.auxiliaries {
		if err := a.check(out); err != nil {
			return nil, err
		}
	}
	n := &Net{model: model, options: o, in: in, out: out, tensors: b.tensors, infos: b.infos, params: b.params}
	if n.loss, n.lossOf, err = bindLoss(o.Loss, op.(*chain).last()); err != nil {
		return nil, err
	}
	return n, n.checkNames()
}

// checkNames reports two tensors of one name, which only a Named makes.
func (n *Net) checkNames() error {
	seen := map[string]bool{}
	for _, t := range n.tensors {
		if seen[t.Name] {
			return fmt.Errorf("the network has two tensors %s: give its layers different names", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// mustBind binds the model once more, which makes buffers of its own.
func (n *Net) mustBind(b *binder) *chain {
	op, err := n.model.bind(b, n.in)
	if err != nil {
		panic("nn: a network that was built does not bind: " + err.Error())
	}
	return op.(*chain)
}

// Input is the shape of one example.
func (n *Net) Input() Shape { return n.in }

// Classes is the number of outputs.
func (n *Net) Classes() int { return n.out.C }

// Loss is what the network is trained with.
func (n *Net) Loss() Loss { return n.loss }

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
// pass in training through convolutions and fully connected layers.
func (n *Net) MACs() int {
	total := 0
	for _, i := range n.infos {
		total += i.MACs
	}
	return total
}

package nn

import (
	"fmt"
	"strings"
)

// A binder hands out windows of the parameter vector and keeps the list of
// layers while a network is bound.
type binder struct {
	options Options
	path    []string // names of the layers around
	depth   int      // chains around
	below   bool     // whether the gradient of the next layer's input is wanted
	apart   bool     // each layer is an operator of its own, so that its output can be seen
	field   field    // of the values that come into the next layer

	tensors     []parameter
	infos       []Info
	auxiliaries []*auxiliary
	params      int
	drops       int      // words that the dropout layers so far take of an example's stream
	packers     []packer // in the order of the layers
	sides       [][2]int // values of an example's largest gradient, by depth and side
}

// A packer is an operator that brings its weights into the kernels' own order,
// once for each pass.
type packer interface{ pack(r *run) }

// A field is the square of the input's pixels that a value depends on, and by
// how many pixels the squares of neighbours are apart.
type field struct{ size, stride int }

// after is the field of what a window of values gives.
func (f field) after(kernel, stride int) field {
	return field{f.size + (kernel-1)*f.stride, f.stride * stride}
}

// newBinder returns a binder for a network, or a part of one that is handed its
// input's gradient too.
func newBinder(o Options, below bool) *binder {
	return &binder{options: o, below: below, field: field{1, 1}}
}

// A parameter is a tensor and how it begins.
type parameter struct {
	Tensor
	init initializer
}

// A window is a part of the flat vector of parameters or of gradients.
type window struct{ low, high int }

func (w window) size() int { return w.high - w.low }

func (w window) of(v []float32) []float32 { return v[w.low:w.high:w.high] }

// param takes the next window, for a tensor of the layer being bound.
func (b *binder) param(name string, init initializer, dims ...int) window {
	n := 1
	for _, d := range dims {
		n *= d
	}
	w := window{b.params, b.params + n}
	b.params = w.high
	b.tensors = append(b.tensors, parameter{
		Tensor: Tensor{Name: b.name() + "." + name, Dims: dims, Offset: w.low, Len: n},
		init:   init,
	})
	return w
}

func (b *binder) name() string { return strings.Join(b.path, ".") }

// within calls f with name added to the path.
func (b *binder) within(name string, f func() error) error {
	b.path = append(b.path, name)
	defer func() { b.path = b.path[:len(b.path)-1] }()
	return f()
}

// layer binds one layer at the end of the path and lists it, unless it is made
// of others.
func (b *binder) layer(l Layer, in Shape) (operator, error) {
	before := b.params
	op, err := l.bind(b, in)
	switch l.(type) {
	case Branches, Auxiliary:
		return op, err // its errors name the layer within
	}
	if err != nil {
		return nil, fmt.Errorf("layer %s (%s), input %v: %w", b.name(), l, in, err)
	}
	info := Info{Out: op.out(), Params: b.params - before}
	if o, ok := op.(interface{ macs() int }); ok {
		info.MACs = o.macs()
	}
	if o, ok := op.(interface{ fixed() int }); ok {
		info.Fixed = o.fixed()
	}
	switch o := op.(type) {
	case *conv:
		info.Conv = &o.s
	case *linear:
		info.Linear = &o.s
	case *wholeConv:
		info.Linear = &o.s
	}
	if o, ok := op.(interface{ algorithm() string }); ok {
		info.Algorithm = o.algorithm()
	}
	if o, ok := op.(interface{ window() (kernel, stride int) }); ok {
		b.field = b.field.after(o.window())
	}
	b.list(l, info)
	b.below = b.below || b.params > before
	return op, nil
}

// list adds the layer at the end of the path to the summary.
func (b *binder) list(l Layer, i Info) {
	i.Name, i.Layer, i.Type = b.name(), l.String(), l.kind()
	i.ReceptiveField, i.Stride = b.field.size, b.field.stride
	if n := len(b.infos); n > 0 && b.infos[n-1].Name == i.Name {
		b.infos[n-1].join(i)
		return
	}
	b.infos = append(b.infos, i)
}

// side makes room for a gradient of a chain at the binder's depth.
func (b *binder) side(depth, side, values int) {
	for len(b.sides) <= depth {
		b.sides = append(b.sides, [2]int{})
	}
	b.sides[depth][side] = max(b.sides[depth][side], values)
}

// square writes a size as an image's: "5×5".
func square(n int) string { return fmt.Sprintf("%d×%d", n, n) }

// settings writes what differs from the default: ", stride 2, padding 1".
func settings(stride, defaultStride, pad int) string {
	var s string
	if stride != 0 && stride != defaultStride {
		s += fmt.Sprintf(", stride %d", stride)
	}
	if pad != 0 {
		s += fmt.Sprintf(", padding %d", pad)
	}
	return s
}

// or returns v, or what an unset v stands for.
func or(v, unset int) int {
	if v == 0 {
		return unset
	}
	return v
}

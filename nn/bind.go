package nn

import (
	"fmt"
	"strings"
)

// A binder hands out windows of the parameter vector and keeps the list of
// layers while a network is bound.
type binder struct {
	path    []string // names of the layers around
	tensors []parameter
	infos   []Info
	params  int
}

// A parameter is a tensor and how it begins.
type parameter struct {
	Tensor
	init initializer
}

// A window is a part of the flat vector of parameters or of gradients.
type window struct{ low, high int }

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

// layer binds one layer under the name of its place, and lists it unless it is
// made of others.
func (b *binder) layer(name string, l Layer, in Shape) (operator, error) {
	b.path = append(b.path, name)
	defer func() { b.path = b.path[:len(b.path)-1] }()
	before := b.params
	op, err := l.bind(b, in)
	if _, composite := l.(Branches); composite {
		return op, err // its errors name the layer within
	}
	if err != nil {
		return nil, fmt.Errorf("layer %s (%s), input %v: %w", b.name(), l, in, err)
	}
	info := Info{Name: b.name(), Layer: l.String(), Out: op.out(), Params: b.params - before}
	if c, ok := op.(interface{ macs() int }); ok {
		info.MACs = c.macs()
	}
	b.infos = append(b.infos, info)
	return op, nil
}

// grown returns a buffer of n elements, the old one where it is large enough.
func grown[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	return old[:n]
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

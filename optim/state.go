package optim

import (
	"fmt"
	"slices"

	"convoy/digest"
)

// DigestTag is the format under which a state's digest is taken.
const DigestTag = "convoy state 1"

// Tensor names a part of the parameter vector; the tensors of a layout follow
// one another without gaps, in canonical order.
type Tensor struct {
	Name string // PyTorch's, such as "0.weight"
	Dims []int
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// State is everything that a training step changes.
type State struct {
	Layout []Tensor
	Params []float32
	Slots  [][]float32 // in the order of SGD.Slots; each as long as Params
}

// NewState returns the state before the first step: params, which it keeps, and
// slots of zeros. It panics unless layout adds up to the length of params.
func NewState(layout []Tensor, params []float32, o SGD) *State {
	n := 0
	for _, t := range layout {
		n += t.Len()
	}
	if n != len(params) {
		panic(fmt.Sprintf("optim: a layout of %d elements for %d parameters", n, len(params)))
	}
	s := &State{Layout: layout, Params: params}
	for range o.Slots() {
		s.Slots = append(s.Slots, make([]float32, len(params)))
	}
	return s
}

// slotNames are the names of the slots in a digest, whatever optimizer they
// belong to.
var slotNames = []string{"velocity"}

// Digest names the state by its bits: the parameters, then each slot.
func (s *State) Digest() digest.Sum {
	vectors := []digest.Vector{{Name: "params", Floats: s.Params}}
	for i, v := range s.Slots {
		vectors = append(vectors, digest.Vector{Name: slotNames[i], Floats: v})
	}
	return digest.Tensors(DigestTag, vectors...)
}

// Clone returns a copy that shares nothing but the layout.
func (s *State) Clone() *State {
	c := &State{Layout: s.Layout, Params: slices.Clone(s.Params)}
	for _, v := range s.Slots {
		c.Slots = append(c.Slots, slices.Clone(v))
	}
	return c
}

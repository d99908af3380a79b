package nn

import (
	"fmt"
	"math"

	"convoy/kernels"
)

// Auxiliary hands its input on as it is, and in training feeds it to a classifier
// of its own as well, whose loss, the network's times a weight, is added to the
// network's (Szegedy et al., "Going deeper with convolutions", 2015, section 5).
// Evaluation leaves the classifier out.
type Auxiliary struct {
	Chain  Chain   // ends in as many values as the network
	Weight float32 // of the classifier's loss, above 0
}

func (l Auxiliary) String() string { return fmt.Sprintf("Auxiliary, weight %v", l.Weight) }
func (Auxiliary) kind() string     { return "auxiliary" }

func (l Auxiliary) initialised(i Init) Layer { return Auxiliary{l.Chain.Initialised(i), l.Weight} }

func (l Auxiliary) bind(b *binder, in Shape) (operator, error) {
	if !(l.Weight > 0) || math.IsInf(float64(l.Weight), 0) {
		return nil, fmt.Errorf("layer %s (%s): want a finite weight above 0", b.name(), l)
	}
	below, field, first := b.below, b.field, len(b.infos)
	op, err := l.Chain.bind(b, in)
	if err != nil {
		return nil, err
	}
	b.below, b.field = below, field
	for i := range b.infos[first:] {
		b.infos[first+i].Auxiliary = true
	}
	a := &auxiliary{name: b.name(), shape: in, chain: op.(*chain), weight: l.Weight}
	if _, a.lossOf, err = bindLoss(b.options.Loss, a.chain.last()); err != nil {
		return nil, fmt.Errorf("layer %s (%s): %w", b.name(), l, err)
	}
	b.auxiliaries = append(b.auxiliaries, a)
	return a, nil
}

// auxiliary computes its classifier, there and back, on the way back alone: by
// then the labels' turn has come, and evaluation has nothing to leave out.
type auxiliary struct {
	name   string
	shape  Shape
	chain  *chain
	weight float32
	lossOf lossFunc

	y, gy  []float32 // of the classifier
	losses []float64
}

// check returns an error unless the classifier ends in as many values as the network.
func (a *auxiliary) check(network Shape) error {
	if end := a.chain.out(); end != network {
		return fmt.Errorf("the auxiliary classifier at layer %s ends in %v, the network in %v: they must be equal", a.name, end, network)
	}
	return nil
}

func (a *auxiliary) out() Shape     { return a.shape }
func (a *auxiliary) traits() traits { return traits{view: true, needs: values} }

func (a *auxiliary) memory(cuts []int) (packed, activations int) {
	m := a.chain.memory(cuts)
	ends := cuts[len(cuts)-1] * a.chain.out().Len()
	return m.Packed, m.Activations + 2*floatBytes*ends
}

func (a *auxiliary) forward(r *run, x, y kernels.Maps) {
	if !same(x, y) {
		kernels.CopyMaps(r.pool, r.n*a.shape.pixels(), a.shape.C, x, y)
	}
}

func (a *auxiliary) backward(r *run, x, _, gy, gx kernels.Maps, _ bool) {
	wanted := gx.V != nil
	if wanted && !same(gy, gx) {
		kernels.CopyMaps(r.pool, r.n*a.shape.pixels(), a.shape.C, gy, gx)
	}
	end := a.chain.out()
	y, g := r.maps(&a.y, end), r.maps(&a.gy, end)
	a.chain.forward(r, x, y)
	a.losses = grown(a.losses, r.n)
	a.lossOf(r.pool, end.C, y.V, r.labels, a.losses, g.V)
	for i := range g.V {
		g.V[i] *= a.weight
	}
	for i, l := range a.losses {
		r.losses[i] += float64(float64(a.weight) * l)
	}
	a.chain.backward(r, x, y, g, gx, wanted)
}

package nn

import (
	"fmt"

	"convoy/kernels"
	"convoy/rng"
)

// Dropout sets each value to 0 with a probability, in training alone, and
// divides the others by the probability of the opposite (Srivastava et al.,
// "Dropout: a simple way to prevent neural networks from overfitting", 2014).
// Which ones follows from the seed, the step, the example's place in the step's
// batch and the layer's and the value's place in the network, whoever computes
// the example.
type Dropout struct {
	Rate float32 // the probability, from 0 to below 1
}

func (l Dropout) String() string { return fmt.Sprintf("Dropout %v", l.Rate) }
func (Dropout) kind() string     { return "dropout" }

// dropSteps is how finely a rate is divided: a value takes 16 random bits.
const dropSteps = 1 << 16

// maxDrops keeps the random numbers of all dropout layers within a stream.
const maxDrops = 1 << 26

func (l Dropout) bind(b *binder, in Shape) (operator, error) {
	if !(l.Rate >= 0 && l.Rate < 1) {
		return nil, fmt.Errorf("a rate of %v: want one from 0 to below 1", l.Rate)
	}
	words := (in.Len() + 1) / 2
	if words > maxDrops-b.drops {
		return nil, fmt.Errorf("the dropout layers have more than %d values", 2*maxDrops)
	}
	d := &dropout{shape: in, rate: l.Rate, least: uint32(l.Rate * dropSteps), words: b.drops}
	d.drawTask = d.draw
	b.drops += words
	return d, nil
}

type dropout struct {
	shape Shape
	rate  float32
	least uint32 // a value stays whose random bits are at least that
	words int    // of the example's stream that other layers take before

	keep     []uint8 // whether a value stays, in the order of the maps
	run      *run    // while the mask is drawn
	drawTask func(example int)
}

func (d *dropout) out() Shape     { return d.shape }
func (d *dropout) traits() traits { return traits{inPlace: true, keepsSigns: true} }

func (d *dropout) memory(cuts []int) (packed, activations int) {
	return 0, cuts[len(cuts)-1] * d.shape.Len()
}

func (d *dropout) forward(r *run, x, y kernels.Maps) {
	switch {
	case r.training:
		d.keep = grown(d.keep, r.n*d.shape.Len())
		d.run = r
		r.pool.Run(r.n, d.drawTask)
		d.run = nil
		kernels.Dropout(r.pool, d.rate, d.keep, x.V, y.V)
	case !same(x, y):
		kernels.CopyMaps(r.pool, r.n*d.shape.pixels(), d.shape.C, x, y)
	}
}

// draw draws one example's mask.
func (d *dropout) draw(example int) {
	n, r := d.shape.Len(), d.run
	s := rng.At(r.seed, rng.Dropout, uint64(r.step), uint64(r.first+example))
	s.Skip(d.words)
	keep := d.keep[example*n : (example+1)*n]
	for i := 0; i < n; i += 2 {
		bits := s.Uint32()
		keep[i] = stays(bits%dropSteps, d.least)
		if i+1 < n {
			keep[i+1] = stays(bits/dropSteps, d.least)
		}
	}
}

func stays(bits, least uint32) uint8 {
	if bits >= least {
		return 1
	}
	return 0
}

func (d *dropout) backward(r *run, _, _, gy, gx kernels.Maps, _ bool) {
	if gx.V != nil {
		kernels.Dropout(r.pool, d.rate, d.keep, gy.V, gx.V)
	}
}

package nn

import (
	"errors"
	"fmt"
	"strconv"

	"convoy/kernels"
)

// Branches feeds one input to several chains and puts their outputs, which have
// one height and width, one after another by channels (the inception block of
// Szegedy et al., "Going deeper with convolutions", 2015, is four of them).
// Layer j of branch i is named i.j.
type Branches []Chain

func (l Branches) String() string { return fmt.Sprintf("Branches, %d of them", len(l)) }
func (Branches) kind() string     { return "branches" }

func (l Branches) bind(b *binder, in Shape) (operator, error) {
	if len(l) == 0 {
		return nil, fmt.Errorf("layer %s (%s): %w", b.name(), l, errors.New("give it at least one branch"))
	}
	br := &branches{}
	below, field := b.below, b.field // of the input
	learned, widest := below, field
	for i, c := range l {
		b.below, b.field = below, field
		var op operator
		err := b.within(strconv.Itoa(i), func() (err error) { op, err = c.bind(b, in); return err })
		if err != nil {
			return nil, err
		}
		s := op.out()
		if i > 0 && (s.H != br.shape.H || s.W != br.shape.W) {
			return nil, fmt.Errorf("layer %s (%s), input %v: branch %d ends in %v, branch 0 in %v: heights and widths must be equal",
				b.name(), l, in, i, s, br.chains[0].out())
		}
		br.chains = append(br.chains, op.(*chain))
		br.shape = Shape{br.shape.C + s.C, s.H, s.W}
		learned = learned || b.below
		widest.size, widest.stride = max(widest.size, b.field.size), max(widest.stride, b.field.stride)
	}
	b.below, b.field = learned, widest
	return br, nil
}

// branches computes nothing itself: each branch writes into its window of the
// channels of the joined output and reads its gradient from there.
type branches struct {
	chains []*chain
	shape  Shape // of the output
}

func (b *branches) out() Shape { return b.shape }

func (b *branches) traits() traits {
	t := traits{windows: true, adds: true}
	for _, c := range b.chains {
		t.needs = max(t.needs, c.traits().needs)
	}
	return t
}

func (b *branches) forward(r *run, x, y kernels.Maps) {
	first := 0
	for _, c := range b.chains {
		c.forward(r, x, y.Window(first))
		first += c.out().C
	}
}

// backward adds the input's gradients up in the order of the branches.
func (b *branches) backward(r *run, x, y, gy, gx kernels.Maps, add bool) {
	first := 0
	for i, c := range b.chains {
		c.backward(r, x, y.Window(first), gy.Window(first), gx, add || i > 0)
		first += c.out().C
	}
}

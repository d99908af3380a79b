package nn

import (
	"errors"
	"fmt"
	"strconv"
)

// Branches feeds one input to several chains and puts their outputs, which have
// one height and width, one after another by channels (the inception block of
// Szegedy et al., "Going deeper with convolutions", 2015, is four of them).
// Layer j of branch i is named i.j.
type Branches []Chain

func (l Branches) String() string { return fmt.Sprintf("Branches, %d of them", len(l)) }

func (l Branches) bind(b *binder, in Shape) (operator, error) {
	if len(l) == 0 {
		return nil, fmt.Errorf("layer %s (%s): %w", b.name(), l, errors.New("give it at least one branch"))
	}
	br := &branches{}
	for i, c := range l {
		b.path = append(b.path, strconv.Itoa(i))
		op, err := c.bind(b, in)
		b.path = b.path[:len(b.path)-1]
		if err != nil {
			return nil, err
		}
		s := op.out()
		if i > 0 && (s.H != br.shape.H || s.W != br.shape.W) {
			return nil, fmt.Errorf("layer %s (%s), input %v: branch %d ends in %v, branch 0 in %v: heights and widths must be equal",
				b.name(), l, in, i, s, br.ops[0].out())
		}
		br.ops = append(br.ops, op)
		br.shape = Shape{br.shape.C + s.C, s.H, s.W}
	}
	n := len(l)
	br.ys, br.gys, br.gxs = make([][]float32, n), make([][]float32, n), make([][]float32, n)
	br.in = in.Len()
	br.joinTask, br.splitTask, br.addTask = br.join, br.split, br.add
	return br, nil
}

type branches struct {
	ops   []operator
	in    int   // values of one example's input
	shape Shape // of the output
	y     []float32
	gy    []float32 // the output's gradient, while it is split

	ys, gys, gxs [][]float32 // of each branch

	joinTask, splitTask, addTask func(example int) // kept, so that a pass allocates nothing
}

func (b *branches) out() Shape { return b.shape }

func (b *branches) learns() bool {
	for _, op := range b.ops {
		if op.learns() {
			return true
		}
	}
	return false
}

func (b *branches) forward(r *run, x []float32) []float32 {
	for i, op := range b.ops {
		b.ys[i] = op.forward(r, x)
	}
	b.y = grown(b.y, r.n*b.shape.Len())
	r.pool.Run(r.n, b.joinTask)
	return b.y
}

func (b *branches) backward(r *run, gy []float32, wantInput bool) []float32 {
	for i, op := range b.ops {
		b.gys[i] = grown(b.gys[i], r.n*op.out().Len())
	}
	b.gy = gy
	r.pool.Run(r.n, b.splitTask)
	for i, op := range b.ops {
		b.gxs[i] = op.backward(r, b.gys[i], wantInput)
	}
	if !wantInput {
		return nil
	}
	r.pool.Run(r.n, b.addTask)
	return b.gxs[0]
}

// join copies an example's outputs of all branches into one.
func (b *branches) join(example int) {
	y := b.y[example*b.shape.Len():]
	for i, op := range b.ops {
		n := op.out().Len()
		copy(y[:n], b.ys[i][example*n:])
		y = y[n:]
	}
}

// split is join's reverse, for gradients.
func (b *branches) split(example int) {
	gy := b.gy[example*b.shape.Len():]
	for i, op := range b.ops {
		n := op.out().Len()
		copy(b.gys[i][example*n:(example+1)*n], gy)
		gy = gy[n:]
	}
}

// add sums an example's input gradients in the order of the branches into the
// first one's.
func (b *branches) add(example int) {
	low, high := example*b.in, (example+1)*b.in
	sum := b.gxs[0][low:high]
	for _, g := range b.gxs[1:] {
		for i, v := range g[low:high] {
			sum[i] += v
		}
	}
}

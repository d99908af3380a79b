package nn

import (
	"fmt"
	"strconv"
)

// Chain is layers one after another, numbered from 0 as torch.nn.Sequential
// numbers them. A Chain within a Chain is only a way to write it: its layers
// are numbered as if they stood in the outer one.
type Chain []Layer

func (l Chain) String() string { return fmt.Sprintf("Chain of %d layers", len(l.flat())) }

// flat returns the layers with inner chains spliced in.
func (l Chain) flat() []Layer {
	var list []Layer
	for _, layer := range l {
		if inner, ok := layer.(Chain); ok {
			list = append(list, inner.flat()...)
		} else {
			list = append(list, layer)
		}
	}
	return list
}

func (l Chain) bind(b *binder, in Shape) (operator, error) {
	layers := l.flat()
	if len(layers) == 0 {
		where := "network"
		if len(b.path) > 0 {
			where = "branch " + b.name()
		}
		return nil, fmt.Errorf("the %s has no layers: give it at least one", where)
	}
	c := &chain{}
	// private: the values that come in belong to an operator of this chain that
	// does not look at them again.
	private, shape := false, in
	for i, layer := range layers {
		op, err := b.layer(strconv.Itoa(i), layer, shape)
		if err != nil {
			return nil, err
		}
		switch op := op.(type) {
		case *elementwise:
			op.inPlace = private
			private = false // it needs its own result for backward
		case flatten:
		default:
			private = true
		}
		c.learning = append(c.learning, c.learns())
		c.ops = append(c.ops, op)
		shape = op.out()
	}
	return c, nil
}

type chain struct {
	ops      []operator
	learning []bool // whether any operator before the i-th learns
}

func (c *chain) out() Shape { return c.ops[len(c.ops)-1].out() }

func (c *chain) learns() bool {
	n := len(c.ops)
	return n > 0 && (c.learning[n-1] || c.ops[n-1].learns())
}

func (c *chain) forward(r *run, x []float32) []float32 {
	for _, op := range c.ops {
		x = op.forward(r, x)
	}
	return x
}

// backward ends at the first operator that learns unless the gradient of the
// chain's input is wanted.
func (c *chain) backward(r *run, gy []float32, wantInput bool) []float32 {
	for i := len(c.ops) - 1; i >= 0; i-- {
		below := wantInput || c.learning[i]
		if !below && !c.ops[i].learns() {
			return nil
		}
		gy = c.ops[i].backward(r, gy, below)
	}
	return gy
}

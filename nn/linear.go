package nn

import (
	"fmt"

	"convoy/kernels"
)

// Linear is a fully connected layer with a bias, with weights [Out][In]. Its
// input is flat. A ReLU right behind it is computed with it.
type Linear struct {
	Out  int  // values
	Init Init // unset: Xavier
}

func (l Linear) String() string { return fmt.Sprintf("Linear %d", l.Out) }
func (Linear) kind() string     { return "linear" }

func (l Linear) bind(b *binder, in Shape) (operator, error) {
	if in.H != 1 || in.W != 1 {
		return nil, fmt.Errorf("it takes a flat vector, not %v: put Flatten before it", in)
	}
	s := kernels.Linear{I: in.C, O: l.Out}
	if err := s.Check(); err != nil {
		return nil, err
	}
	weights, bias := l.Init.of(s.I, s.O)
	return &linear{
		s:       s,
		plan:    kernels.NewFullyConnected(s),
		below:   b.below,
		weights: b.param("weight", weights, s.O, s.I),
		bias:    b.param("bias", bias, s.O),
	}, nil
}

type linear struct {
	s             kernels.Linear
	plan          *kernels.FullyConnected
	weights, bias window
	below         bool // the gradient of the input is wanted
	relu          bool // the output is ReLU's
}

func (l *linear) out() Shape        { return Shape{l.s.O, 1, 1} }
func (l *linear) macs() int         { return l.s.FLOPs() / 2 }
func (l *linear) algorithm() string { return "matrix product" }

func (l *linear) memory(cuts []int) (packed, activations int) {
	return l.plan.Bytes(cuts[len(cuts)-1]), 0
}

func (l *linear) traits() traits {
	if l.relu {
		return traits{needs: signs}
	}
	return traits{}
}

func (l *linear) fuse(layer Layer) bool {
	_, relu := layer.(ReLU)
	fuses := relu && !l.relu
	l.relu = l.relu || fuses
	return fuses
}

func (l *linear) forward(r *run, x, y kernels.Maps) {
	l.plan.Forward(r.pool, r.n, x.V, l.weights.of(r.params), l.bias.of(r.params), l.relu, y.V)
}

func (l *linear) backward(r *run, x, y, gy, gx kernels.Maps, _ bool) {
	if l.relu {
		kernels.ReLUBackward(r.pool, r.n, l.s.O, y, gy, gy)
	}
	l.plan.BackwardWeights(r.pool, x.V, gy.V, r.cuts, l.weights.of(r.grad), l.bias.of(r.grad))
	if l.below {
		l.plan.BackwardData(r.pool, r.n, gy.V, l.weights.of(r.params), gx.V)
	}
}

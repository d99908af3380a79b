package nn

import (
	"fmt"

	"convoy/kernels"
)

// Linear is a fully connected layer with a bias, with weights [Out][In]. Its
// input is flat. Weights begin by Xavier, biases at 0.
type Linear struct {
	Out int // values
}

func (l Linear) String() string { return fmt.Sprintf("Linear %d", l.Out) }

func (l Linear) bind(b *binder, in Shape) (operator, error) {
	if in.H != 1 || in.W != 1 {
		return nil, fmt.Errorf("it takes a flat vector, not %v: put Flatten before it", in)
	}
	s := kernels.Linear{I: in.C, O: l.Out}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &linear{
		s:       s,
		weights: b.param("weight", xavier(s.I, s.O), s.O, s.I),
		bias:    b.param("bias", zeros, s.O),
	}, nil
}

type linear struct {
	s             kernels.Linear
	weights, bias window
	x, y, gx      []float32
}

func (l *linear) out() Shape   { return Shape{l.s.O, 1, 1} }
func (l *linear) learns() bool { return true }
func (l *linear) macs() int    { return l.s.FLOPs() / 2 }

func (l *linear) forward(r *run, x []float32) []float32 {
	l.x, l.y = x, grown(l.y, r.n*l.s.O)
	kernels.LinearForward(r.pool, l.s, x, l.weights.of(r.params), l.bias.of(r.params), l.y)
	return l.y
}

func (l *linear) backward(r *run, gy []float32, wantInput bool) []float32 {
	kernels.LinearBackwardWeights(r.pool, l.s, l.x, gy, r.cuts, l.weights.of(r.grad), l.bias.of(r.grad))
	if !wantInput {
		return nil
	}
	l.gx = grown(l.gx, r.n*l.s.I)
	kernels.LinearBackwardData(r.pool, l.s, gy, l.weights.of(r.params), l.gx)
	return l.gx
}

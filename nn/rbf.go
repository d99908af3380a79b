package nn

import (
	"fmt"

	"convoy/kernels"
)

// RBF is an output layer of Euclidean radial basis functions: output i is the
// squared distance of the input, a flat vector, to the code of class i, a penalty
// (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
// recognition", 1998, section II.B, equation 7). The codes are fixed: they are no
// parameters.
type RBF struct {
	Out   int         // classes
	Codes [][]float32 // one for each class, as long as the input
}

func (l RBF) String() string { return fmt.Sprintf("RBF %d", l.Out) }
func (RBF) kind() string     { return "rbf" }

func (l RBF) bind(b *binder, in Shape) (operator, error) {
	switch {
	case in.H != 1 || in.W != 1:
		return nil, fmt.Errorf("it takes a flat vector, not %v: put Flatten before it", in)
	case l.Out < 1 || len(l.Codes) != l.Out:
		return nil, fmt.Errorf("there are codes for %d classes, not for %d", len(l.Codes), l.Out)
	}
	r := &rbf{s: kernels.RBF{I: in.C, O: l.Out}, below: b.below}
	for i, code := range l.Codes {
		if len(code) != in.C {
			return nil, fmt.Errorf("the code of class %d has %d values: give the layer before it as many", i, len(code))
		}
		r.codes = append(r.codes, code...)
	}
	return r, nil
}

type rbf struct {
	s     kernels.RBF
	codes []float32
	below bool // the gradient of the input is wanted
}

func (r *rbf) out() Shape     { return Shape{r.s.O, 1, 1} }
func (r *rbf) traits() traits { return traits{} }
func (r *rbf) fixed() int     { return len(r.codes) }

func (r *rbf) forward(run *run, x, y kernels.Maps) {
	kernels.RBFForward(run.pool, r.s, run.n, x.V, r.codes, y.V)
}

func (r *rbf) backward(run *run, x, _, gy, gx kernels.Maps, _ bool) {
	if r.below {
		kernels.RBFBackwardData(run.pool, r.s, run.n, x.V, r.codes, gy.V, gx.V)
	}
}

package nn

import (
	"fmt"

	"convoy/kernels"
)

// RBF is an output layer of Euclidean radial basis functions: output i is the
// squared distance of the input, a flat vector, to the code of class i, a penalty
// (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
// recognition", 1998, section II.B, equation 7). The codes are fixed, and no
// parameters, unless they are to be trained, as the paper allows.
type RBF struct {
	Out       int         // classes
	Codes     [][]float32 // one for each class, as long as the input
	Trainable bool        // the codes are weights [Out][In] that begin as Codes
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
	if l.Trainable {
		w := b.param("weight", initializer{distribution: copied, values: r.codes}, l.Out, in.C)
		r.weights = &w
	}
	return r, nil
}

type rbf struct {
	s       kernels.RBF
	codes   []float32
	weights *window // the codes as parameters, nil where they are fixed
	below   bool    // the gradient of the input is wanted
}

func (r *rbf) out() Shape     { return Shape{r.s.O, 1, 1} }
func (r *rbf) traits() traits { return traits{} }

func (r *rbf) fixed() int {
	if r.weights != nil {
		return 0
	}
	return len(r.codes)
}

// centres are the codes of this pass.
func (r *rbf) centres(run *run) []float32 {
	if r.weights != nil {
		return r.weights.of(run.params)
	}
	return r.codes
}

func (r *rbf) forward(run *run, x, y kernels.Maps) {
	kernels.RBFForward(run.pool, r.s, run.n, x.V, r.centres(run), y.V)
}

func (r *rbf) backward(run *run, x, _, gy, gx kernels.Maps, _ bool) {
	if r.weights != nil {
		kernels.RBFBackwardWeights(run.pool, r.s, x.V, r.centres(run), gy.V, run.cuts, r.weights.of(run.grad))
	}
	if r.below {
		kernels.RBFBackwardData(run.pool, r.s, run.n, x.V, r.centres(run), gy.V, gx.V)
	}
}

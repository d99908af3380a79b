package nn

import (
	"fmt"

	"convoy/kernels"
)

// LRN is local response normalisation across channels (Krizhevsky, Sutskever and
// Hinton, "ImageNet classification with deep convolutional neural networks",
// 2012, section 3.3), with alpha divided by the size as PyTorch has it.
type LRN struct {
	Size           int // channels taken together
	Alpha, Beta, K float32
}

func (l LRN) String() string {
	return fmt.Sprintf("LRN over %d, alpha %v, beta %v, k %v", l.Size, l.Alpha, l.Beta, l.K)
}
func (LRN) kind() string { return "lrn" }

func (l LRN) bind(_ *binder, in Shape) (operator, error) {
	n := kernels.LRN{Size: l.Size, Alpha: l.Alpha, Beta: l.Beta, K: l.K}
	return &lrn{shape: in, n: n}, n.Check()
}

type lrn struct {
	shape Shape
	n     kernels.LRN
}

func (l *lrn) out() Shape     { return l.shape }
func (l *lrn) traits() traits { return traits{windows: true} }

func (l *lrn) forward(r *run, x, y kernels.Maps) {
	kernels.LRNForward(r.pool, l.n, r.n*l.shape.pixels(), l.shape.C, x, y)
}

func (l *lrn) backward(r *run, x, _, gy, gx kernels.Maps, _ bool) {
	if gx.V != nil {
		kernels.LRNBackward(r.pool, l.n, r.n*l.shape.pixels(), l.shape.C, x, gy, gx)
	}
}

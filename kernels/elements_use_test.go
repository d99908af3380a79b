package kernels

import (
	"testing"

	"convoy/internal/allocs"
)

// TestElementsAllocateNothing, once their arguments have been made.
func TestElementsAllocateNothing(t *testing.T) {
	const n, c = 2, 20
	s := Pool2D{C: c, H: 9, W: 7, KH: 3, KW: 3, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1}
	ins, outs := n*s.H*s.W, n*s.OutH()*s.OutW()
	x, y := Maps{Floats(ins * c), c}, Maps{Floats(outs * c), c}
	arg, keep, labels := make([]uint8, outs*c), make([]uint8, ins*c), make([]int32, ins)
	losses, planes := make([]float64, ins), make([]float32, ins*c)
	l := LRN{5, 1, 0.75, 1}
	rbf, cuts := RBF{I: c, O: 3}, []int{0, 2, 7}
	for _, threads := range []int{1, 2} {
		p := newPool(t, threads)
		for name, f := range map[string]func(){
			"max pooling":     func() { MaxPoolForward(p, s, n, x, y, arg); MaxPoolBackward(p, s, n, y, arg, x, true) },
			"average pooling": func() { AvgPoolForward(p, s, n, x, y); AvgPoolBackward(p, s, n, y, x, false) },
			"ReLU":            func() { ReLUForward(p, ins, c, x, x); ReLUBackward(p, ins, c, x, x, x) },
			"copies":          func() { AddMaps(p, outs, c, y, x); CopyMaps(p, outs, c, y, x) },
			"transposition": func() {
				NCHWToMaps(p, n, c, s.H*s.W, planes, x)
				MapsToNCHW(p, n, c, s.H*s.W, x, planes)
			},
			"LRN":     func() { LRNForward(p, l, outs, c, y, y); LRNBackward(p, l, outs, c, y, y, y) },
			"dropout": func() { Dropout(p, 0.5, keep, x.V, x.V) },
			"loss":    func() { SoftmaxCrossEntropy(p, c, x.V, labels, losses, x.V) },
			"losses": func() {
				SquaredDistance(p, c, x.V, labels, losses, x.V)
				RightPenalty(p, c, x.V, labels, losses, x.V)
				DiscriminativePenalty(p, c, x.V, labels, losses, x.V)
			},
			"RBF": func() {
				RBFForward(p, rbf, 7, planes[:7*c], x.V[:rbf.Weights()], y.V[:21])
				RBFBackwardData(p, rbf, 7, planes[:7*c], x.V[:rbf.Weights()], y.V[:21], planes[:7*c])
				RBFBackwardWeights(p, rbf, planes[:7*c], x.V[:rbf.Weights()], y.V[:21], cuts, planes[:rbf.Weights()])
			},
			"affine": func() {
				AffineForward(p, ins, c, x, planes[:c], planes[:c], x)
				AffineBackward(p, 2, c, x, x, planes[:c], cuts, x, planes[:c], planes[c:2*c])
			},
			"update": func() { Update(p, SGD{LR: 1, Scale: 1}, x.V, nil, planes) },
		} {
			if a := allocs.Steady(f); a != 0 {
				t.Errorf("%s on %d threads: %v allocations", name, threads, a)
			}
		}
	}
}

// TestElementsMisfits: lengths that do not fit are a panic that names them.
func TestElementsMisfits(t *testing.T) {
	p := newPool(t, 1)
	s := Pool2D{C: 2, H: 4, W: 4, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	maps := func(pixels int) Maps { return Maps{make([]float32, 2*pixels), 2} }
	big := Pool2D{C: 1, H: 16, W: 16, KH: 16, KW: 16, StrideH: 1, StrideW: 1}
	for name, f := range map[string]func(){
		"pooled":           func() { MaxPoolForward(p, s, 1, maps(16), maps(3), nil) },
		"arg":              func() { MaxPoolForward(p, s, 1, maps(16), maps(4), make([]uint8, 7)) },
		"missing arg":      func() { MaxPoolBackward(p, s, 1, maps(4), nil, maps(16), false) },
		"large window":     func() { MaxPoolForward(p, big, 1, Maps{make([]float32, 256), 1}, Maps{make([]float32, 1), 1}, nil) },
		"shape":            func() { AvgPoolForward(p, Pool2D{}, 1, maps(16), maps(4)) },
		"mean":             func() { AvgPoolBackward(p, s, 2, maps(4), maps(32), false) },
		"pitch":            func() { ReLUForward(p, 1, 3, maps(16), maps(16)) },
		"gradient":         func() { SigmoidBackward(p, 5, 2, maps(5), maps(5), maps(4)) },
		"sum":              func() { AddMaps(p, 5, 2, maps(5), maps(4)) },
		"copy":             func() { CopyMaps(p, 5, 2, maps(4), maps(5)) },
		"planes":           func() { NCHWToMaps(p, 1, 2, 5, make([]float32, 9), maps(5)) },
		"maps":             func() { MapsToNCHW(p, 1, 2, 5, maps(4), make([]float32, 10)) },
		"rate":             func() { Dropout(p, 1, nil, nil, nil) },
		"mask":             func() { Dropout(p, 0.5, make([]uint8, 2), make([]float32, 3), make([]float32, 3)) },
		"velocity":         func() { Update(nil, SGD{Momentum: 1}, make([]float32, 2), nil, make([]float32, 2)) },
		"quotient":         func() { Divide(make([]float32, 2), make([]float32, 3), 1) },
		"normalisation":    func() { LRNForward(p, LRN{}, 1, 2, maps(1), maps(1)) },
		"centres":          func() { RBFForward(p, RBF{I: 2}, 1, make([]float32, 2), nil, nil) },
		"distances":        func() { RBFForward(p, RBF{I: 2, O: 1}, 1, make([]float32, 2), make([]float32, 2), nil) },
		"scales":           func() { AffineForward(p, 1, 2, maps(1), make([]float32, 1), make([]float32, 2), maps(1)) },
		"penalties":        func() { RightPenalty(p, 2, make([]float32, 3), []int32{1}, make([]float64, 1), nil) },
		"label":            func() { SoftmaxCrossEntropy(p, 2, make([]float32, 2), []int32{2}, make([]float64, 1), nil) },
		"number of labels": func() { SoftmaxCrossEntropy(p, 2, make([]float32, 4), []int32{1}, make([]float64, 1), nil) },
	} {
		mustPanic(t, name, f)
	}
}

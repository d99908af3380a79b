package nn

import "convoy/kernels"

// covers reports whether the kernel of a convolution s sees its whole input at
// once, as LeNet-5's C5 does: then it is a fully connected layer of the input's
// values, and the sums of one are many times faster than those of a convolution
// with one pixel.
func (l Conv) covers(s kernels.Conv) bool {
	return l.Table == nil && or(l.Groups, 1) == 1 && l.Pad == 0 && l.Kernel > 1 && s.H == l.Kernel && s.W == l.Kernel
}

// bindWhole binds a convolution whose kernel covers its input.
func (l Conv) bindWhole(b *binder, in Shape, s kernels.Conv) (operator, error) {
	p, flat := l.params(b, in), kernels.Linear{I: in.Len(), O: l.Out}
	w := &wholeConv{linear: linear{s: flat, plan: kernels.NewFullyConnected(flat), below: b.below, weights: p.weights, bias: p.bias}, in: in}
	w.kernel, w.stride = s.KH, s.StrideH
	return w, flat.Check()
}

// wholeConv turns its input into the vector that Flatten makes of it, whose order
// is that of the weights.
type wholeConv struct {
	linear
	in             Shape
	kernel, stride int

	x, gx  []float32
	vector kernels.Maps // x, in this pass
}

func (w *wholeConv) window() (int, int) { return w.kernel, w.stride }

func (w *wholeConv) memory(cuts []int) (packed, activations int) {
	packed, _ = w.linear.memory(cuts)
	return packed, 2 * floatBytes * cuts[len(cuts)-1] * w.in.Len()
}

func (w *wholeConv) forward(r *run, x, y kernels.Maps) {
	w.vector = r.maps(&w.x, flatten{w.in}.out())
	kernels.MapsToNCHW(r.pool, r.n, w.in.C, w.in.pixels(), x, w.vector.V)
	w.linear.forward(r, w.vector, y)
}

func (w *wholeConv) backward(r *run, _, y, gy, gx kernels.Maps, _ bool) {
	var vector kernels.Maps
	if w.below {
		vector = r.maps(&w.gx, flatten{w.in}.out())
	}
	w.linear.backward(r, w.vector, y, gy, vector, false)
	if w.below {
		kernels.NCHWToMaps(r.pool, r.n, w.in.C, w.in.pixels(), vector.V, gx)
	}
}

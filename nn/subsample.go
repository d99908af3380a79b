package nn

import "convoy/kernels"

// Subsample takes the sum of each window of 2×2, side by side, times a coefficient
// plus a bias; both are trained, one of each for a channel (LeCun, Bottou, Bengio
// and Haffner, "Gradient-based learning applied to document recognition", 1998,
// section II.B, layer S2). The squashing function behind it is a layer of its own.
// A last odd row or column is left out.
type Subsample struct {
	Max  bool // the maximum of the window takes the place of the sum
	Init Init // of the coefficients, of 4 inputs and 1 output each; unset: Xavier
}

func (l Subsample) String() string {
	if l.Max {
		return "Subsample 2×2, by maxima"
	}
	return "Subsample 2×2"
}

func (Subsample) kind() string { return "subsample" }

func (l Subsample) initialised(i Init) Layer {
	if l.Init == (Init{}) {
		l.Init = i
	}
	return l
}

// params takes the windows of the coefficients and the biases.
func (l Subsample) params(b *binder, in Shape) (scale, shift window) {
	w, z := l.Init.of(4, 1)
	return b.param("weight", w, in.C), b.param("bias", z, in.C)
}

func (l Subsample) bind(b *binder, in Shape) (operator, error) {
	geometry := pooling(in, 2, 2, 0)
	if err := geometry.Check(); err != nil {
		return nil, err
	}
	s := &subsample{shape: Shape{in.C, in.H / 2, in.W / 2}, factor: 4}
	s.pooling = &avgPool{s: geometry}
	if l.Max {
		s.pooling, s.factor = &maxPool{s: geometry}, 1
	}
	s.scale, s.shift = l.params(b, in)
	s.scales = make([]float32, in.C)
	return s, nil
}

// subsample computes with the means of the windows instead of their sums, and with
// four times the coefficients: powers of two, which round nothing.
type subsample struct {
	shape        Shape // of the output
	pooling      operator
	factor       float32 // of the coefficients
	scale, shift window

	scales []float32 // factor times the coefficients
	pooled []float32
	taken  kernels.Maps // from the windows, in this pass
}

func (s *subsample) out() Shape         { return s.shape }
func (s *subsample) traits() traits     { return traits{windows: true, adds: true} }
func (s *subsample) window() (int, int) { return 2, 2 }

func (s *subsample) memory(cuts []int) (packed, activations int) {
	if h, ok := s.pooling.(holder); ok {
		packed, activations = h.memory(cuts)
	}
	return packed, activations + floatBytes*cuts[len(cuts)-1]*s.shape.Len()
}

func (s *subsample) forward(r *run, x, y kernels.Maps) {
	s.taken = r.maps(&s.pooled, s.shape)
	s.pooling.forward(r, x, s.taken)
	for i, v := range s.scale.of(r.params) {
		s.scales[i] = s.factor * v
	}
	kernels.AffineForward(r.pool, r.n*s.shape.pixels(), s.shape.C, s.taken, s.scales, s.shift.of(r.params), y)
}

func (s *subsample) backward(r *run, x, _, gy, gx kernels.Maps, add bool) {
	scale := s.scale.of(r.grad)
	kernels.AffineBackward(r.pool, s.shape.pixels(), s.shape.C, s.taken, gy, s.scales, r.cuts, gy, scale, s.shift.of(r.grad))
	for i := range scale {
		scale[i] *= s.factor
	}
	s.pooling.backward(r, x, s.taken, gy, gx, add)
}

package kernels

import "convoy/tree"

// laneReference is the doc comment of Lanes written out, one example at a time.
type laneReference struct {
	stages []LaneStage
	w, b   [][]float32
}

// laneTrace is what one example leaves in one stage.
type laneTrace struct {
	x, full, mean, y []float32
	arg              []int
}

var laneActivations = map[Activation]struct {
	f, df func(x, g float32) float32
}{
	Identity:   {func(x, _ float32) float32 { return x }, func(_, g float32) float32 { return g }},
	ReLU:       {relu, reluBackward},
	Sigmoid:    {sigmoid, sigmoidBackward},
	Tanh:       {tanh, tanhBackward},
	ScaledTanh: {scaledTanh, scaledTanhBackward},
}

// laneTotal adds pieces in order.
type laneTotal struct {
	total float32
	any   bool
}

func (t *laneTotal) add(piece float32) {
	if t.any {
		piece = t.total + piece
	}
	t.total, t.any = piece, true
}

// sums is the convolution of one example before its bias.
func (s LaneStage) sums(x, w []float32) []float32 {
	c := s.Conv
	y := make([]float32, c.Out())
	channels := piece / (c.KH * c.KW)
	for o := range c.O {
		for i := range c.OutH() * c.OutW() {
			oh, ow := i/c.OutW(), i%c.OutW()
			var t laneTotal
			for first := 0; first < c.C; first += channels {
				var sum float32
				for ch := first; ch < min(first+channels, c.C); ch++ {
					for k := range c.KH * c.KW {
						v := c.pixel(x, ch, oh*c.StrideH+k/c.KW-c.PadH, ow*c.StrideW+k%c.KW-c.PadW)
						sum = fma(v, w[(o*c.C+ch)*c.KH*c.KW+k], sum)
					}
				}
				t.add(sum)
			}
			y[o*c.OutH()*c.OutW()+i] = t.total
		}
	}
	return y
}

// pixel is x at a place that may be outside.
func (c Conv) pixel(x []float32, ch, ih, iw int) float32 {
	if ih < 0 || iw < 0 || ih >= c.H || iw >= c.W {
		return 0
	}
	return x[(ch*c.H+ih)*c.W+iw]
}

// forward computes one stage of one example.
func (r *laneReference) forward(i int, x []float32) laneTrace {
	s := r.stages[i]
	act := laneActivations[s.Activation].f
	t := laneTrace{x: x, full: s.sums(x, r.w[i])}
	w, plane := s.Conv.OutW(), s.Conv.OutH()*s.Conv.OutW()
	if s.Pooling != MaxPooled {
		for j := range t.full {
			t.full[j] = act(t.full[j]+r.b[i][j/plane], 0)
		}
	}
	if s.Pooling == Unpooled {
		t.y = t.full
		return t
	}
	o, oh, ow := s.Out()
	for j := range o * oh * ow {
		at := j/(oh*ow)*plane + j/ow%oh*2*w + j%ow*2
		q := [4]int{at, at + 1, at + w, at + w + 1}
		if s.Pooling != MaxPooled {
			v := float32((t.full[q[0]]+t.full[q[1]])+(t.full[q[2]]+t.full[q[3]])) / 4
			t.mean, t.arg = append(t.mean, v), append(t.arg, at)
			if s.Pooling == Subsampled {
				b := r.b[i][s.Conv.O+j/(oh*ow):]
				v = laneActivations[s.After].f(float32(4*b[0]*v)+b[s.Conv.O], 0)
			}
			t.y = append(t.y, v)
			continue
		}
		best := q[0]
		for _, p := range q[1:] {
			if b, v := t.full[best], t.full[p]; v > b || v != v && b == b {
				best = p
			}
		}
		t.y, t.arg = append(t.y, act(t.full[best]+r.b[i][j/(oh*ow)], 0)), append(t.arg, best)
	}
	return t
}

// subsampled is the gradient of the means, and those of the coefficients and the
// shifts.
func (r *laneReference) subsampled(i int, t laneTrace, gy []float32) (gm, gb []float32) {
	s := r.stages[i]
	_, h, w := s.Out()
	var products, plain []float32
	for o := range s.Conv.O {
		var ps, ss laneTotal
		for row := range h {
			var p, sum float32
			for k := (o*h + row) * w; k < (o*h+row+1)*w; k++ {
				g := laneActivations[s.After].df(t.y[k], gy[k])
				p += float32(g * t.mean[k])
				sum += g
				gm = append(gm, g*(4*r.b[i][s.Conv.O+o]))
			}
			ps.add(p)
			ss.add(sum)
		}
		products, plain = append(products, 4*ps.total), append(plain, ss.total)
	}
	return gm, append(products, plain...)
}

// gradient is g of one stage of one example; pooled is that before routing.
func (r *laneReference) gradient(i int, t laneTrace, gy []float32) (g, pooled []float32) {
	s := r.stages[i]
	df := laneActivations[s.Activation].df
	g = make([]float32, s.Conv.Out())
	w := s.Conv.OutW()
	for j, v := range gy {
		switch s.Pooling {
		case Unpooled:
			g[j] = df(t.y[j], v)
		case MaxPooled:
			v = df(t.y[j], v)
			g[t.arg[j]] = v
		case AveragePooled, Subsampled:
			for _, q := range []int{0, 1, w, w + 1} {
				g[t.arg[j]+q] = df(t.full[t.arg[j]+q], v/4)
			}
		}
		pooled = append(pooled, v)
	}
	return g, pooled
}

// weights is the gradient of one example's weights and biases.
func (s LaneStage) weights(t laneTrace, g, pooled []float32) (gw, gb []float32) {
	c := s.Conv
	_, ph, pw := s.Out()
	h, w := c.OutH(), c.OutW()
	if s.Pooling != Unpooled {
		h, w = 2*ph, 2*pw
	}
	unit := h / ph // rows of the convolution that are cut together
	n := ceil(ph, max(1, 112/(unit*w)))
	sum := func(g []float32, h, w, pitch int, f func(oh, ow int) float32) float32 {
		var total laneTotal
		unit := h / ph
		for i := range n {
			var v float32
			for oh := unit * (ph * i / n); oh < unit*(ph*(i+1)/n); oh++ {
				for ow := range w {
					v = fma(g[oh*pitch+ow], f(oh, ow), v)
				}
			}
			total.add(v)
		}
		return total.total
	}
	for i := range c.Weights() {
		o, ch, kh, kw := i/(c.C*c.KH*c.KW), i/(c.KH*c.KW)%c.C, i/c.KW%c.KH, i%c.KW
		gw = append(gw, sum(g[o*c.OutH()*c.OutW():], h, w, c.OutW(), func(oh, ow int) float32 {
			return c.pixel(t.x, ch, oh*c.StrideH+kh-c.PadH, ow*c.StrideW+kw-c.PadW)
		}))
	}
	one := func(int, int) float32 { return 1 }
	for o := range c.O {
		if s.Pooling == MaxPooled {
			gb = append(gb, sum(pooled[o*ph*pw:], ph, pw, pw, one))
		} else {
			gb = append(gb, sum(g[o*c.OutH()*c.OutW():], h, w, c.OutW(), one))
		}
	}
	return gw, gb
}

// reach is the outputs from low to high that reach pixel i of the input or its
// neighbour, those from −1 to out.
func reach(i, size, kernel, stride, pad, out int) (low, high int) {
	q := (i + pad) % stride
	first := ((q-pad)%stride + stride) % stride
	count := (size - first + stride - 1) / stride
	n := (i - first) / stride // its place in the phase
	n = max(0, min(n&^1, count-2))
	left := first + n*stride
	low, high = out, 0
	for k := range kernel {
		for _, p := range []int{left, left + stride} {
			if at := p + pad - k; at >= 0 && at%stride == 0 && at/stride < out {
				low, high = min(low, at/stride), max(high, at/stride+1)
			}
		}
	}
	return low - 1, high + 1
}

// data is the gradient of one example's input.
func (s LaneStage) data(g, w []float32) []float32 {
	c := s.Conv
	_, h, wd := s.Out()
	if s.Pooling != Unpooled {
		h, wd = 2*h, 2*wd
	}
	gx := make([]float32, c.In())
	outputs := piece / (c.KH * c.KW)
	for i := range gx {
		ch, ih, iw := i/(c.H*c.W), i/c.W%c.H, i%c.W
		top, bottom := reach(ih, c.H, c.KH, c.StrideH, c.PadH, h)
		left, right := reach(iw, c.W, c.KW, c.StrideW, c.PadW, wd)
		var t laneTotal
		for first := 0; first < c.O; first += outputs {
			var sum float32
			for o := first; o < min(first+outputs, c.O); o++ {
				for oh := top; oh < bottom; oh++ {
					for ow := left; ow < right; ow++ {
						kh, kw := ih+c.PadH-oh*c.StrideH, iw+c.PadW-ow*c.StrideW
						if kh < 0 || kw < 0 || kh >= c.KH || kw >= c.KW || oh < 0 || ow < 0 || oh >= h || ow >= wd {
							continue // adds a zero, which the data of the tests does not show
						}
						sum = fma(g[(o*c.OutH()+oh)*c.OutW()+ow], w[((o*c.C+ch)*c.KH+kh)*c.KW+kw], sum)
					}
				}
			}
			t.add(sum)
		}
		gx[i] = t.total
	}
	return gx
}

// run computes outputs and gradients of n examples.
func (r *laneReference) run(cuts []int, x, gy []float32) (y []float32, gw, gb [][]float32) {
	n := cuts[len(cuts)-1]
	in, out := len(x)/n, len(gy)/n
	grads := make([][]float32, n) // of each example: all stages' gw and gb
	for e := range n {
		traces := make([]laneTrace, len(r.stages))
		v := x[e*in : (e+1)*in]
		for i := range r.stages {
			traces[i] = r.forward(i, v)
			v = traces[i].y
		}
		y = append(y, v...)
		g := gy[e*out : (e+1)*out]
		for i := len(r.stages) - 1; i >= 0; i-- {
			var more []float32
			if r.stages[i].Pooling == Subsampled {
				g, more = r.subsampled(i, traces[i], g)
			}
			conv, pooled := r.gradient(i, traces[i], g)
			w, b := r.stages[i].weights(traces[i], conv, pooled)
			grads[e] = append(append(append(grads[e], w...), b...), more...)
			g = r.stages[i].data(conv, r.w[i])
		}
	}
	sum := make([]float32, len(grads[0]))
	scratch := make([][]float32, len(cuts))
	for i := range scratch {
		scratch[i] = make([]float32, len(sum))
	}
	tree.Sum(tree.Node{Low: 0, High: len(cuts) - 1}, sum, scratch, func(m int, dst []float32) bool {
		micro := grads[cuts[m]:cuts[m+1]]
		for i := range dst {
			laneTreeOf(micro, i, dst)
		}
		return len(micro) > 0
	})
	gw, gb = make([][]float32, len(r.stages)), make([][]float32, len(r.stages))
	for i := len(r.stages) - 1; i >= 0; i-- {
		c := r.stages[i].Conv
		gw[i], sum = sum[:c.Weights()], sum[c.Weights():]
		n := r.stages[i].Biases()
		gb[i], sum = sum[:n], sum[n:]
	}
	return y, gw, gb
}

// laneTreeOf sums gradient i of a micro-batch's examples.
func laneTreeOf(micro [][]float32, i int, dst []float32) {
	scratch := [][]float32{make([]float32, 1), make([]float32, 1), make([]float32, 1), make([]float32, 1)}
	tree.Sum(tree.Node{Low: 0, High: lane}, dst[i:i+1], scratch, func(l int, to []float32) bool {
		var t laneTotal
		for e := l; e < len(micro); e += lane {
			t.add(micro[e][i])
		}
		to[0] = t.total
		return t.any
	})
}

func ceil(n, d int) int { return (n + d - 1) / d }

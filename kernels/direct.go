package kernels

// direct is the convolution by its definition: no operand is transformed, and
// there is no im2col matrix. In NHWC order the pixels under one row of the kernel
// are one contiguous run of KW·C numbers, so that the micro-kernels read the image
// where it is (after Georganas et al., "Anatomy of high-performance deep learning
// convolutions on SIMD architectures", 2018).
//
// How it rounds: Forward sums over (kh, kw, c) in that order, BackwardData over
// (oh, ow, o), for each input pixel's own kernel rows and columns. Where a run
// (KW·C, or the pixel's kernel columns times O) is at most 256 long, a piece is
// as many whole kernel rows as fit into 256, the rows spread evenly over the
// pieces; else each run is cut evenly into as few pieces as have at most 256.
// A piece is one FMA chain from +0; the pieces are added in order to the bias, or
// to what gx holds, or else to the first of them. Products with the zeros around
// an image count.
//
// BackwardWeights sums over a micro-batch's (n, oh, ow) in that order. With P =
// OutH·OutW products an example, a piece is 256/P whole examples, counted from
// the micro-batch's first. If P is above 256 it is whole output rows of one
// example, spread evenly over as few pieces as have at most 256 products; if
// OutW is above 256 too, each output row is cut evenly.
type direct struct {
	s       Conv
	isa     *isa
	forth   correlation
	back    []correlation // one for each phase of input pixels that the kernel reaches
	reached bool          // whether the phases are all there are
	filler  zeroJob
	weights weightGradient
	point   pointwiseGradient // in its place where it can be
}

func newDirect(s Conv) *direct {
	d := &direct{s: s, isa: active}
	d.forth = correlation{
		isa: active, channels: s.C, outputs: s.O, kh: s.KH, kw: s.KW,
		inH: s.H, inW: s.W, top: -s.PadH, left: -s.PadW, strideH: s.StrideH, strideW: s.StrideW,
		rows: s.OutH(), width: s.OutW(), out: lattice{s.OutH(), s.OutW(), 0, 0, 1, 1},
		weights: weightOrder{0, s.C * s.KH * s.KW, s.KH * s.KW, s.KW, 1},
	}
	d.forth.plan()
	for a := range s.StrideH {
		for b := range s.StrideW {
			if c, ok := phase(s, a, b); ok {
				d.back = append(d.back, c)
			}
		}
	}
	d.reached = len(d.back) == min(s.StrideH, s.H)*min(s.StrideW, s.W)
	d.weights = newWeightGradient(s)
	d.point = pointwiseGradient{s: s, isa: active}
	return d
}

// phase is backward-data for the input pixels (ih, iw) for which a =
// (ih+PadH) mod StrideH and b = (iw+PadW) mod StrideW: only the kernel's rows a,
// a+StrideH, … and columns b, b+StrideW, … reach them. With these, from the last
// to the first, it is a correlation of stride 1 over gy. ok is false if there are
// no such pixels, or no such rows or columns.
func phase(s Conv, a, b int) (c correlation, ok bool) {
	v, vOK := phaseLine(s.H, s.KH, s.StrideH, s.PadH, a)
	h, hOK := phaseLine(s.W, s.KW, s.StrideW, s.PadW, b)
	c = correlation{
		isa: active, channels: s.O, outputs: s.C, kh: v.taps, kw: h.taps,
		inH: s.OutH(), inW: s.OutW(), top: v.first, left: h.first, strideH: 1, strideW: 1,
		rows: v.n, width: h.n, out: lattice{s.H, s.W, v.to, h.to, s.StrideH, s.StrideW},
		weights: weightOrder{
			v.lastTap*s.KW + h.lastTap, s.KH * s.KW, s.C * s.KH * s.KW, -s.StrideH * s.KW, -s.StrideW,
		},
	}
	if !vOK || !hOK {
		return c, false
	}
	c.plan()
	return c, true
}

// A phaseOf is a phase along one axis.
type phaseOf struct {
	to, n         int // the first input position, and how many there are, a stride apart
	first         int // the first output position that reaches to
	taps, lastTap int // kernel positions, and the last of them
}

func phaseLine(size, kernel, stride, pad, a int) (l phaseOf, ok bool) {
	q := (pad - a + stride - 1) / stride // the first input position is q·stride+a−pad
	l.to = q*stride + a - pad
	if a >= kernel || l.to >= size {
		return l, false
	}
	l.n = (size-1-l.to)/stride + 1
	l.taps = (kernel-1-a)/stride + 1
	l.lastTap = a + (l.taps-1)*stride
	l.first = q - (l.taps - 1)
	return l, true
}

func (d *direct) name() string {
	if d.s.KH*d.s.KW == 1 {
		return "1×1"
	}
	return "direct"
}

func (d *direct) pack(p *Pool, w []float32, backward bool) {
	d.forth.pack(p, w)
	for i := range d.back {
		if backward {
			d.back[i].pack(p, w)
		}
	}
}

func (d *direct) forward(p *Pool, n int, x Maps, b []float32, relu bool, y Maps) {
	low := noLow
	if relu {
		low = 0
	}
	d.forth.run(p, n, x, y, b, low, false)
}

func (d *direct) backwardData(p *Pool, n int, gy, gx Maps, add bool) {
	if !d.reached && !add {
		d.filler = zeroJob{gx, d.s.H * d.s.W, d.s.C}
		p.run(n, &d.filler)
		d.filler = zeroJob{}
	}
	for i := range d.back {
		d.back[i].run(p, n, gy, gx, nil, noLow, add)
	}
}

func (d *direct) backwardWeights(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	if pointwise(d.s) && d.s.C%16 == 0 {
		d.point.run(p, x, gy, cuts, gw, gb)
		return
	}
	d.weights.run(p, x, gy, cuts, gw, gb)
}

func (d *direct) bytes([]int) int {
	n := d.forth.floats()
	for i := range d.back {
		n += d.back[i].floats()
	}
	return 4 * n
}

// A zeroJob writes zeros to maps, an example a task.
type zeroJob struct {
	m         Maps
	pixels, c int
}

func (j *zeroJob) do(_, task int) {
	for q := range j.pixels {
		clear(j.m.from(task*j.pixels + q).V[:j.c])
	}
}

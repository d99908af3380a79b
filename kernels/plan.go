package kernels

// A plan is the tables of one shape. Images are padded in scratch memory so that
// the inner loops have no branches; where nothing needs padding the images are
// read in place.
type plan struct {
	s         Conv
	k, pixels int // products of an output, outputs of a channel
	group     int // examples whose outputs are computed together

	image  padded  // of the input
	taps   []int32 // offset of k = (c, kh, kw) in the padded image
	pixel  []int32 // offset of (oh, ow), over group examples
	out    []int32 // where (example, oh, ow) is in the output, channel 0
	weight []int32 // 0 … K−1: where k is in a row of the weights

	sumGroup int     // examples in one chain of a weight's gradient
	sums     []int32 // offset of (example, oh, ow), over sumGroup examples
	sumsAt   []int32 // where it is in the gradient of the output, channel 0

	gradient padded  // of the output's gradient
	phases   []phase // for backward-data, made when first needed
}

// A phase is the input pixels whose position is the same modulo the strides: they
// meet the same weights.
type phase struct {
	weights []int32 // where (o, kh, kw) is in w, input channel 0
	taps    []int32 // its offset in the padded gradient
	pixel   []int32 // offset of each pixel of the phase, over group examples
	out     []int32 // where it is in gx, channel 0
}

// padded is an image [C][H][W] with zeros around it.
type padded struct {
	c, h, w                  int
	top, left, bottom, right int
}

func (d padded) rows() int     { return d.top + d.h + d.bottom }
func (d padded) cols() int     { return d.left + d.w + d.right }
func (d padded) size() int     { return d.c * d.rows() * d.cols() }
func (d padded) inPlace() bool { return d.top+d.left+d.bottom+d.right == 0 }

// copy writes images src, whole ones, padded into dst.
func (d padded) copy(src, dst []float32) {
	for len(src) > 0 {
		plane := dst[:d.rows()*d.cols()]
		dst = dst[len(plane):]
		clear(plane[:d.top*d.cols()])
		for i := range d.h {
			row := plane[(d.top+i)*d.cols():][:d.cols()]
			clear(row[:d.left])
			copy(row[d.left:], src[i*d.w:][:d.w])
			clear(row[d.left+d.w:])
		}
		clear(plane[(d.top+d.h)*d.cols():])
		src = src[d.h*d.w:]
	}
}

// enoughColumns is how many outputs of a channel are computed together at least,
// examples being grouped for it.
const enoughColumns = 12

func newPlan(s Conv) *plan {
	oh, ow := s.OutH(), s.OutW()
	p := &plan{s: s, k: s.C * s.KH * s.KW, pixels: oh * ow}
	p.group = (enoughColumns + p.pixels - 1) / p.pixels
	p.sumGroup = max(1, piece/p.pixels)
	p.image = padded{c: s.C, h: s.H, w: s.W, top: s.PadH, left: s.PadW, bottom: s.PadH, right: s.PadW}
	rows, cols := p.image.rows(), p.image.cols()
	for k := range p.k {
		kw, kh, c := k%s.KW, k/s.KW%s.KH, k/(s.KW*s.KH)
		p.taps = append(p.taps, int32((c*rows+kh)*cols+kw))
		p.weight = append(p.weight, int32(k))
	}
	offset := func(n, i int) int32 {
		return int32(n*p.image.size() + i/ow*s.StrideH*cols + i%ow*s.StrideW)
	}
	for n := range p.group {
		for i := range p.pixels {
			p.pixel = append(p.pixel, offset(n, i))
			p.out = append(p.out, int32(n*s.Out()+i))
		}
	}
	for n := range p.sumGroup {
		for i := range p.pixels {
			p.sums = append(p.sums, offset(n, i))
			p.sumsAt = append(p.sumsAt, int32(n*s.Out()+i))
		}
	}
	return p
}

// backward makes the tables of backward-data. An input pixel at ih meets the
// kernel's rows kh = first, first+StrideH, … with first = (ih+PadH) mod StrideH,
// at the output's rows oh, oh−1, … with oh = (ih+PadH−first)/StrideH.
func (p *plan) backward() {
	if p.phases != nil {
		return
	}
	s := p.s
	p.gradient = padded{
		c: s.O, h: s.OutH(), w: s.OutW(),
		top: above(s.KH, s.PadH, s.StrideH), bottom: below(s.H, s.PadH, s.StrideH, s.OutH()),
		left: above(s.KW, s.PadW, s.StrideW), right: below(s.W, s.PadW, s.StrideW, s.OutW()),
	}
	for h := range s.StrideH {
		for w := range s.StrideW {
			p.phases = append(p.phases, p.phase(h, w))
		}
	}
}

// above is how many rows before its first the gradient is read at.
func above(kernel, pad, stride int) int {
	return max(0, (kernel-1-pad+stride-1)/stride)
}

// below is how many rows after its last the gradient is read at.
func below(size, pad, stride, out int) int {
	return max(0, (size-1+pad)/stride-(out-1))
}

// phase makes the tables of the pixels that begin at kernel row h and column w.
func (p *plan) phase(h, w int) phase {
	s, d := p.s, p.gradient
	var f phase
	nh, nw := taps(s.KH, h, s.StrideH), taps(s.KW, w, s.StrideW)
	for i := range s.O * nh * nw {
		j, t, o := i%nw, i/nw%nh, i/(nw*nh)
		f.weights = append(f.weights, int32((o*s.C*s.KH+h+t*s.StrideH)*s.KW+w+j*s.StrideW))
		f.taps = append(f.taps, int32((o*d.rows()+nh-1-t)*d.cols()+nw-1-j))
	}
	for n := range p.backwardGroup() {
		for i := range s.H * s.W {
			ih, iw := i/s.W+s.PadH, i%s.W+s.PadW
			if ih%s.StrideH != h || iw%s.StrideW != w {
				continue
			}
			row, col := ih/s.StrideH+d.top-(nh-1), iw/s.StrideW+d.left-(nw-1)
			if nh == 0 || nw == 0 {
				row, col = 0, 0
			}
			f.pixel = append(f.pixel, int32(n*d.size()+row*d.cols()+col))
			f.out = append(f.out, int32(n*s.In()+i))
		}
	}
	return f
}

// taps is how many of the kernel's rows first, first+stride, … there are.
func taps(kernel, first, stride int) int {
	return max(0, (kernel-first+stride-1)/stride)
}

// backwardGroup is how many examples backward-data computes together.
func (p *plan) backwardGroup() int {
	pixels := p.s.H * p.s.W
	return (enoughColumns + pixels - 1) / pixels
}

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
	runs   []run   // of taps
	pixel  []int32 // offset of (oh, ow), over group examples
	out    []int32 // where (example, oh, ow) is in the output, channel 0
	weight []int32 // 0 … K−1: where k is in a row of the weights

	sumGroup int     // examples in one chain of a weight's gradient
	sums     []int32 // offset of (example, oh, ow), over sumGroup examples
	sumRuns  []run   // of all of sums
	sumsAt   []int32 // where it is in the gradient of the output, channel 0

	backward *backwardPlan // made when first needed
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
	p.runs, p.sumRuns = pieces(p.taps), pieces(p.sums)
	return p
}

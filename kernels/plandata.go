package kernels

// A backwardPlan is the tables of backward-data. Positions are alike along one
// axis if they meet the same positions of the kernel; the product of the two axes
// gives patches of pixels that meet the same weights. So nothing outside of the
// image is ever multiplied, and nothing needs padding.
type backwardPlan struct {
	group   int // examples computed together
	phases  [][]int32
	patches []patch
}

// A patch is the input pixels that are alike along both axes.
type patch struct {
	phase int     // of the operand that it meets
	runs  []run   // one for each row of the kernel, cut into pieces
	pixel []int32 // where its sums begin in gy, over group examples
	out   []int32 // where they go in gx, channel 0
}

// A band is the input positions i of one axis that are alike. Position i meets
// the kernel's positions first+t·stride for t from low to high, at the output's
// positions at[·]−t.
type band struct {
	first, low, high int
	pos, at          []int
}

// bands sorts the positions of one axis.
func bands(size, kernel, stride, pad, out int) []band {
	var all []band
next:
	for i := range size {
		first, at := (i+pad)%stride, (i+pad)/stride
		low := max(0, at-(out-1))
		high := min(taps(kernel, first, stride)-1, at)
		for j := range all {
			b := &all[j]
			if b.first == first && b.low == low && b.high == high {
				b.pos, b.at = append(b.pos, i), append(b.at, at)
				continue next
			}
		}
		all = append(all, band{first, low, high, []int{i}, []int{at}})
	}
	return all
}

// taps is how many of the kernel's positions first, first+stride, … there are.
func taps(kernel, first, stride int) int {
	return max(0, (kernel-first+stride-1)/stride)
}

func newBackwardPlan(s Conv) *backwardPlan {
	p := &backwardPlan{group: 3}
	if s.H*s.W < 4 {
		p.group = enoughColumns
	}
	for h := range s.StrideH {
		for w := range s.StrideW {
			p.phases = append(p.phases, phaseWeights(s, h, w))
		}
	}
	for _, h := range bands(s.H, s.KH, s.StrideH, s.PadH, s.OutH()) {
		for _, w := range bands(s.W, s.KW, s.StrideW, s.PadW, s.OutW()) {
			p.patches = append(p.patches, p.patch(s, h, w))
		}
	}
	return p
}

// phaseWeights is where (kh, kw, o) is in w, input channel 0, for the kernel's
// positions that begin at row h and column w.
func phaseWeights(s Conv, h, w int) []int32 {
	var weights []int32
	for kh := h; kh < s.KH; kh += s.StrideH {
		for kw := w; kw < s.KW; kw += s.StrideW {
			for o := range s.O {
				weights = append(weights, int32((o*s.C*s.KH+kh)*s.KW+kw))
			}
		}
	}
	return weights
}

func (p *backwardPlan) patch(s Conv, h, w band) patch {
	f := patch{phase: h.first*s.StrideW + w.first}
	cols, pixels := s.OutW(), s.OutH()*s.OutW()
	var off []int32
	for u := w.low; u <= w.high; u++ {
		for o := range s.O {
			off = append(off, int32(o*pixels+w.high-u))
		}
	}
	perRow := taps(s.KW, w.first, s.StrideW)
	for t := h.low; t <= h.high; t++ {
		for _, r := range pieces(off) {
			r.at += (t*perRow + w.low) * s.O
			r.shift = (h.high - t) * cols
			f.runs = append(f.runs, r)
		}
	}
	for n := range p.group {
		for i, ih := range h.pos {
			for j, iw := range w.pos {
				at := 0
				if len(f.runs) > 0 {
					at = n*s.Out() + (h.at[i]-h.high)*cols + w.at[j] - w.high
				}
				f.pixel = append(f.pixel, int32(at))
				f.out = append(f.out, int32(n*s.In()+ih*s.W+iw))
			}
		}
	}
	return f
}

package kernels

import "unsafe"

// A weightGradient is the direct convolution's backward-weights.
type weightGradient struct {
	s    Conv
	isa  *isa
	call weightCall
}

type weightCall struct {
	pool   *Pool
	x, gy  Maps
	cuts   []int
	gw, gb []float32
}

func newWeightGradient(s Conv) weightGradient { return weightGradient{s: s, isa: active} }

func (g *weightGradient) run(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	g.call = weightCall{p, x, gy, cuts, gw, gb}
	run := g.s.KW * g.s.C
	p.reserve(piece*(run+g.isa.cols) + (stackDepth(cuts)*(run+1))*g.isa.cols)
	panels := (g.s.O + g.isa.cols - 1) / g.isa.cols
	p.run(panels*g.s.KH, (*weightJob)(g))
	g.call = weightCall{}
}

// A weightJob computes one kernel row of a panel of outputs a task.
type weightJob weightGradient

var one = []float32{1}

func (j *weightJob) do(thread, task int) {
	g := (*weightGradient)(j)
	s, call := g.s, &g.call
	kh, o := task%s.KH, task/s.KH*g.isa.cols
	width := g.isa.cols
	if s.O-o <= 16 {
		width = 16
	}
	run := s.KW * s.C
	space := call.pool.space(thread, piece*(run+width)+(stackDepth(call.cuts)*(run+1))*width)
	a, b, stack := space[:piece*run], space[piece*run:][:piece*width], space[piece*(run+width):]
	size := (run + 1) * width
	var order treeOrder
	depth := 0
	for m := range len(call.cuts) - 1 {
		present := call.cuts[m] < call.cuts[m+1]
		if present {
			g.sum(&call.pool.locals[thread].tile, kh, o, width, call.cuts[m], call.cuts[m+1], a, b, stack[depth*size:][:size])
			depth++
		}
		for range order.after(present) {
			depth--
			addTo(stack[(depth-1)*size:][:size], stack[depth*size:][:size])
		}
	}
	for o1 := range min(width, s.O-o) {
		for kw := range s.KW {
			for c := range s.C {
				call.gw[(((o+o1)*s.C+c)*s.KH+kh)*s.KW+kw] = stack[(kw*s.C+c)*width+o1]
			}
		}
	}
	if call.gb != nil && kh == 0 {
		copy(call.gb[o:min(o+width, s.O)], stack[run*width:])
	}
}

// sum computes the sum over the examples from low to high.
func (g *weightGradient) sum(t *tile, kh, o, width, low, high int, a, b, block []float32) {
	s := g.s
	pixels := s.OutH() * s.OutW()
	first := low * pixels
	for p := low * pixels; p < high*pixels; {
		n := 0
		switch {
		case pixels <= piece:
			n = min(high*pixels-p, piece/pixels*pixels)
		case s.OutW() <= piece:
			rows := newPartition(s.OutH(), piece/s.OutW())
			for i := range rows.parts {
				if rows.from(i)*s.OutW() == p%pixels {
					n = (rows.from(i+1) - rows.from(i)) * s.OutW()
				}
			}
		default:
			parts := newPartition(s.OutW(), piece)
			for i := range parts.parts {
				if parts.from(i) == p%s.OutW() {
					n = parts.from(i+1) - parts.from(i)
				}
			}
		}
		g.piece(t, kh, o, width, p, n, p > first, a, b, block)
		p += n
	}
}

func (g *weightGradient) piece(t *tile, kh, o, width, p, n int, add bool, a, b, block []float32) {
	s, call := g.s, &g.call
	run := s.KW * s.C
	present := min(width, s.O-o)
	for i := range n {
		q := p + i
		example, oh, ow := q/(s.OutH()*s.OutW()), q/s.OutW()%s.OutH(), q%s.OutW()
		ih := oh*s.StrideH + kh - s.PadH
		for kw := range s.KW {
			iw := ow*s.StrideW + kw - s.PadW
			dst := a[i*run+kw*s.C:][:s.C]
			if ih < 0 || iw < 0 || ih >= s.H || iw >= s.W {
				clear(dst)
				continue
			}
			copy(dst, call.x.V[((example*s.H+ih)*s.W+iw)*call.x.Pitch:])
		}
		row := b[i*width:][:width]
		copy(row[:present], call.gy.V[q*call.gy.Pitch+o:])
		clear(row[present:])
	}
	*t = tile{
		aStep: uintptr(4 * run), b: unsafe.Pointer(&b[0]), bStep: uintptr(4 * width),
		cRow: uintptr(4 * width), initRow: uintptr(4 * width), k: uintptr(n), segs: 1, low: noLow,
	}
	tiles := newPartition(run, g.isa.rows)
	for i := range tiles.parts {
		r := tiles.from(i)
		t.a, t.c = unsafe.Pointer(&a[r]), unsafe.Pointer(&block[r*width])
		if add {
			t.init = t.c
		}
		g.isa.tileColumns[width/16][tiles.from(i+1)-r](t)
	}
	if kh == 0 {
		t.a, t.aStep, t.c = unsafe.Pointer(&one[0]), 0, unsafe.Pointer(&block[run*width])
		if add {
			t.init = t.c
		}
		g.isa.tileColumns[width/16][1](t)
	}
}

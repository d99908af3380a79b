package kernels

// convForward is the job of ConvForward: a task is some of the output channels of
// a group of examples.
type convForward struct {
	*plan
	w       operand
	x, b, y []float32
	n       int
	parts   int
	scratch []scratch
}

func (p *Pool) convForward(s Conv, n int, x, w, b, y []float32) {
	j := &p.ops.forward
	j.plan, j.n, j.x, j.b, j.y, j.scratch = p.plan(s), n, x, b, y, p.scratch
	j.w.reshape(s.O, j.k)
	j.w.src, j.w.rowStride, j.w.packOffset = w, j.k, j.weight
	j.w.packAll(p)
	groups := (n + j.group - 1) / j.group
	j.parts = p.parts(groups, j.w.panels())
	p.run(groups*j.parts, j)
}

func (j *convForward) do(thread, task int) {
	first, part := task/j.parts*j.group, task%j.parts
	n := min(j.group, j.n-first)
	c := columns{
		runs: j.runs, base: j.pixel[:n*j.pixels],
		dst: j.y[first*j.s.Out():], out: j.out, stride: j.pixels, bias: j.b,
	}
	c.x = j.image.of(j.x[first*j.s.In():(first+n)*j.s.In()], &j.scratch[thread])
	panels := j.w.panels()
	j.w.multiply(panels*part/j.parts, panels*(part+1)/j.parts, &c)
}

// of returns the images src padded, in the scratch memory if they need it.
func (d padded) of(src []float32, s *scratch) []float32 {
	if d.inPlace() {
		return src
	}
	s.image = grow(s.image, len(src)/(d.c*d.h*d.w)*d.size())
	d.copy(src, s.image)
	return s.image
}

// convBackwardData is the job of ConvBackwardData: a task is some of the input
// channels of a group of examples.
type convBackwardData struct {
	s      Conv
	tables *backwardPlan
	w      []operand // for each phase
	gy, gx []float32
	n      int
	parts  int
}

func (p *Pool) convBackwardData(s Conv, n int, gy, w, gx []float32) {
	j, t := &p.ops.backwardData, p.plan(s)
	if t.backward == nil {
		t.backward = newBackwardPlan(s)
	}
	j.s, j.tables, j.n, j.gy, j.gx = s, t.backward, n, gy, gx
	for len(j.w) < len(j.tables.phases) {
		j.w = append(j.w, operand{})
	}
	for i, weights := range j.tables.phases {
		a := &j.w[i]
		a.reshape(s.C, len(weights))
		a.src, a.rowStride, a.packOffset = w, s.KH*s.KW, weights
		a.packAll(p)
	}
	groups := (n + j.tables.group - 1) / j.tables.group
	j.parts = p.parts(groups, j.w[0].panels())
	p.run(groups*j.parts, j)
}

func (j *convBackwardData) do(_, task int) {
	group := j.tables.group
	first, part := task/j.parts*group, task%j.parts
	n := min(group, j.n-first)
	c := columns{x: j.gy[first*j.s.Out():], dst: j.gx[first*j.s.In():], stride: j.s.H * j.s.W}
	panels := j.w[0].panels()
	for i := range j.tables.patches {
		f := &j.tables.patches[i]
		pixels := len(f.pixel) / group
		c.runs, c.base, c.out = f.runs, f.pixel[:n*pixels], f.out
		j.w[f.phase].multiply(panels*part/j.parts, panels*(part+1)/j.parts, &c)
	}
}

package kernels

// A grouped is a convolution in groups: each is a convolution by itself, between
// windows of the channels of x and of y, with its own rows of the weights. The
// algorithm follows from a group's geometry. The groups come one after the other
// and each is shared out over all threads.
type grouped struct {
	s      Conv // of one group
	groups []algorithm
}

// newGroups plans s with what choose gives for one group.
func newGroups(s Conv, choose func(s Conv) algorithm) algorithm {
	if s.groups() == 1 {
		return choose(s.group())
	}
	g := &grouped{s: s.group()}
	for range s.Groups {
		g.groups = append(g.groups, choose(g.s))
	}
	return g
}

// input and output are the windows of a group in maps of all channels.
func (g *grouped) input(m Maps, i int) Maps { return m.Window(i * g.s.C) }

func (g *grouped) output(m Maps, i int) Maps { return m.Window(i * g.s.O) }

// bias is a group's part of a vector of all outputs; nil where there is none.
func (g *grouped) bias(b []float32, i int) []float32 {
	if b == nil {
		return nil
	}
	return plane(b, i, g.s.O)
}

func (g *grouped) name() string { return g.groups[0].name() }

func (g *grouped) pack(p *Pool, w []float32, backward bool) {
	for i, a := range g.groups {
		a.pack(p, plane(w, i, g.s.Weights()), backward)
	}
}

func (g *grouped) forward(p *Pool, n int, x Maps, b []float32, relu bool, y Maps) {
	if n == 0 {
		return // maps of nothing have no windows
	}
	for i, a := range g.groups {
		a.forward(p, n, g.input(x, i), g.bias(b, i), relu, g.output(y, i))
	}
}

func (g *grouped) backwardData(p *Pool, n int, gy, gx Maps, add bool) {
	if n == 0 {
		return
	}
	for i, a := range g.groups {
		a.backwardData(p, n, g.output(gy, i), g.input(gx, i), add)
	}
}

func (g *grouped) backwardWeights(p *Pool, x, gy Maps, cuts []int, gw, gb []float32) {
	for i, a := range g.groups {
		a.backwardWeights(p, g.input(x, i), g.output(gy, i), cuts, plane(gw, i, g.s.Weights()), g.bias(gb, i))
	}
}

func (g *grouped) bytes(cuts []int) int { return len(g.groups) * g.groups[0].bytes(cuts) }

package kernels

import "testing"

// Plans allocate in their first step alone.
func TestPlansAllocateNothing(t *testing.T) {
	p := newPool(t, 2)
	for _, s := range []Conv{
		squareConv(3, 9, 20, 3, 2, 1),
		squareConv(16, 6, 33, 1, 1, 0),
		squareConv(5, 6, 40, 5, 1, 2),
		{C: 10, H: 6, W: 6, O: 34, KH: 3, KW: 3, StrideH: 1, StrideW: 1, Groups: 2},
	} {
		checkPlanAllocations(t, p, s, NewConvolution(s, true))
	}
	for _, fused := range []bool{false, true} {
		s := squareConv(16, 9, 33, 3, 1, 1)
		checkPlanAllocations(t, p, s, newWinogradPlan(s, fused, fused))
	}
	for _, s := range []Linear{{40, 30}, {1024, 70}} {
		const n = 9
		l := NewFullyConnected(s)
		z := noise(1)
		x, y, w, b := z.floats(n*s.I), z.floats(n*s.O), z.floats(s.Weights()), z.floats(s.O)
		gx, gw, gb := stale(n*s.I), stale(len(w)), stale(s.O)
		cuts, absent := []int{0, 2, 4, 6, n}, []int{0, 2, 2, 6, n}
		checkAllocations(t, name(s), func() {
			l.Forward(p, n, x, w, b, true, y)
			l.BackwardData(p, n, y, w, gx)
			l.BackwardWeights(p, x, y, cuts, gw, gb)
			l.BackwardWeights(p, x, y, absent, gw, gb)
		})
	}
}

// checkAllocations takes the least of some measurements: the runtime's own
// allocations get into one now and then.
func checkAllocations(t *testing.T, name string, step func()) {
	t.Helper()
	step()
	least := testing.AllocsPerRun(5, step)
	for i := 0; i < 5 && least > 0; i++ {
		least = min(least, testing.AllocsPerRun(5, step))
	}
	if least > 0 {
		t.Errorf("%s: %g allocations a step", name, least)
	}
}

func TestPlansRefuseWhatDoesNotFit(t *testing.T) {
	p := newPool(t, 1)
	f := func(n int) []float32 { return make([]float32, n) }
	s := squareConv(2, 5, 3, 3, 1, 1)
	m := func(n, c int) Maps { return Maps{f(n), c} }
	c := NewConvolution(s, true)
	mustPanic(t, "bad shape", func() { NewConvolution(Conv{}, true) })
	mustPanic(t, "short w", func() { c.Pack(p, f(s.Weights()-1), true) })
	c.Pack(p, f(s.Weights()), true)
	mustPanic(t, "short x", func() { c.Forward(p, 1, m(s.In()-1, 2), nil, false, m(s.Out(), 3)) })
	mustPanic(t, "window of x", func() { c.Forward(p, 1, m(2*s.In(), 4), nil, false, m(s.Out(), 3)) })
	mustPanic(t, "short b", func() { c.Forward(p, 1, m(s.In(), 2), f(2), false, m(s.Out(), 3)) })
	mustPanic(t, "short y", func() { c.Forward(p, 1, m(s.In(), 2), nil, false, m(s.Out()-1, 3)) })
	mustPanic(t, "narrow gy", func() { c.BackwardData(p, 1, m(s.Out(), 2), m(s.In(), 2), false) })
	mustPanic(t, "short gx", func() { c.BackwardData(p, 1, m(s.Out(), 3), m(1, 2), false) })
	mustPanic(t, "short gw", func() { c.BackwardWeights(p, m(s.In(), 2), m(s.Out(), 3), []int{0, 1}, f(1), nil) })
	mustPanic(t, "short gb", func() { c.BackwardWeights(p, m(s.In(), 2), m(s.Out(), 3), []int{0, 1}, f(s.Weights()), f(1)) })
	for name, cuts := range map[string][]int{
		"no cuts": nil, "one cut": {0}, "three micro-batches": {0, 1, 2, 2}, "backwards": {0, 3, 2}, "late": {1, 2}, "no example": {0, 0},
	} {
		mustPanic(t, name, func() { c.BackwardWeights(p, m(2*s.In(), 2), m(2*s.Out(), 3), cuts, f(s.Weights()), nil) })
	}

	l := NewFullyConnected(Linear{4, 3})
	mustPanic(t, "bad layer", func() { NewFullyConnected(Linear{}) })
	mustPanic(t, "short input", func() { l.Forward(p, 1, f(3), f(12), nil, false, f(3)) })
	mustPanic(t, "short weights", func() { l.Forward(p, 1, f(4), f(11), nil, false, f(3)) })
	mustPanic(t, "short bias", func() { l.Forward(p, 1, f(4), f(12), f(2), false, f(3)) })
	mustPanic(t, "long output", func() { l.Forward(p, 1, f(4), f(12), nil, false, f(4)) })
	mustPanic(t, "short gradient", func() { l.BackwardData(p, 1, f(2), f(12), f(4)) })
	mustPanic(t, "short input gradient", func() { l.BackwardData(p, 1, f(3), f(12), f(3)) })
	mustPanic(t, "short weight gradient", func() { l.BackwardWeights(p, f(4), f(3), []int{0, 1}, f(11), nil) })
}

func TestShapes(t *testing.T) {
	good := squareConv(3, 9, 5, 3, 2, 1)
	for _, change := range []func(*Conv){
		func(s *Conv) { s.C = 0 },
		func(s *Conv) { s.KW = 0 },
		func(s *Conv) { s.StrideH = 0 },
		func(s *Conv) { s.PadW = -1 },
		func(s *Conv) { s.KH = 15 },
		func(s *Conv) { s.O = 1 << 31 },
		func(s *Conv) { s.Groups = 3 }, // divides the channels alone
		func(s *Conv) { s.Groups = 5 },
		func(s *Conv) { s.Groups = -1 },
		func(s *Conv) { s.C = 1 << 24 },
	} {
		bad := good
		change(&bad)
		if bad.Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	for _, bad := range []Linear{{}, {1, 0}, {1 << 16, 1 << 16}} {
		if bad.Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if err := (Linear{4096, 4096}).Check(); err != nil {
		t.Error(err)
	}
}

func TestPartition(t *testing.T) {
	for n := 1; n < 40; n++ {
		for limit := 1; limit < 12; limit++ {
			p := newPartition(n, limit)
			at := 0
			for i := range p.parts {
				from, size := p.part(i)
				if from != at || size < 1 || size > limit || size > p.longest() || p.at(from) != i {
					t.Fatalf("part %d of %+v is %d long from %d", i, p, size, from)
				}
				at += size
			}
			if at != n {
				t.Fatalf("%+v ends at %d", p, at)
			}
		}
	}
}

// checkPlanAllocations checks the three directions of plan.
func checkPlanAllocations(t *testing.T, p *Pool, s Conv, c *Convolution) {
	t.Helper()
	const n = 8
	z := noise(1)
	x, y := Maps{z.floats(n * s.In()), s.C}, Maps{z.floats(n * s.Out()), s.O}
	w, b, cuts := z.floats(s.Weights()), z.floats(s.O), []int{0, 2, 4, 6, 8}
	gx, gw, gb := Maps{stale(n * s.In()), s.C}, stale(len(w)), stale(s.O)
	checkAllocations(t, name(s), func() {
		c.Pack(p, w, true)
		c.Forward(p, n, x, b, true, y)
		c.BackwardData(p, n, y, gx, false)
		c.BackwardWeights(p, x, y, cuts, gw, gb)
	})
}

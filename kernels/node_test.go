package kernels

import (
	"fmt"
	"testing"

	"convoy/tree"
)

// The gradient of a node is the same to the bit whether it is computed at once or
// added up from its children's.
func TestNodeIsSumOfChildren(t *testing.T) { eachImpl(t, testNodeIsSumOfChildren) }

func testNodeIsSumOfChildren(t *testing.T) {
	for _, s := range []Conv{
		{C: 2, H: 7, W: 6, O: 5, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
		{C: 1, H: 18, W: 18, O: 3, KH: 2, KW: 2, StrideH: 1, StrideW: 1},
		Linear{30, 7}.conv(),
	} {
		for _, cuts := range [][]int{
			{0, 3, 6, 9, 12, 15, 18, 21, 24},
			{0, 3, 3, 6, 6, 6, 6, 6, 7},
			{0, 0, 0, 0, 0, 0, 1, 1, 1},
			{0, 5, 5},
			{0, 2},
		} {
			t.Run(fmt.Sprintf("%+v, cuts %v", s, cuts), func(t *testing.T) { checkNode(t, s, cuts) })
		}
	}
}

func checkNode(t *testing.T, s Conv, cuts []int) {
	n := cuts[len(cuts)-1]
	z := noise(11)
	x, gy := z.sparse(n*s.In()), z.floats(n*s.Out())
	p := newPool(t, 2)
	// node is the gradient of the micro-batches from low to high, ok is false if
	// they are absent.
	var node func(low, high int, whole bool) (gw, gb []float32, ok bool)
	node = func(low, high int, whole bool) (gw, gb []float32, ok bool) {
		if cuts[low] == cuts[high] {
			return nil, nil, false
		}
		if whole || high-low == 1 {
			shifted := make([]int, 0, high-low+1)
			for _, c := range cuts[low : high+1] {
				shifted = append(shifted, c-cuts[low])
			}
			gw, gb = stale(s.Weights()), stale(s.O)
			ConvBackwardWeights(p, s, x[cuts[low]*s.In():cuts[high]*s.In()], gy[cuts[low]*s.Out():cuts[high]*s.Out()], shifted, gw, gb)
			return gw, gb, true
		}
		mid := (low + high) / 2
		gw, gb, ok = node(low, mid, false)
		rw, rb, right := node(mid, high, false)
		switch {
		case !ok:
			return rw, rb, right
		case right:
			tree.Add(gw, rw)
			tree.Add(gb, rb)
		}
		return gw, gb, true
	}
	for width := 2; width < len(cuts); width *= 2 {
		for low := 0; low+width < len(cuts); low += width {
			w1, b1, ok := node(low, low+width, true)
			w2, b2, _ := node(low, low+width, false)
			if ok {
				sameBits(t, fmt.Sprintf("gw of [%d,%d)", low, low+width), w1, w2)
				sameBits(t, fmt.Sprintf("gb of [%d,%d)", low, low+width), b1, b2)
			}
		}
	}
}

// A gradient that is computed some output channels at a time, because the sums of
// its micro-batches would take too much memory, has the same bits.
func TestGradientInRounds(t *testing.T) {
	s, n := Conv{C: 300, H: 3, W: 3, O: 70, KH: 3, KW: 3, StrideH: 1, StrideW: 1}, 9
	cuts := []int{0, 1, 2, 4, 5, 5, 6, 8, 9}
	if 8*s.Weights() < leafFloats {
		t.Fatalf("%d floats fit into one round", 8*s.Weights())
	}
	z := noise(2)
	x, gy := z.floats(n*s.In()), z.floats(n*s.Out())
	gw, gb, want, wantB := stale(s.Weights()), stale(s.O), stale(s.Weights()), stale(s.O)
	referenceConvBackwardWeights(s, x, gy, cuts, want, wantB)
	eachPool(func(p *Pool) {
		ConvBackwardWeights(p, s, x, gy, cuts, gw, gb)
		sameBits(t, "gw", gw, want)
		sameBits(t, "gb", gb, wantB)
	})
}

func TestPanics(t *testing.T) {
	p := newPool(t, 1)
	s := convs[2]
	f := func(n int) []float32 { return make([]float32, n) }
	mustPanic(t, "bad shape", func() { ConvForward(p, Conv{}, nil, nil, nil, nil) })
	mustPanic(t, "short x", func() { ConvForward(p, s, f(s.In()-1), f(s.Weights()), nil, f(s.Out())) })
	mustPanic(t, "short w", func() { ConvForward(p, s, f(s.In()), f(s.Weights()-1), nil, f(s.Out())) })
	mustPanic(t, "short b", func() { ConvForward(p, s, f(s.In()), f(s.Weights()), f(1), f(s.Out())) })
	mustPanic(t, "long y", func() { ConvForward(p, s, f(s.In()), f(s.Weights()), nil, f(2*s.Out())) })
	mustPanic(t, "short gx", func() { ConvBackwardData(p, s, f(s.Out()), f(s.Weights()), f(1)) })
	for name, cuts := range map[string][]int{
		"no cuts": nil, "one cut": {0}, "three micro-batches": {0, 1, 2, 2}, "backwards": {0, 3, 2}, "short": {0, 1}, "late": {1, 2},
	} {
		mustPanic(t, name, func() {
			ConvBackwardWeights(p, s, f(2*s.In()), f(2*s.Out()), cuts, f(s.Weights()), nil)
		})
	}
	mustPanic(t, "no example", func() { ConvBackwardWeights(p, s, nil, nil, []int{0, 0}, f(s.Weights()), nil) })
	mustPanic(t, "short y", func() { ReLUForward(p, f(2), f(1)) })
	mustPanic(t, "short arg", func() { MaxPoolForward(p, pools[1], f(pools[1].In()), f(pools[1].Out()), nil) })
	mustPanic(t, "label", func() { SoftmaxCrossEntropy(p, 2, f(2), []int32{2}, make([]float64, 1), nil) })
}

func TestCheck(t *testing.T) {
	good := convs[2]
	for _, change := range []func(*Conv){
		func(s *Conv) { s.C = 0 },
		func(s *Conv) { s.KW = 0 },
		func(s *Conv) { s.StrideH = 0 },
		func(s *Conv) { s.PadW = -1 },
		func(s *Conv) { s.KH = 15 },
		func(s *Conv) { s.O = 1 << 31 },
		func(s *Conv) { s.C = 1 << 24 },
	} {
		bad := good
		change(&bad)
		if bad.Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	for _, bad := range []Pool2D{
		{},
		{C: 1, H: 4, W: 4, KH: 2, KW: 2, StrideH: 1},
		{C: 1, H: 4, W: 4, KH: 5, KW: 2, StrideH: 1, StrideW: 1},
		{C: 1, H: 4, W: 4, KH: 2, KW: 2, StrideH: 1, StrideW: 1, PadH: 2},
		{C: 1, H: 4, W: 4, StrideH: 1, StrideW: 1},
	} {
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

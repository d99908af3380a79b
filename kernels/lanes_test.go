package kernels

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// laneCase is a run of stages and the examples for it.
type laneCase struct {
	name   string
	stages []LaneStage
	cuts   []int
}

func lenetStages(a Activation, p Pooling) []LaneStage {
	return []LaneStage{
		{Conv{C: 1, H: 28, W: 28, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2}, a, p, Identity},
		{Conv{C: 6, H: 14, W: 14, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1}, a, p, Identity},
	}
}

var lenet5Stages = []LaneStage{
	{Conv{C: 1, H: 14, W: 12, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1}, ScaledTanh, Subsampled, ScaledTanh},
	{Conv{C: 6, H: 5, W: 4, O: 16, KH: 3, KW: 3, StrideH: 1, StrideW: 1}, ScaledTanh, Subsampled, ScaledTanh},
}

// laneStages builds stages on images of c×h×w; each is O, KH, KW, StrideH,
// StrideW, PadH, PadW.
func laneStages(c, h, w int, a []Activation, p []Pooling, convs ...[7]int) []LaneStage {
	var stages []LaneStage
	for i, k := range convs {
		s := LaneStage{Conv{
			C: c, H: h, W: w, O: k[0], KH: k[1], KW: k[2], StrideH: k[3], StrideW: k[4], PadH: k[5], PadW: k[6],
		}, a[i%len(a)], p[i%len(p)], a[(i+1)%len(a)]}
		stages = append(stages, s)
		c, h, w = s.Out()
	}
	return stages
}

var laneCases = []laneCase{
	{"LeNet, ReLU and max", lenetStages(ReLU, MaxPooled), []int{0, 1, 2}},
	{"LeNet, sigmoid and average", lenetStages(Sigmoid, AveragePooled), []int{0, 2}},
	{"3×3", laneStages(2, 6, 6, []Activation{ReLU}, []Pooling{Unpooled}, [7]int{3, 3, 3, 1, 1, 1, 1}, [7]int{2, 3, 3, 1, 1, 1, 1}), []int{0, 3}},
	{"max", laneStages(1, 9, 8, []Activation{ReLU, Identity}, []Pooling{MaxPooled}, [7]int{7, 3, 2, 1, 1, 1, 0}, [7]int{4, 2, 3, 1, 1, 0, 1}), []int{0, 2, 5}},
	{"average", laneStages(1, 8, 9, []Activation{Sigmoid, Tanh}, []Pooling{AveragePooled}, [7]int{4, 2, 3, 1, 1, 1, 1}, [7]int{5, 3, 3, 1, 1, 1, 1}), []int{0, 1, 1, 2, 4}},
	{"tanh, max", laneStages(1, 6, 6, []Activation{Tanh, Sigmoid}, []Pooling{MaxPooled, Unpooled}, [7]int{2, 3, 3, 1, 1, 1, 1}, [7]int{2, 3, 3, 1, 1, 1, 1}), []int{0, 2}},
	{"scaled tanh", laneStages(1, 6, 7, []Activation{ScaledTanh}, []Pooling{AveragePooled, Unpooled}, [7]int{4, 2, 3, 1, 1, 1, 1}, [7]int{5, 3, 3, 1, 1, 1, 1}), []int{0, 3}},
	{"subsampled", laneStages(1, 9, 10, []Activation{ScaledTanh, ReLU, Sigmoid}, []Pooling{Subsampled}, [7]int{5, 2, 3, 1, 1, 0, 1}, [7]int{4, 3, 2, 1, 1, 1, 1}), []int{0, 2, 5}},
	{"LeNet-5's beginning", lenet5Stages, []int{0, 1, 19}},
	{"strides", laneStages(2, 11, 10, []Activation{Identity}, []Pooling{Unpooled}, [7]int{3, 3, 2, 2, 1, 1, 0}, [7]int{2, 3, 4, 2, 3, 1, 2}, [7]int{3, 1, 1, 2, 2, 0, 0}), []int{0, 3}},
	{"strides beyond the kernel", laneStages(1, 9, 9, []Activation{ReLU}, []Pooling{Unpooled, MaxPooled}, [7]int{2, 1, 1, 1, 1, 0, 0}, [7]int{3, 1, 2, 2, 3, 0, 0}), []int{0, 2}},
	{"pieces of channels", laneStages(3, 10, 9, []Activation{ReLU, Identity}, []Pooling{MaxPooled, Unpooled}, [7]int{5, 11, 11, 1, 1, 4, 5}, [7]int{6, 1, 11, 1, 1, 0, 5}), []int{0, 1}},
	{"pieces, odd", laneStages(2, 5, 5, []Activation{Identity, ReLU}, []Pooling{Unpooled, MaxPooled}, [7]int{3, 15, 15, 1, 1, 7, 7}, [7]int{2, 15, 15, 1, 1, 7, 7}), []int{0, 1}},
	{"pieces of rows", laneStages(1, 3, 140, []Activation{Identity}, []Pooling{Unpooled, AveragePooled}, [7]int{2, 2, 3, 1, 1, 0, 1}, [7]int{1, 1, 6, 1, 1, 0, 0}), []int{0, 1}},
	{"one pixel", laneStages(3, 4, 3, []Activation{ReLU}, []Pooling{Unpooled}, [7]int{2, 4, 3, 1, 1, 0, 0}, [7]int{3, 1, 1, 1, 1, 0, 0}), []int{0, 2}},
	{"one row, one column", laneStages(1, 3, 5, []Activation{ReLU}, []Pooling{Unpooled}, [7]int{2, 3, 1, 1, 1, 0, 0}, [7]int{2, 1, 3, 1, 1, 0, 1}, [7]int{2, 1, 5, 1, 1, 0, 0}), []int{0, 2}},
	{"seventeen", laneStages(1, 4, 4, []Activation{Sigmoid}, []Pooling{AveragePooled}, [7]int{2, 3, 3, 1, 1, 1, 1}), []int{0, 17}},
	{"groups", laneStages(1, 2, 3, []Activation{Identity}, []Pooling{Unpooled}, [7]int{2, 1, 2, 1, 1, 0, 0}), []int{0, 35, 35, 46, 78}},
	{"halves", laneStages(1, 3, 2, []Activation{Identity}, []Pooling{Unpooled}, [7]int{2, 2, 1, 1, 1, 0, 0}), []int{0, 7, 15, 15, 20, 21, 29, 34, 40}},
	{"quarters", laneStages(1, 3, 2, []Activation{Identity}, []Pooling{Unpooled}, [7]int{2, 2, 1, 1, 1, 0, 0}), []int{0, 3, 7, 7, 10, 14, 15, 18, 22}},
	{"ones", laneStages(1, 3, 2, []Activation{Identity}, []Pooling{Unpooled}, [7]int{2, 2, 1, 1, 1, 0, 0}), []int{0, 1, 2, 2, 3, 3, 3, 4, 5}},
}

func TestLanes(t *testing.T) {
	for _, c := range laneCases {
		if testing.Short() && strings.HasPrefix(c.name, "LeNet") {
			continue // seconds under emulation
		}
		t.Run(c.name, func(t *testing.T) { checkLanes(t, c, 1) })
	}
}

// checkLanes compares every implementation and number of threads with the
// reference.
func checkLanes(t *testing.T, c laneCase, seed uint32) {
	z := noise(seed)
	n := c.cuts[len(c.cuts)-1]
	r := &laneReference{stages: c.stages}
	for _, s := range c.stages {
		r.w, r.b = append(r.w, z.floats(s.Conv.Weights())), append(r.b, z.floats(s.Biases()))
	}
	o, h, w := c.stages[len(c.stages)-1].Out()
	x, gy := z.sparse(n*c.stages[0].Conv.In()), z.floats(n*o*h*w)
	wantY, wantW, wantB := r.run(c.cuts, x, gy)
	eachImpl(t, func(t *testing.T) {
		for _, threads := range []int{1, 2, 3} {
			p := newPool(t, threads)
			l := NewLanes(c.stages)
			for range 2 { // the second time with what the first left
				y := stale(n * o * h * w)
				var gw, gb [][]float32
				for _, s := range c.stages {
					gw, gb = append(gw, stale(s.Conv.Weights())), append(gb, stale(s.Biases()))
				}
				l.Pack(r.w, true)
				l.Forward(p, c.cuts, x, r.b, y)
				sameBits(t, "y", y, wantY)
				l.Backward(p, gy, gw, gb)
				for i := range gw {
					sameBits(t, fmt.Sprintf("gb of stage %d", i), gb[i], wantB[i])
					sameBits(t, fmt.Sprintf("gw of stage %d", i), gw[i], wantW[i])
				}
			}
		}
	})
}

// FuzzLanes tries stages of any shape that Fits.
func FuzzLanes(f *testing.F) {
	f.Add(uint32(1), uint8(1), uint8(7), uint8(6), uint8(5), uint8(3), uint8(3), uint8(1), uint8(1), uint8(3))
	f.Add(uint32(7), uint8(3), uint8(5), uint8(9), uint8(7), uint8(5), uint8(2), uint8(2), uint8(0), uint8(11))
	f.Add(uint32(29), uint8(16), uint8(4), uint8(4), uint8(16), uint8(5), uint8(4), uint8(1), uint8(2), uint8(2))
	f.Add(uint32(40), uint8(2), uint8(12), uint8(3), uint8(13), uint8(1), uint8(3), uint8(3), uint8(1), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint32, c, h, w, o, kh, kw, stride, pad, n uint8) {
		act, pool := Activation(seed%5), Pooling(seed/5%4)
		conv := Conv{
			C: int(c%16) + 1, H: int(h%12) + 1, W: int(w%12) + 1, O: int(o%16) + 1, KH: int(kh%7) + 1, KW: int(kw%7) + 1,
			StrideH: int(stride%3) + 1, StrideW: int(stride/3%3) + 1, PadH: int(pad % 4), PadW: int(pad / 4 % 4),
		}
		stages := []LaneStage{{conv, act, pool, Activation(seed / 20 % 5)}}
		if !stages[0].Fits() || conv.FLOPs() > 1e6 {
			t.Skip()
		}
		o2, h2, w2 := stages[0].Out()
		second := LaneStage{Conv{
			C: o2, H: h2, W: w2, O: int(kw%5) + 1, KH: min(h2, int(c%3)+1), KW: min(w2, int(o%4)+1),
			StrideH: int(seed/16%2) + 1, StrideW: int(seed/32%2) + 1, PadH: int(seed / 64 % 2), PadW: int(seed / 128 % 2),
		}, Activation(seed / 256 % 5), Pooling(seed / 1024 % 4), Activation(seed / 4096 % 5)}
		if second.Fits() && second.Conv.FLOPs() <= 1e6 {
			stages = append(stages, second)
		}
		checkLanes(t, laneCase{stages: stages, cuts: cutsFrom(int(n%20)+1, seed)}, seed)
	})
}

// TestLanesKeepNaN: a NaN in a window is its maximum, on any path.
func TestLanesKeepNaN(t *testing.T) {
	nan := float32(math.NaN())
	stages := []LaneStage{{Conv{C: 1, H: 2, W: 2, O: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1}, Identity, MaxPooled, Identity}}
	eachImpl(t, func(t *testing.T) {
		p, l := newPool(t, 1), NewLanes(stages)
		l.Pack([][]float32{{1}}, false)
		for place := range 4 {
			x, y := []float32{3, 2, 1, 0}, stale(1)
			x[place] = nan
			l.Forward(p, []int{0, 1}, x, [][]float32{{0}}, y)
			if y[0] == y[0] {
				t.Errorf("the maximum of %v is %v", x, y[0])
			}
			if arg := l.stages[0].arg.row(0, 0, 0)[0]; arg != float32(place) {
				t.Errorf("the place of the maximum of %v is %v", x, arg)
			}
		}
	})
}

// The bits of a node do not depend on how it is divided: the halves' gradients
// add up to it.
func TestLanesNodeIsSumOfChildren(t *testing.T) {
	stages := laneStages(1, 6, 6, []Activation{Sigmoid}, []Pooling{AveragePooled}, [7]int{3, 3, 3, 1, 1, 1, 1})
	const n = 29
	z := noise(5)
	s := stages[0]
	o, h, w := s.Out()
	weights, bias, x, gy := z.floats(s.Conv.Weights()), z.floats(s.Conv.O), z.floats(n*s.Conv.In()), z.floats(n*o*h*w)
	p := newPool(t, 2)
	gradient := func(cuts ...int) []float32 {
		first, last := cuts[0], cuts[len(cuts)-1]
		for i := range cuts {
			cuts[i] -= first
		}
		l, gw, gb := NewLanes(stages), stale(len(weights)), stale(len(bias))
		l.Pack([][]float32{weights}, true)
		l.Forward(p, cuts, x[first*s.Conv.In():last*s.Conv.In()], [][]float32{bias}, stale((last-first)*o*h*w))
		l.Backward(p, gy[first*o*h*w:last*o*h*w], [][]float32{gw}, [][]float32{gb})
		return append(gw, gb...)
	}
	left, right := gradient(0, 3, 20), gradient(20, 27, 29)
	addTo(left, right)
	sameBits(t, "the halves' sum", left, gradient(0, 3, 20, 27, 29))
}

func TestLanesPanic(t *testing.T) {
	p := newPool(t, 1)
	stages := lenetStages(ReLU, MaxPooled)
	mustPanic(t, "no stages", func() { NewLanes(nil) })
	mustPanic(t, "stages that do not meet", func() { NewLanes([]LaneStage{stages[1], stages[0]}) })
	mustPanic(t, "too many channels", func() {
		NewLanes([]LaneStage{{Conv: Conv{C: 1, H: 4, W: 4, O: 17, KH: 1, KW: 1, StrideH: 1, StrideW: 1}}})
	})
	l := NewLanes(stages)
	mustPanic(t, "weights", func() { l.Pack([][]float32{nil, nil}, true) })
	b := [][]float32{stale(6), stale(16)}
	mustPanic(t, "x", func() { l.Forward(p, []int{0, 1}, stale(783), b, stale(400)) })
	mustPanic(t, "y", func() { l.Forward(p, []int{0, 1}, stale(784), b, stale(399)) })
	mustPanic(t, "cuts", func() { l.Forward(p, []int{0, 1, 1, 1}, stale(784), b, stale(400)) })
	mustPanic(t, "gy", func() { l.Backward(p, stale(400), nil, nil) })
}

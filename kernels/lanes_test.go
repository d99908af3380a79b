package kernels

import (
	"fmt"
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
		{Conv{C: 1, H: 28, W: 28, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2}, a, p},
		{Conv{C: 6, H: 14, W: 14, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1}, a, p},
	}
}

// laneStages builds stages on images of c×h×w; each is O, KH, KW, StrideH,
// StrideW, PadH, PadW.
func laneStages(c, h, w int, a []Activation, p []Pooling, convs ...[7]int) []LaneStage {
	var stages []LaneStage
	for i, k := range convs {
		s := LaneStage{Conv{
			C: c, H: h, W: w, O: k[0], KH: k[1], KW: k[2], StrideH: k[3], StrideW: k[4], PadH: k[5], PadW: k[6],
		}, a[i%len(a)], p[i%len(p)]}
		stages = append(stages, s)
		c, h, w = s.Out()
	}
	return stages
}

var laneCases = []laneCase{
	{"3×3", laneStages(2, 6, 6, []Activation{ReLU}, []Pooling{Unpooled}, [7]int{3, 3, 3, 1, 1, 1, 1}, [7]int{2, 3, 3, 1, 1, 1, 1}), []int{0, 3}},
	{"max", laneStages(1, 9, 8, []Activation{ReLU, Identity}, []Pooling{MaxPooled}, [7]int{7, 3, 2, 1, 1, 1, 0}, [7]int{4, 2, 3, 1, 1, 0, 1}), []int{0, 2, 5}},
	{"average", laneStages(1, 8, 9, []Activation{Sigmoid, Tanh}, []Pooling{AveragePooled}, [7]int{4, 2, 3, 1, 1, 1, 1}, [7]int{5, 3, 3, 1, 1, 1, 1}), []int{0, 1, 1, 2, 4}},
	{"tanh, max", laneStages(1, 6, 6, []Activation{Tanh, Sigmoid}, []Pooling{MaxPooled, Unpooled}, [7]int{2, 3, 3, 1, 1, 1, 1}, [7]int{2, 3, 3, 1, 1, 1, 1}), []int{0, 2}},
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
		r.w, r.b = append(r.w, z.floats(s.Conv.Weights())), append(r.b, z.floats(s.Conv.O))
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
					gw, gb = append(gw, stale(s.Conv.Weights())), append(gb, stale(s.Conv.O))
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

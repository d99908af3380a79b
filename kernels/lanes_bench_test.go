package kernels

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkLanes is the convolutional part of LeNet at a batch of 256 in 8
// micro-batches.
func BenchmarkLanes(b *testing.B) {
	for _, kind := range []struct {
		name   string
		stages []LaneStage
	}{
		{"ReLU,max", lenetStages(ReLU, MaxPooled)},
		{"sigmoid,average", lenetStages(Sigmoid, AveragePooled)},
		{"identity,average", lenetStages(Identity, AveragePooled)},
	} {
		for _, threads := range []int{1, 2} {
			benchmarkLanes(b, fmt.Sprintf("%s/%d", kind.name, threads), kind.stages, threads)
		}
	}
}

func benchmarkLanes(b *testing.B, name string, stages []LaneStage, threads int) {
	const n = 256
	cuts := []int{0, 32, 64, 96, 128, 160, 192, 224, 256}
	z := noise(1)
	p, l := newPool(b, threads), NewLanes(stages)
	var w, bias, gw, gb [][]float32
	flops := 0
	for _, s := range stages {
		c := s.Conv
		w, bias = append(w, z.floats(c.Weights())), append(bias, z.floats(c.O))
		gw, gb = append(gw, stale(c.Weights())), append(gb, stale(c.O))
		flops += n * c.FLOPs()
	}
	o, h, wd := stages[len(stages)-1].Out()
	x, y, gy := z.floats(n*stages[0].Conv.In()), stale(n*o*h*wd), z.floats(n*o*h*wd)
	l.Pack(w, true)
	l.Forward(p, cuts, x, bias, y)
	run := func(direction string, flops int, f func()) {
		b.Run(name+"/"+direction, func(b *testing.B) {
			best := time.Hour
			for b.Loop() {
				begin := time.Now()
				f()
				best = min(best, time.Since(begin))
			}
			b.ReportMetric(float64(flops)/float64(best.Nanoseconds()), "best-GFLOP/s")
			b.ReportMetric(float64(best.Microseconds()), "best-µs")
		})
	}
	run("forward", flops, func() { l.Forward(p, cuts, x, bias, y) })
	run("backward", 2*flops-n*stages[0].Conv.FLOPs(), func() { l.Backward(p, gy, gw, gb) })
}

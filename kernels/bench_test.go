package kernels

import (
	"fmt"
	"syscall"
	"testing"
)

// leNet holds the operations of lenet-relu in order, with memory for a batch.
type leNet struct {
	pool          *Pool
	n             int
	cuts          []int
	conv1, conv2  Conv
	pool1, pool2  Pool2D
	fc1, fc2, fc3 Linear
	x             []float32
	labels        []int32
	w, b, gw, gb  [5][]float32
	a, g          [9][]float32 // activations, and their gradients
	arg1, arg2    []int32
	losses        []float64
}

func newLeNet(p *Pool, n, microBatches int) *leNet {
	l := &leNet{
		pool: p, n: n,
		conv1: Conv{C: 1, H: 28, W: 28, O: 6, KH: 5, KW: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2},
		pool1: Pool2D{C: 6, H: 28, W: 28, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		conv2: Conv{C: 6, H: 14, W: 14, O: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
		pool2: Pool2D{C: 16, H: 10, W: 10, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		fc1:   Linear{400, 120}, fc2: Linear{120, 84}, fc3: Linear{84, 10},
		labels: make([]int32, n), losses: make([]float64, n),
	}
	for i := range microBatches + 1 {
		l.cuts = append(l.cuts, n*i/microBatches)
	}
	z := noise(1)
	l.x = z.floats(n * 784)
	for i, size := range []int{l.conv1.Weights(), l.conv2.Weights(), l.fc1.Weights(), l.fc2.Weights(), l.fc3.Weights()} {
		o := []int{6, 16, 120, 84, 10}[i]
		l.w[i], l.b[i], l.gw[i], l.gb[i] = z.floats(size), z.floats(o), make([]float32, size), make([]float32, o)
		for j := range l.w[i] {
			l.w[i][j] *= 0.1
		}
	}
	for i, size := range []int{l.conv1.Out(), l.conv1.Out(), l.pool1.Out(), l.conv2.Out(), l.conv2.Out(), l.pool2.Out(), 120, 84, 10} {
		l.a[i], l.g[i] = make([]float32, n*size), make([]float32, n*size)
	}
	l.arg1, l.arg2 = make([]int32, n*l.pool1.Out()), make([]int32, n*l.pool2.Out())
	return l
}

// step is forward and backward of one batch.
func (l *leNet) step() {
	p, a, g := l.pool, &l.a, &l.g
	ConvForward(p, l.conv1, l.x, l.w[0], l.b[0], a[0])
	ReLUForward(p, a[0], a[1])
	MaxPoolForward(p, l.pool1, a[1], a[2], l.arg1)
	ConvForward(p, l.conv2, a[2], l.w[1], l.b[1], a[3])
	ReLUForward(p, a[3], a[4])
	MaxPoolForward(p, l.pool2, a[4], a[5], l.arg2)
	LinearForward(p, l.fc1, a[5], l.w[2], l.b[2], a[6])
	ReLUForward(p, a[6], a[6])
	LinearForward(p, l.fc2, a[6], l.w[3], l.b[3], a[7])
	ReLUForward(p, a[7], a[7])
	LinearForward(p, l.fc3, a[7], l.w[4], l.b[4], a[8])
	SoftmaxCrossEntropy(p, 10, a[8], l.labels, l.losses, g[8])

	LinearBackwardWeights(p, l.fc3, a[7], g[8], l.cuts, l.gw[4], l.gb[4])
	LinearBackwardData(p, l.fc3, g[8], l.w[4], g[7])
	ReLUBackward(p, a[7], g[7], g[7])
	LinearBackwardWeights(p, l.fc2, a[6], g[7], l.cuts, l.gw[3], l.gb[3])
	LinearBackwardData(p, l.fc2, g[7], l.w[3], g[6])
	ReLUBackward(p, a[6], g[6], g[6])
	LinearBackwardWeights(p, l.fc1, a[5], g[6], l.cuts, l.gw[2], l.gb[2])
	LinearBackwardData(p, l.fc1, g[6], l.w[2], g[5])
	MaxPoolBackward(p, l.pool2, g[5], l.arg2, g[4])
	ReLUBackward(p, a[4], g[4], g[3])
	ConvBackwardWeights(p, l.conv2, a[2], g[3], l.cuts, l.gw[1], l.gb[1])
	ConvBackwardData(p, l.conv2, g[3], l.w[1], g[2])
	MaxPoolBackward(p, l.pool1, g[2], l.arg1, g[1])
	ReLUBackward(p, a[1], g[1], g[0])
	ConvBackwardWeights(p, l.conv1, l.x, g[0], l.cuts, l.gw[0], l.gb[0])
}

// flops is the arithmetic of one step in convolutions and fully connected layers;
// the first layer needs no gradient of its input.
func (l *leNet) flops() int {
	one := 2*l.conv1.FLOPs() + 3*(l.conv2.FLOPs()+l.fc1.FLOPs()+l.fc2.FLOPs()+l.fc3.FLOPs())
	return l.n * one
}

// report adds GFLOP/s, and the same for each second of CPU time, which says more
// where other processes use the machine too.
func report(b *testing.B, flops int, f func()) {
	f()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		f()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	total := float64(flops) * float64(b.N)
	b.ReportMetric(total/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
	b.ReportMetric(total/float64(after.Utime.Nano()-before.Utime.Nano()), "GFLOP/cpu-s")
}

func BenchmarkLeNetStep(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			l := newLeNet(newPool(b, threads), 256, 8)
			report(b, l.flops(), l.step)
			b.ReportMetric(float64(256*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

func benchmarkConv(b *testing.B, run func(p *Pool, s Conv, x, w, y []float32, cuts []int)) {
	for _, c := range []struct {
		name string
		s    Conv
		n    int
	}{
		{"lenet1", convs[1], 256},
		{"lenet2", convs[2], 256},
		{"vgg14", Conv{C: 64, H: 14, W: 14, O: 64, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1}, 8},
		{"fc400-120", Linear{400, 120}.conv(), 256},
		{"fc120-84", Linear{120, 84}.conv(), 256},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				p, z := newPool(b, threads), noise(1)
				x, w, y := z.floats(c.n*c.s.In()), z.floats(c.s.Weights()), z.floats(c.n*c.s.Out())
				cuts := []int{0, c.n / 4, c.n / 2, 3 * c.n / 4, c.n}
				report(b, c.n*c.s.FLOPs(), func() { run(p, c.s, x, w, y, cuts) })
			})
		}
	}
}

func BenchmarkConvForward(b *testing.B) {
	benchmarkConv(b, func(p *Pool, s Conv, x, w, y []float32, _ []int) { ConvForward(p, s, x, w, nil, y) })
}

func BenchmarkConvBackwardData(b *testing.B) {
	benchmarkConv(b, func(p *Pool, s Conv, x, w, y []float32, _ []int) { ConvBackwardData(p, s, y, w, x) })
}

func BenchmarkConvBackwardWeights(b *testing.B) {
	benchmarkConv(b, func(p *Pool, s Conv, x, w, y []float32, cuts []int) {
		ConvBackwardWeights(p, s, x, y, cuts, w, nil)
	})
}

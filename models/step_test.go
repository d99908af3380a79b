package models

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"convoy/internal/allocs"
	"convoy/kernels"
	"convoy/nn"
	"convoy/rng"
)

// A step is a training step of a model as it is measured: a batch of 8
// micro-batches of random grey images, and what computing its gradient takes.
// All parameters are 0.
type step struct {
	net          *nn.Net
	pass         *nn.Pass
	params, grad []float32
	batch        nn.Batch
}

// assisted stands behind the name of a model that is to have its auxiliary
// classifiers.
const assisted = ", auxiliary classifiers"

func newStep(t testing.TB, name string, side, examples, threads int) *step {
	name, auxiliary := strings.CutSuffix(name, assisted)
	model, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	layers := model.Layers
	if auxiliary {
		layers = model.Auxiliary
	}
	net, err := nn.Build(layers(10), nn.Shape{C: 1, H: side, W: side}, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pool := kernels.NewPool(threads)
	t.Cleanup(pool.Close)
	s := &step{
		net: net, pass: net.NewPass(pool),
		params: kernels.Floats(net.NumParams()), grad: kernels.Floats(net.NumParams()),
		batch: nn.Batch{Images: make([]float32, examples*side*side), Labels: make([]int32, examples), Seed: 1},
	}
	random := rng.At(5, rng.Digits, 0, 0)
	for i := range s.batch.Images {
		s.batch.Images[i] = random.Float32()
	}
	for i := range s.batch.Labels {
		s.batch.Labels[i] = int32(i % 10)
	}
	for m := 0; m <= microBatches; m++ {
		s.batch.Cuts = append(s.batch.Cuts, m*examples/microBatches)
	}
	return s
}

func (s *step) take() {
	s.batch.Step++
	s.pass.Gradient(s.params, s.batch, s.grad)
}

// measured are the sizes of the models' benchmarks, and the side of small images
// that serve for tests.
var measured = []struct {
	name                   string
	side, examples, little int
}{
	{"lenet", 28, 256, 28},
	{"lenet-relu", 28, 256, 28},
	{"lenet5", 32, 256, 32},
	{"alexnet", 224, 32, 67},
	{"alexnet-2012", 227, 32, 67},
	{"vgg11/4", 224, 32, 32},
	{"vgg11", 224, 8, 32},
	{"nin", 224, 32, 67},
	{"googlenet", 96, 32, 32},
	{"googlenet" + assisted, 96, 32, 80},
}

// TestStepAllocatesNothing, once the buffers have grown.
func TestStepAllocatesNothing(t *testing.T) {
	for _, m := range measured {
		side, examples := m.side, m.examples
		if testing.Short() {
			if m.name == "vgg11" {
				continue // twice 500 MB, and vgg11/4 has the same layers
			}
			side, examples = m.little, 9
		}
		t.Run(fmt.Sprintf("%s, %d examples of %d×%d", m.name, examples, side, side), func(t *testing.T) {
			s := newStep(t, m.name, side, examples, 2)
			s.take()
			if n := allocs.Few(s.take); n != 0 && !allocs.Race {
				t.Errorf("%d allocations in a step, want none", n)
			}
		})
	}
}

// TestMemory holds what Net.Memory tells against the heap after a step.
func TestMemory(t *testing.T) {
	for _, m := range measured {
		if m.name == "vgg11" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			before := heap()
			s := newStep(t, m.name, m.little, 9, 1)
			s.take()
			got, want := heap()-before, s.net.Memory(9, microBatches)
			runtime.KeepAlive(s)
			// Work space of the thread, tables and rounding up come on top.
			parameters := want.Parameters + want.Gradient
			rest := want.Total() - parameters
			if low, high := parameters+rest*98/100, parameters+rest*105/100+slack; got < low || got > high {
				t.Errorf("the heap grows by %d bytes, want between %d and %d: %+v", got, low, high, want)
			}
		})
	}
}

const slack = 1 << 20

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

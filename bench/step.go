package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"convoy/digest"
	"convoy/job"
	"convoy/kernels"
	"convoy/models"
	"convoy/nn"
	"convoy/state"
)

// StepOptions say which step is measured.
type StepOptions struct {
	Model        string
	Direct       bool          // convolutions by the direct algorithm alone
	Batch        int           // examples
	MicroBatches int           // a power of two
	Threads      int           // goroutines of the kernels
	Time         time.Duration // of all measurements together; each of them takes one step at least
}

// Check reports the first option that makes no sense, the model's name included.
func (o StepOptions) Check() error {
	if _, err := models.Lookup(o.Model); err != nil {
		return err
	}
	switch {
	case o.Batch < 1 || o.Batch > maxBatch:
		return errBatch(o.Batch)
	case o.MicroBatches < 1 || o.MicroBatches > 1024 || o.MicroBatches&(o.MicroBatches-1) != 0:
		return fmt.Errorf("%d micro-batches: want a power of two, 1 to 1024", o.MicroBatches)
	}
	return checkRun(o.Threads, o.Time)
}

const maxBatch = 1 << 20

func errBatch(n int) error { return fmt.Errorf("batch %d: want 1 to %d examples", n, maxBatch) }

// checkRun checks what all measurements have in common.
func checkRun(threads int, length time.Duration) error {
	switch {
	case threads < 1 || threads > 1024:
		return fmt.Errorf("%d threads: want 1 to 1024", threads)
	case length <= 0 || length > time.Hour:
		return fmt.Errorf("a measurement of %v: want more than nothing and at most an hour", length)
	}
	return nil
}

// StepResult is what Step measured.
type StepResult struct {
	Model          string  `json:"model"`
	Algorithm      string  `json:"algorithm"` // auto or direct
	Batch          int     `json:"batch"`
	MicroBatches   int     `json:"micro_batches"`
	Threads        int     `json:"threads"`
	Implementation string  `json:"implementation"`
	ImagesPerSec   float64 `json:"images_per_second"` // median
	Min            float64 `json:"min"`               // images/s
	Max            float64 `json:"max"`
	GFLOPS         float64 `json:"gflops"` // of the median
	MS             float64 `json:"ms"`     // a step
	Loss           float64 `json:"loss"`   // of the last step
}

// Step measures a worker's whole training step without the network: gradient
// (packing, dropout and the tree of micro-batches in it), its division by the
// number of examples, its digest, the update and the state's digest where the
// sequence of a job has one. Images and labels are random and always the same:
// one channel, ten classes.
func Step(ctx context.Context, o StepOptions) (StepResult, error) {
	if err := o.Check(); err != nil {
		return StepResult{}, err
	}
	net, err := build(o.Model, o.Direct)
	if err != nil {
		return StepResult{}, err
	}
	pool := kernels.NewPool(o.Threads)
	defer pool.Close()
	s := newStepper(net, pool, o)
	s.step() // all buffers grow
	seconds, err := sample(ctx, o.Time, s.step)
	if err != nil {
		return StepResult{}, err
	}
	if math.IsNaN(s.loss) || math.IsInf(s.loss, 0) {
		return StepResult{}, errors.New("the loss is no number any more: the kernels compute wrongly, or the learning rate of the measurement is too high")
	}
	images := float64(o.Batch)
	median := seconds[len(seconds)/2]
	return StepResult{
		Model: o.Model, Algorithm: algorithm(o.Direct), Batch: o.Batch, MicroBatches: o.MicroBatches, Threads: o.Threads,
		Implementation: kernels.Implementation(),
		ImagesPerSec:   images / median, Min: images / seconds[len(seconds)-1], Max: images / seconds[0],
		GFLOPS: float64(stepFLOPs(net)) * images / median / 1e9,
		MS:     1000 * median, Loss: s.loss,
	}, nil
}

// classes and seed are those of every measurement.
const (
	classes = 10
	seed    = 1
)

// build is the model as it is measured: for ten classes and the grey images that
// it was made for.
func build(name string, direct bool) (*nn.Net, error) {
	model, err := models.Lookup(name)
	if err != nil {
		return nil, err
	}
	input := model.Input
	input.C = 1
	return model.Build(classes, input, nn.Options{Direct: direct})
}

// algorithm names a choice as job files do.
func algorithm(direct bool) string {
	if direct {
		return "direct"
	}
	return "auto"
}

// stepFLOPs is what a training step computes for one example: forward and both
// gradients of each layer, but not that of the network's input.
func stepFLOPs(net *nn.Net) int {
	first := 0
	for _, l := range net.Layers() {
		if first == 0 {
			first = l.MACs
		}
	}
	return 2 * (3*net.MACs() - first)
}

// A stepper takes step after step on the same examples.
type stepper struct {
	keeper *state.Keeper
	pass   *nn.Pass
	batch  nn.Batch
	grad   []float32
	loss   float64 // mean of the last step
}

// steadyState is the state that measuring begins with: the first few have their
// digests taken more often than every later one.
const steadyState = 16

func newStepper(net *nn.Net, pool *kernels.Pool, o StepOptions) *stepper {
	j := state.NewJob("bench", job.Recipe{
		Model:  o.Model,
		Data:   job.Data{Name: "random", Train: o.Batch << 20, Test: 1, Classes: classes},
		Epochs: 1, Batch: o.Batch, MicroBatches: o.MicroBatches, Seed: seed, Algorithm: algorithm(o.Direct),
		Optimizer: job.Optimizer{LR: 0.001},
		Wire:      job.WireFloat32, ArithmeticVersion: job.ArithmeticVersion,
	})
	initial := models.Blank(net, j.SGD)
	net.Init(seed, initial.Params)
	s := &stepper{
		keeper: state.NewKeeper(j, initial, steadyState, digest.Sum{}),
		pass:   net.NewPass(pool),
		batch:  randomBatch(net, o.Batch, o.MicroBatches),
		grad:   make([]float32, net.NumParams()),
	}
	s.keeper.Share(pool)
	return s
}

// randomBatch is n examples in m micro-batches: normally distributed pixels and
// uniformly distributed labels.
func randomBatch(net *nn.Net, n, m int) nn.Batch {
	b := nn.Batch{
		Images: noise(n * net.Input().Len()), Labels: make([]int32, n),
		Cuts: cuts(n, m), Seed: seed,
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b.Labels {
		b.Labels[i] = r.Int32N(classes)
	}
	return b
}

func (s *stepper) step() {
	s.batch.Step = s.keeper.Step()
	sums := s.pass.Gradient(s.keeper.State().Params, s.batch, s.grad)
	row, _ := s.keeper.Mean(s.grad, s.grad, state.Sums(sums))
	s.keeper.Apply(&state.Gradient{Row: row, Data: s.grad})
	s.keeper.Committed(s.keeper.Step())
	s.loss = sums.Loss / float64(sums.Examples)
}

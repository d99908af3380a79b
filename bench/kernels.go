package bench

import (
	"context"
	"math/rand/v2"
	"time"

	"convoy/kernels"
)

// KernelOptions say which layers are measured.
type KernelOptions struct {
	Model   string // "" for all
	Direct  bool
	Batch   int // 0 for each model's DefaultBatch
	Threads int
	Time    time.Duration // of each direction of each layer
}

// Peak is what the machine can do at most.
type Peak struct {
	Implementation string  `json:"implementation"`
	Threads        int     `json:"threads"`
	GFLOPS         float64 `json:"peak_gflops"` // of all threads
	GHz            float64 `json:"gigahertz"`   // 0 where it cannot be measured
}

// Rate is what was measured of one direction of a layer.
type Rate struct {
	MS      float64 `json:"ms"` // median
	MinMS   float64 `json:"min_ms"`
	MaxMS   float64 `json:"max_ms"`
	GFLOPS  float64 `json:"gflops"`  // of the direct algorithm, over the median
	Percent float64 `json:"percent"` // of the peak
}

// LayerResult is what was measured of one layer. A run in the lanes has both
// gradients at once, in BackwardWeights, and no times in BackwardData.
type LayerResult struct {
	Layer
	Algorithm       string  `json:"algorithm"`
	PackMS          float64 `json:"pack_ms"` // once a step, for all directions
	Forward         Rate    `json:"forward"`
	BackwardData    Rate    `json:"backward_data"`
	BackwardWeights Rate    `json:"backward_weights"` // bias included
}

// NetworkResult is what was measured of a whole network's forward pass, loss and
// packing included.
type NetworkResult struct {
	Model   string `json:"model"`
	Batch   int    `json:"batch"`
	Forward Rate   `json:"forward"`
}

// KernelsResult is what Kernels measured.
type KernelsResult struct {
	Peak
	Layers   []LayerResult   `json:"layers"`
	Networks []NetworkResult `json:"networks"`
}

// A Report takes what Kernels measures, as it comes.
type Report interface {
	Peak(Peak) error
	Layer(LayerResult) error
	Network(NetworkResult) error
}

// Check reports the first option that makes no sense.
func (o KernelOptions) Check() error {
	if o.Batch < 0 || o.Batch > maxBatch {
		return errBatch(o.Batch)
	}
	if _, err := Layers(o.Model, o.Batch); err != nil {
		return err
	}
	return checkRun(o.Threads, o.Time)
}

// Kernels measures the peak, then each layer, then the networks' forward passes.
func Kernels(ctx context.Context, o KernelOptions, report Report) error {
	if err := o.Check(); err != nil {
		return err
	}
	p := Peak{Implementation: kernels.Implementation(), Threads: o.Threads}
	p.GFLOPS, p.GHz = kernels.Peak(o.Threads, time.Second)
	if err := report.Peak(p); err != nil {
		return err
	}
	pool := kernels.NewPool(o.Threads)
	defer pool.Close()
	list, err := Layers(o.Model, o.Batch)
	if err != nil {
		return err
	}
	for _, l := range list {
		r, err := measure(ctx, pool, l, o, p)
		if err != nil {
			return err
		}
		if err := report.Layer(r); err != nil {
			return err
		}
	}
	for _, name := range names(o.Model) {
		r, err := measureNetwork(ctx, pool, name, o, p)
		if err != nil {
			return err
		}
		if err := report.Network(r); err != nil {
			return err
		}
	}
	return nil
}

// measureNetwork measures the forward pass of a whole network.
func measureNetwork(ctx context.Context, pool *kernels.Pool, name string, o KernelOptions, p Peak) (NetworkResult, error) {
	r := NetworkResult{Model: name, Batch: o.Batch}
	if r.Batch == 0 {
		r.Batch = DefaultBatch(name)
	}
	net, err := build(name, o.Direct)
	if err != nil {
		return r, err
	}
	params := make([]float32, net.NumParams())
	net.Init(seed, params)
	pass, batch := net.NewPass(pool), randomBatch(net, r.Batch, 1)
	seconds, err := sample(ctx, o.Time, func() { pass.Evaluate(params, batch) })
	if err != nil {
		return r, err
	}
	r.Forward = rate(seconds, 2*r.Batch*net.MACs(), p)
	return r, nil
}

// The directions of a layer.
const (
	pack = iota
	forward
	backwardData
	backwardWeights
	directions
)

// measure measures all directions of one layer.
func measure(ctx context.Context, pool *kernels.Pool, l Layer, o KernelOptions, p Peak) (LayerResult, error) {
	r := LayerResult{Layer: l, Algorithm: "matrix product"}
	var calls [directions]func()
	switch {
	case l.Conv != nil:
		c := kernels.NewConvolution(*l.Conv, o.Direct)
		r.Algorithm = c.Algorithm()
		calls = convolutionCalls(pool, c, l)
	case l.Linear != nil:
		calls = fullyConnectedCalls(pool, l)
	default:
		r.Algorithm = "lanes"
		calls = laneCalls(pool, l)
	}
	var rates [directions]Rate
	for i, f := range calls {
		if f == nil {
			continue
		}
		seconds, err := sample(ctx, o.Time, f)
		if err != nil {
			return r, err
		}
		rates[i] = rate(seconds, l.flops(i), p)
	}
	r.PackMS = rates[pack].MS
	r.Forward, r.BackwardData, r.BackwardWeights = rates[forward], rates[backwardData], rates[backwardWeights]
	return r, nil
}

func rate(seconds []float64, flops int, p Peak) Rate {
	median := seconds[len(seconds)/2]
	gflops := float64(flops) / median / 1e9
	return Rate{
		MS: 1e3 * median, MinMS: 1e3 * seconds[0], MaxMS: 1e3 * seconds[len(seconds)-1],
		GFLOPS: gflops, Percent: 100 * gflops / p.GFLOPS,
	}
}

func convolutionCalls(pool *kernels.Pool, c *kernels.Convolution, l Layer) [directions]func() {
	s, n := *l.Conv, l.Batch
	x := kernels.Maps{V: activations(n * s.In()), Pitch: s.C}
	gy := kernels.Maps{V: noise(n * s.Out()), Pitch: s.O}
	gx := kernels.Maps{V: kernels.Floats(n * s.In()), Pitch: s.C}
	y := kernels.Maps{V: kernels.Floats(n * s.Out()), Pitch: s.O}
	w, b := noise(s.Weights()), noise(s.O)
	gw, gb := kernels.Floats(s.Weights()), kernels.Floats(s.O)
	cuts := cuts(n, microBatches)
	return [directions]func(){
		pack:            func() { c.Pack(pool, w, true) },
		forward:         func() { c.Forward(pool, n, x, b, false, y) },
		backwardData:    func() { c.BackwardData(pool, n, gy, gx, false) },
		backwardWeights: func() { c.BackwardWeights(pool, x, gy, cuts, gw, gb) },
	}
}

func fullyConnectedCalls(pool *kernels.Pool, l Layer) [directions]func() {
	s, n := *l.Linear, l.Batch
	c := kernels.NewFullyConnected(s)
	x, gy := activations(n*s.I), noise(n*s.O)
	gx, y := kernels.Floats(n*s.I), kernels.Floats(n*s.O)
	w, b := noise(s.Weights()), noise(s.O)
	gw, gb := kernels.Floats(s.Weights()), kernels.Floats(s.O)
	cuts := cuts(n, microBatches)
	return [directions]func(){
		forward:         func() { c.Forward(pool, n, x, w, b, false, y) },
		backwardData:    func() { c.BackwardData(pool, n, gy, w, gx) },
		backwardWeights: func() { c.BackwardWeights(pool, x, gy, cuts, gw, gb) },
	}
}

func laneCalls(pool *kernels.Pool, l Layer) [directions]func() {
	plan, n := kernels.NewLanes(l.Stages), l.Batch
	o, h, w := l.Stages[len(l.Stages)-1].Out()
	x, gy, y := noise(n*l.Stages[0].Conv.In()), noise(n*o*h*w), kernels.Floats(n*o*h*w)
	var weights, biases, gw, gb [][]float32
	for _, s := range l.Stages {
		weights, biases = append(weights, noise(s.Conv.Weights())), append(biases, noise(s.Conv.O))
		gw, gb = append(gw, kernels.Floats(s.Conv.Weights())), append(gb, kernels.Floats(s.Conv.O))
	}
	cuts := cuts(n, microBatches)
	return [directions]func(){
		pack:            func() { plan.Pack(weights, true) },
		forward:         func() { plan.Forward(pool, cuts, x, biases, y) },
		backwardWeights: func() { plan.Backward(pool, gy, gw, gb) },
	}
}

// microBatches is how many the batch of a layer is cut into, as a job's is
// unless it says otherwise.
const microBatches = 8

// cuts are the boundaries of m micro-batches over n examples.
func cuts(n, m int) []int {
	c := make([]int, m+1)
	for i := range c {
		c[i] = i * n / m
	}
	return c
}

// noise is n normally distributed numbers, the same ones over and over where
// there are many.
func noise(n int) []float32 {
	const distinct = 1 << 16
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	v := kernels.Floats(n)
	for i := range min(n, distinct) {
		v[i] = float32(r.NormFloat64())
	}
	for i := distinct; i < n; i += distinct {
		copy(v[i:], v[:distinct])
	}
	return v
}

// activations is noise behind a ReLU.
func activations(n int) []float32 {
	v := noise(n)
	for i, x := range v {
		v[i] = max(x, 0)
	}
	return v
}

package scaling

import (
	"math"
	"strings"
	"testing"
	"time"

	"convoy/api"
	"convoy/job"
)

func sound() Options {
	return Options{Model: "lenet", Batch: 256, Mode: Strong, Workers: []int{1, 2}, Replicas: []int{1}, Threads: 1, Time: 10 * time.Second}
}

func TestCheck(t *testing.T) {
	if err := sound().Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Options){
		"no model":             func(o *Options) { o.Model = "lenot" },
		`mode "odd"`:           func(o *Options) { o.Mode = "odd" },
		"at least one number":  func(o *Options) { o.Workers = nil },
		"65 workers":           func(o *Options) { o.Workers = []int{65} },
		"0 replicas":           func(o *Options) { o.Replicas = []int{0} },
		"0 threads":            func(o *Options) { o.Threads = 0 },
		"batch 0":              func(o *Options) { o.Batch = 0 },
		"for each of 2":        func(o *Options) { o.Mode, o.Batch = Weak, examples },
		"3 micro-batches":      func(o *Options) { o.MicroBatches = 3 },
		"a measurement of 1ms": func(o *Options) { o.Time = time.Millisecond },
		"computation of 1.5ms": func(o *Options) { o.Simulate = 1500 * time.Microsecond },
		`wire "fp8"`:           func(o *Options) { o.Wire = "fp8" },
	} {
		o := sound()
		spoil(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %q", err, want)
		}
	}
}

func TestMicroBatches(t *testing.T) {
	o := sound()
	o.Workers = []int{1, 20}
	if m := o.microBatches(1); m != 32 {
		t.Errorf("strong: %d micro-batches for up to 20 workers, want 32: all points have one recipe", m)
	}
	o.Mode = Weak
	if one, twenty := o.microBatches(1), o.microBatches(20); one != 8 || twenty != 32 {
		t.Errorf("weak: %d and %d micro-batches, want 8 and 32", one, twenty)
	}
	o.MicroBatches = 4
	if m := o.microBatches(20); m != 4 {
		t.Errorf("%d micro-batches, want the 4 that were asked for", m)
	}
}

// A point's figures follow from what was seen of the job and of its workers.
func TestFigures(t *testing.T) {
	begin := time.Unix(100, 0)
	p := Point{Batch: 10, Workers: 2}
	var samples []sample
	for i, steps := range []uint64{0, 10, 30, 40, 50, 60} {
		samples = append(samples, sample{begin.Add(time.Duration(i) * time.Second), 7 + steps})
	}
	p.rate(samples)
	if p.ImagesPerSec != 100 || p.Min != 100 || p.Max != 200 || p.StepMS != 100 || p.Steps != 60 {
		t.Errorf("%+v", p)
	}
	worker := func(id string, up, compute, wait float64) *api.WorkerStatus {
		return &api.WorkerStatus{Id: id, UpSeconds: up, ComputeSeconds: compute, WaitSeconds: wait}
	}
	before := &api.ClusterStatus{Workers: []*api.WorkerStatus{worker("w1", 10, 5, 1), worker("w2", 20, 5, 2)}}
	after := &api.ClusterStatus{Workers: []*api.WorkerStatus{worker("w1", 20, 12, 2), worker("w2", 30, 10, 5), worker("w3", 1, 1, 1)}}
	p.shares(before, after)
	if p.Compute != 0.6 || p.Wait != 0.2 || math.Abs(p.Communication-0.2) > 1e-9 {
		t.Errorf("shares %g, %g, %g", p.Compute, p.Wait, p.Communication)
	}
}

// Speed-up is over the fewest workers with as many replicas, and one hash is one
// up to the last step that all runs have.
func TestCompare(t *testing.T) {
	a, b, c := []byte{1}, []byte{2}, []byte{3}
	r := Result{Points: []Point{
		{Replicas: 1, Workers: 2, ImagesPerSec: 200, chains: [][]byte{a, b, c}},
		{Replicas: 1, Workers: 4, ImagesPerSec: 300, chains: [][]byte{a, b}},
		{Replicas: 3, Workers: 2, ImagesPerSec: 100, chains: [][]byte{a, b, a}},
	}}
	r.compare()
	if !r.OneHash || r.Points[0].Digest != "02" || r.Points[2].DigestStep != 2 {
		t.Errorf("%+v", r)
	}
	if p := r.Points[1]; p.SpeedUp != 3 || p.Efficiency != 0.75 {
		t.Errorf("speed-up %g, efficiency %g", p.SpeedUp, p.Efficiency)
	}
	if p := r.Points[2]; p.SpeedUp != 2 || p.Efficiency != 1 {
		t.Errorf("speed-up %g, efficiency %g", p.SpeedUp, p.Efficiency)
	}
	r.Points[1].chains[1] = c
	if r.compare(); r.OneHash {
		t.Error("two runs that part have one hash")
	}
}

// The job of a point is one that a cluster takes.
func TestJobFile(t *testing.T) {
	for _, j := range []Job{
		{Model: "lenet", Batch: 256, MicroBatches: 8, Workers: 2},
		{Model: "alexnet", Batch: 32, MicroBatches: 8, Workers: 64, Wire: "bf16", WireUnit: 4, Simulate: 50 * time.Millisecond},
	} {
		text, err := j.file()
		if err != nil {
			t.Fatal(err)
		}
		f, err := job.Parse(text, "scaling.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if f.Model != j.Model || f.Batch != j.Batch || f.Workers.Min != j.Workers || f.SimulateComputeMS != int(j.Simulate.Milliseconds()) || f.Wire.Unit != j.WireUnit {
			t.Errorf("%s becomes %+v", text, f)
		}
	}
}

func TestWarnings(t *testing.T) {
	o := sound()
	o.Workers = []int{1, 64}
	if w := o.Warnings(); len(w) != 1 || !strings.Contains(w[0], "64 workers") {
		t.Errorf("%q", w)
	}
	o.Simulate = time.Second
	if w := o.Warnings(); len(w) != 1 || !strings.Contains(w[0], "nothing is computed") {
		t.Errorf("%q", w)
	}
}

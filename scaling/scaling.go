// Package scaling measures how training gets faster with more workers, and what
// replicas cost it: one job on clusters of real processes of different sizes.
//
// Each point is a cluster of its own (package local) with a NATS server, so that
// what is measured is what a user has: Raft, gRPC, disks, every byte on the wire.
// Figures are medians over a few parts of one run, with the least and the
// greatest. Speed-up and efficiency are those of Amdahl's and Gustafson's laws:
// strong with one batch for all, weak with one for each worker.
package scaling

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"convoy/job"
	"convoy/models"
)

// Mode says what grows with the number of workers.
type Mode string

// The modes.
const (
	Strong Mode = "strong" // nothing: all share one batch, and one job gives one hash
	Weak   Mode = "weak"   // the batch: each worker adds its own
)

// Options say what is measured.
type Options struct {
	Model        string
	Batch        int // examples of a step, in weak mode of each worker's
	MicroBatches int // of a step; 0 means 8, or the next power of two from the number of workers
	Mode         Mode
	Workers      []int
	Replicas     []int
	Threads      int           // of each worker
	Wire         string        // of gradients, as a job file has it; empty: fp32
	WireUnit     int           // with Wire bf16
	Time         time.Duration // of each point's measurement, after the warm-up
	// Simulate, where it is not 0, is how long a worker sleeps instead of
	// computing its part of a step. All traffic is real, gradients are zeros.
	Simulate time.Duration
	Worker   string // path of the worker's binary; empty: see local.FindWorker
}

// most is how many workers a point may have.
const most = 64

// Check reports the first option that makes no sense.
func (o Options) Check() error {
	if _, err := models.Lookup(o.Model); err != nil {
		return err
	}
	switch {
	case o.Mode != Strong && o.Mode != Weak:
		return fmt.Errorf("mode %q: want %s or %s", o.Mode, Strong, Weak)
	case len(o.Workers) == 0 || len(o.Replicas) == 0:
		return errors.New("want at least one number of workers and of replicas")
	case o.Threads < 1 || o.Threads > 1024:
		return fmt.Errorf("%d threads: want 1 to 1024", o.Threads)
	case o.Batch < 1 || o.Batch > examples:
		return fmt.Errorf("batch %d: want 1 to %d examples", o.Batch, examples)
	case o.MicroBatches < 0 || o.MicroBatches > 1024 || o.MicroBatches&(o.MicroBatches-1) != 0:
		return fmt.Errorf("%d micro-batches: want a power of two up to 1024, or 0 for the usual", o.MicroBatches)
	case o.Wire != "" && o.Wire != job.WireFloat32 && o.Wire != job.WireBFloat16:
		return fmt.Errorf("wire %q: want %s or %s", o.Wire, job.WireFloat32, job.WireBFloat16)
	case o.Time < time.Second || o.Time > time.Hour:
		return fmt.Errorf("a measurement of %v: want 1 s to 1 h", o.Time)
	case o.Simulate != 0 && (o.Simulate < time.Millisecond || o.Simulate > job.MaxSimulate || o.Simulate%time.Millisecond != 0):
		return fmt.Errorf("a simulated computation of %v: want whole milliseconds, 1ms to %v", o.Simulate, job.MaxSimulate)
	}
	for _, n := range o.Workers {
		if n < 1 || n > most {
			return fmt.Errorf("%d workers: want 1 to %d", n, most)
		}
		if o.Mode == Weak && n*o.Batch > examples {
			return fmt.Errorf("a batch of %d for each of %d workers: want at most %d examples a step", o.Batch, n, examples)
		}
	}
	for _, n := range o.Replicas {
		if n < 1 || n > 9 {
			return fmt.Errorf("%d replicas: want 1 to 9", n)
		}
	}
	return nil
}

// Warnings say what makes the figures less than they seem; there may be none.
func (o Options) Warnings() []string {
	var w []string
	if o.Simulate > 0 {
		return []string{fmt.Sprintf("nothing is computed: workers sleep %v a step, so images/s tell of the coordination alone", o.Simulate)}
	}
	cores := runtime.NumCPU()
	for _, n := range o.Workers {
		if n*o.Threads > cores {
			w = append(w, fmt.Sprintf("%d workers with %d threads share %d cores: they cannot be faster than fewer", n, o.Threads, cores))
		}
	}
	return w
}

// Point is what was measured of one cluster.
type Point struct {
	Replicas     int     `json:"replicas"`
	Workers      int     `json:"workers"`
	Batch        int     `json:"batch"` // of a step
	MicroBatches int     `json:"micro_batches"`
	Pinned       bool    `json:"pinned"` // each worker had cores of its own
	ImagesPerSec float64 `json:"images_per_second"`
	Min          float64 `json:"min"` // images/s
	Max          float64 `json:"max"`
	StepMS       float64 `json:"step_ms"`
	SpeedUp      float64 `json:"speed_up"`   // over the fewest workers with as many replicas, times their number
	Efficiency   float64 `json:"efficiency"` // speed-up over workers
	// Shares of the workers' time: computing; waiting for the partials of others;
	// the rest, which is sending, the leader's work, receiving and applying.
	Compute       float64 `json:"compute"`
	Wait          float64 `json:"wait"`
	Communication float64 `json:"communication"`
	Steps         int     `json:"steps"` // measured
	// Digest names the state after DigestStep steps: c(t) of the ledger.
	Digest     string `json:"digest"`
	DigestStep int    `json:"digest_step"`

	chains [][]byte
}

// Result is all points.
type Result struct {
	Model      string   `json:"model"`
	Mode       Mode     `json:"mode"`
	Threads    int      `json:"threads"`
	SimulateMS int      `json:"simulate_ms"` // 0: workers computed
	CPUs       int      `json:"cpus"`
	Warnings   []string `json:"warnings"`
	Points     []Point  `json:"points"`
	// OneHash says that all points gave one digest, as they must in strong mode.
	OneHash bool `json:"one_hash"`
}

// Run measures every number of workers with every number of replicas, and calls
// see after each point.
func Run(ctx context.Context, o Options, see func(Point)) (Result, error) {
	if err := o.Check(); err != nil {
		return Result{}, err
	}
	r := Result{
		Model: o.Model, Mode: o.Mode, Threads: o.Threads, SimulateMS: int(o.Simulate / time.Millisecond),
		CPUs: runtime.NumCPU(), Warnings: o.Warnings(),
	}
	for _, replicas := range o.Replicas {
		for _, workers := range o.Workers {
			p, err := o.measure(ctx, replicas, workers)
			if err != nil {
				return r, fmt.Errorf("%d replicas, %d workers: %w", replicas, workers, err)
			}
			r.Points = append(r.Points, p)
			see(p)
		}
	}
	r.compare()
	return r, nil
}

// compare fills in what follows from the points together.
func (r *Result) compare() {
	base := map[int]Point{} // of the fewest workers, by replicas
	for _, p := range r.Points {
		if b, ok := base[p.Replicas]; !ok || p.Workers < b.Workers {
			base[p.Replicas] = p
		}
	}
	last := len(r.Points[0].chains)
	for _, p := range r.Points {
		last = min(last, len(p.chains))
	}
	digests := map[string]bool{}
	for i := range r.Points {
		p, b := &r.Points[i], base[r.Points[i].Replicas]
		p.SpeedUp = p.ImagesPerSec / b.ImagesPerSec * float64(b.Workers)
		p.Efficiency = p.SpeedUp / float64(p.Workers)
		p.DigestStep = last
		if last > 0 {
			p.Digest = fmt.Sprintf("%x", p.chains[last-1])
		}
		digests[p.Digest] = true
	}
	r.OneHash = len(digests) == 1 && last > 0
}

// microBatches of a step that so many workers share.
func (o Options) microBatches(workers int) int {
	if o.MicroBatches > 0 {
		return o.MicroBatches
	}
	m := 8
	for m < slices.Max(o.Workers) && o.Mode == Strong || m < workers {
		m *= 2
	}
	return m
}

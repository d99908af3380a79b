package scaling

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"convoy/api"
	"convoy/client"
	"convoy/local"
)

const (
	parts     = 5 // of a measurement; a figure is their median
	warmSteps = 4 // before it, at least
	warmTime  = 2 * time.Second
	patience  = 2 * time.Minute // for a cluster to begin
)

// measure starts a cluster, has it train, and takes its figures.
func (o Options) measure(ctx context.Context, replicas, workers int) (p Point, err error) {
	p = Point{Replicas: replicas, Workers: workers, Batch: o.Batch, MicroBatches: o.microBatches(workers)}
	if o.Mode == Weak {
		p.Batch *= workers
	}
	p.Pinned = workers*o.Threads <= runtime.NumCPU()
	begin, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cluster, err := local.Start(begin, local.Options{
		Replicas: replicas, Workers: workers, Threads: o.Threads, Pin: p.Pinned, Worker: o.Worker,
	})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	j := Job{
		Model: o.Model, Batch: p.Batch, MicroBatches: p.MicroBatches, Workers: workers,
		Wire: o.Wire, WireUnit: o.WireUnit, Simulate: o.Simulate,
	}
	id, err := j.Submit(begin, cluster.Client())
	if err != nil {
		return p, err
	}
	return p, p.take(ctx, cluster.Client(), id, o.Time)
}

// sample is how far a job was at some time.
type sample struct {
	at    time.Time
	steps uint64 // training steps done
}

// errEnough ends watching.
var errEnough = errors.New("enough")

// take follows the job through its warm-up and its measurement.
func (p *Point) take(ctx context.Context, cl *client.Client, id string, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience+4*length)
	defer cancel()
	var start *sample
	var before *api.ClusterStatus
	var samples []sample
	err := cl.Watch(ctx, id, func(s *api.JobStatus) error {
		now := sample{time.Now(), s.GetTrainingSteps()}
		switch {
		case client.Ended(s.GetPhase()):
			return fmt.Errorf("job %s ended: %s", id, s.GetReason())
		case start == nil && now.steps >= 1:
			start = &now
		case start == nil || now.steps < start.steps+warmSteps || now.at.Sub(start.at) < warmTime:
		case len(samples) == 0 || now.at.Sub(samples[len(samples)-1].at) >= length/parts && now.steps > samples[len(samples)-1].steps:
			if len(samples) == 0 {
				var err error
				if before, err = cl.Cluster(ctx); err != nil {
					return err
				}
			}
			if samples = append(samples, now); len(samples) > parts {
				return errEnough
			}
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return errors.Join(err, errors.New("the job was not measured to the end"))
	}
	after, err := cl.Cluster(ctx)
	if err != nil {
		return err
	}
	p.rate(samples)
	p.shares(before, after)
	return p.readChains(ctx, cl, id)
}

// rate turns samples into images/s.
func (p *Point) rate(samples []sample) {
	var rates []float64
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		rates = append(rates, float64(b.steps-a.steps)*float64(p.Batch)/b.at.Sub(a.at).Seconds())
	}
	slices.Sort(rates)
	p.ImagesPerSec, p.Min, p.Max = rates[len(rates)/2], rates[0], rates[len(rates)-1]
	p.StepMS = 1000 * float64(p.Batch) / p.ImagesPerSec
	p.Steps = int(samples[len(samples)-1].steps - samples[0].steps)
}

// shares compares what workers had done before and after.
func (p *Point) shares(before, after *api.ClusterStatus) {
	earlier := map[string]*api.WorkerStatus{}
	for _, w := range before.GetWorkers() {
		earlier[w.GetId()] = w
	}
	var all, compute, wait float64
	for _, w := range after.GetWorkers() {
		if e := earlier[w.GetId()]; e != nil {
			all += w.GetUpSeconds() - e.GetUpSeconds()
			compute += w.GetComputeSeconds() - e.GetComputeSeconds()
			wait += w.GetWaitSeconds() - e.GetWaitSeconds()
		}
	}
	if all > 0 {
		p.Compute, p.Wait = compute/all, max(0, wait/all) // another leader counts from 0
		p.Communication = max(0, 1-p.Compute-p.Wait)
	}
}

// readChains reads c(1), c(2) … from the ledger.
func (p *Point) readChains(ctx context.Context, cl *client.Client, id string) error {
	for row, err := range cl.Rows(ctx, id, 0) {
		if err != nil {
			return fmt.Errorf("ledger of %s: %w", id, err)
		}
		p.chains = append(p.chains, row.GetChain())
	}
	return nil
}

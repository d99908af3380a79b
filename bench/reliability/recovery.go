package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"convoy/api"
	"convoy/bench/report"
	"convoy/client"
	"convoy/local"
	"convoy/scaling"
)

// A fault is one way to disturb a cluster of three replicas and two workers.
type fault struct {
	name, title string
	goal        float64 // seconds, 0: none
	// strike does it and returns the instant from which the time without progress
	// counts; mend puts the cluster in order again.
	strike func(context.Context, *local.Cluster) (time.Time, error)
	mend   func(context.Context, *local.Cluster) error
}

// struck is who was struck last.
var struck string

var faults = []fault{
	{
		"kill-worker", "a worker is killed", 0.3,
		func(_ context.Context, c *local.Cluster) (time.Time, error) { return now(c.Kill("w1")) },
		func(_ context.Context, c *local.Cluster) error { return c.Restart("w1") },
	},
	{
		"stop-worker", "a worker is stopped (SIGSTOP)", 0.3,
		func(_ context.Context, c *local.Cluster) (time.Time, error) { return now(c.Stop("w1")) },
		func(_ context.Context, c *local.Cluster) error { return c.Cont("w1") },
	},
	{
		"kill-follower", "a replica that follows is killed", 0,
		func(ctx context.Context, c *local.Cluster) (time.Time, error) { return one(ctx, c, false, c.Kill) },
		func(_ context.Context, c *local.Cluster) error { return c.Restart(struck) },
	},
	{
		"kill-leader", "the leader is killed", 1.5,
		func(ctx context.Context, c *local.Cluster) (time.Time, error) { return one(ctx, c, true, c.Kill) },
		func(_ context.Context, c *local.Cluster) error { return c.Restart(struck) },
	},
	{
		"term-leader", "the leader leaves (SIGTERM)", 0,
		func(ctx context.Context, c *local.Cluster) (time.Time, error) { return one(ctx, c, true, c.Term) },
		func(_ context.Context, c *local.Cluster) error { return c.Restart(struck) },
	},
	{
		"restart-nats", "NATS is killed; from its return on", 1,
		func(_ context.Context, c *local.Cluster) (time.Time, error) {
			if err := c.Kill("nats"); err != nil {
				return time.Time{}, err
			}
			time.Sleep(300 * time.Millisecond) // an outage, so that all notice
			return now(c.Restart("nats"))
		},
		func(context.Context, *local.Cluster) error { return nil },
	},
	{
		"kill-all", "all replicas are killed; from their return to the step that was lost", 0,
		func(_ context.Context, c *local.Cluster) (time.Time, error) {
			for _, id := range c.Replicas() {
				if err := c.Kill(id); err != nil {
					return time.Time{}, err
				}
			}
			for _, id := range c.Replicas() {
				if err := c.Restart(id); err != nil {
					return time.Time{}, err
				}
			}
			return time.Now(), nil
		},
		func(context.Context, *local.Cluster) error { return nil },
	},
}

func now(err error) (time.Time, error) { return time.Now(), err }

// one does something to the leader or to a follower.
func one(ctx context.Context, c *local.Cluster, leader bool, do func(string) error) (time.Time, error) {
	id, err := c.Leader(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if !leader {
		all := c.Replicas()
		id = all[(slices.Index(all, id)+1)%len(all)]
	}
	struck = id
	begin := time.Now()
	return begin, do(id)
}

// recoveryFile is how long each fault stopped progress.
type recoveryFile struct {
	Origin  report.Origin        `json:"origin"`
	Model   string               `json:"model"`
	Batch   int                  `json:"batch"`
	StepMS  float64              `json:"step_ms"` // without faults, median
	Seconds map[string][]float64 `json:"seconds"` // by fault
}

// recovery strikes a running cluster, again and again, and watches for how long no
// replica gets further.
func (s settings) recovery(ctx context.Context) (err error) {
	const model, batch = "lenet-relu", 256
	f := recoveryFile{
		Origin: report.NewOrigin(fmt.Sprintf("go run ./bench/reliability --only recovery --strikes %d", s.strikes)),
		Model:  model, Batch: batch, Seconds: map[string][]float64{},
	}
	begin, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := local.Start(begin, local.Options{Replicas: 3, Workers: 2, Threads: 1, Coordinator: s.coordinator, Worker: s.worker})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	id, err := scaling.Job{Model: model, Batch: batch, MicroBatches: 8, Workers: 2}.Submit(begin, c.Client())
	if err != nil {
		return err
	}
	w := watch(ctx, c.Client(), id)
	defer w.stop()
	if err := w.settled(ctx); err != nil {
		return err
	}
	from, at := w.newest()
	time.Sleep(3 * time.Second)
	to, end := w.newest()
	f.StepMS = end.Sub(at).Seconds() * 1000 / float64(to-from)
	for _, k := range faults {
		for range s.strikes {
			gap, err := w.strike(ctx, c, k)
			if err != nil {
				return fmt.Errorf("%s: %w", k.title, err)
			}
			f.Seconds[k.name] = append(f.Seconds[k.name], gap)
		}
		report.Progress("%s: median %.0f ms of %d", k.title, 1000*report.Median(f.Seconds[k.name]), s.strikes)
	}
	return report.WriteRaw(s.path("recovery"), f)
}

// A watcher asks all replicas every few milliseconds which state they hold.
type watcher struct {
	end context.CancelFunc
	all sync.WaitGroup

	mu   sync.Mutex
	step uint64    // the newest state that anybody has
	at   time.Time // since when
}

const lookEvery = 3 * time.Millisecond

func watch(ctx context.Context, cl *client.Client, id string) *watcher {
	w := &watcher{at: time.Now()}
	ctx, w.end = context.WithCancel(ctx)
	for _, conn := range cl.Connections() {
		replica := api.NewReplicasClient(conn)
		w.all.Go(func() {
			for tick := time.NewTicker(lookEvery); ctx.Err() == nil; <-tick.C {
				ask, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				if h, err := replica.Held(ask, &api.HeldRequest{Job: id}); err == nil && h.GetReady() {
					w.see(h.GetStep())
				}
				cancel()
			}
		})
	}
	return w
}

func (w *watcher) see(step uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if step > w.step {
		w.step, w.at = step, time.Now()
	}
}

func (w *watcher) newest() (uint64, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.step, w.at
}

func (w *watcher) stop() {
	w.end()
	w.all.Wait()
}

// settled waits until a second's progress had no gap of more than 0.2 s.
func (w *watcher) settled(ctx context.Context) error {
	const need, gap, patience = time.Second, 200 * time.Millisecond, time.Minute
	deadline, quiet := time.Now().Add(patience), time.Now()
	for time.Since(quiet) < need {
		if _, at := w.newest(); time.Since(at) > gap {
			quiet = time.Now()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("the job makes no steady progress within %v", patience), ctx.Err())
		}
		time.Sleep(lookEvery)
	}
	return nil
}

// strike lets a fault strike and returns the longest time without a new step
// within the two seconds after it, or until the next step where that takes longer.
func (w *watcher) strike(ctx context.Context, c *local.Cluster, k fault) (seconds float64, err error) {
	const look, patience = 2 * time.Second, time.Minute
	step, _ := w.newest()
	from, err := k.strike(ctx, c)
	if err != nil {
		return 0, err
	}
	last := from
	var longest time.Duration
	for {
		now, at := w.newest()
		if now > step && at.After(last) {
			longest = max(longest, at.Sub(last))
			step, last = now, at
		}
		waited := time.Since(from)
		if waited > look && last.After(from) {
			break
		}
		if waited > patience || ctx.Err() != nil {
			return 0, errors.Join(fmt.Errorf("no step within %v", patience), ctx.Err())
		}
		time.Sleep(time.Millisecond)
	}
	if err := k.mend(ctx, c); err != nil {
		return 0, err
	}
	return longest.Seconds(), w.settled(ctx)
}

func (s settings) recoveryTable(origins *report.Table) (string, error) {
	var f recoveryFile
	found, err := report.ReadRaw(s.path("recovery"), &f)
	if err != nil {
		return "", err
	}
	t := &report.Table{Head: []string{"fault", "strikes", "p50, s", "p99, s", "longest, s", "goal, s"}}
	if found {
		origins.From("recovery", f.Origin, nil)
	}
	for _, k := range faults {
		v := slices.Sorted(slices.Values(f.Seconds[k.name]))
		if len(v) == 0 {
			continue
		}
		goal := "–"
		if k.goal > 0 {
			goal = fmt.Sprint(k.goal)
		}
		t.Add(k.title, fmt.Sprint(len(v)), fmt.Sprintf("**%.3f**", percentile(v, 50)), fmt.Sprintf("%.3f", percentile(v, 99)), fmt.Sprintf("%.3f", v[len(v)-1]), goal)
	}
	if !found {
		return t.String(), nil
	}
	return fmt.Sprintf("%s, batch %d, a step every %.1f ms without faults.\n\n%s", f.Model, f.Batch, f.StepMS, t), nil
}

// percentile is the nearest-rank percentile of sorted values.
func percentile(v []float64, p float64) float64 {
	return v[max(0, int(math.Ceil(p/100*float64(len(v))))-1)]
}

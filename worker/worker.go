// Package worker is a process that computes partials: it follows the standing
// plan of whoever leads, computes its micro-batches on the current state, and
// applies the gradients that come back.
//
// It owns the worker's side of the protocol as a pure machine (machine.go) and the
// shell that carries it out (this file); nodes are computed by convoy/compute. It
// knows no Raft. It promises that leaving it out, adding it or stopping it at any
// instant changes nothing but the time a step takes.
package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"convoy/api"
	"convoy/bus"
	"convoy/client"
	"convoy/data"
	"convoy/failpoint"
	"convoy/kernels"
)

// Config sets up a worker.
type Config struct {
	ID      string // one word, unique in the cluster
	Cluster string
	Threads int    // goroutines that compute; 0 means 1
	Cache   string // folder for the shards of data sets; empty keeps none on disk
	// CacheBytes bounds the shards in Cache; 0 keeps all.
	CacheBytes int64
	// DataMemory bounds the shards held in memory, in bytes; 0 is
	// data.MaxResidentBytes, which is also the most. A larger set is loaded
	// piece by piece, for which its job needs data.window.
	DataMemory int64
	Carrier    bus.Carrier
	// Replicas returns connections to some or all replicas as they are known now;
	// any that answers will do.
	Replicas func() []grpc.ClientConnInterface
	// ChunkFloats is the size of a chunk on the wire, 0 for the default.
	ChunkFloats int
	Log         *zap.Logger
}

// Check reports the first thing that is wrong with the settings.
func (c *Config) Check() error {
	if err := bus.CheckName(c.ID); err != nil {
		return fmt.Errorf("worker id: %w", err)
	}
	if err := bus.CheckName(c.Cluster); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if c.Threads < 0 || c.Threads > 1024 {
		return fmt.Errorf("%d threads: give 1 to 1024", c.Threads)
	}
	if c.CacheBytes < 0 || c.DataMemory < 0 || c.DataMemory > data.MaxResidentBytes {
		return fmt.Errorf("%d bytes of shards on disk and %d in memory: give 0 or more, and at most %d in memory", c.CacheBytes, c.DataMemory, int64(data.MaxResidentBytes))
	}
	if c.Replicas == nil || len(c.Replicas()) == 0 {
		return errors.New("no replica to ask: give the address of at least one")
	}
	return nil
}

// ErrKilled as the cause of Run's context makes a worker leave as a crash would:
// without a word.
var ErrKilled = errors.New("killed")

// Worker computes for one cluster.
type Worker struct {
	cfg     Config
	machine *Machine
	pool    *kernels.Pool
	working sync.Mutex // held by whoever uses the pool: a job dropped may still be at it
	inbox   chan func()
	done    chan struct{}
	started time.Time
	tasks   sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
	current *assignment // the job joined, nil without one; the loop's own
}

// New returns a worker; Run starts it.
func New(cfg Config) (*Worker, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.Threads = max(cfg.Threads, 1)
	if cfg.DataMemory == 0 {
		cfg.DataMemory = data.MaxResidentBytes
	}
	w := &Worker{cfg: cfg, inbox: make(chan func(), 1024), done: make(chan struct{}), started: time.Now()}
	w.machine = NewMachine(MachineConfig{
		Cluster: cfg.Cluster, Self: cfg.ID, Threads: cfg.Threads, ChunkFloats: cfg.ChunkFloats,
		Incarnation: rand.Text(),
	})
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w, nil
}

// Run works until ctx ends, then hands its blocks back and leaves.
func (w *Worker) Run(ctx context.Context) error {
	w.pool = kernels.NewPool(w.cfg.Threads)
	defer w.pool.Close()
	hands := kernels.NewPool(w.cfg.Threads) // the machine's: pool may be computing
	defer hands.Close()
	w.machine.cfg.Runner = hands
	leave, err := w.cfg.Carrier.Subscribe(bus.WorkerIn(w.cfg.Cluster, w.cfg.ID), w.receive)
	if err != nil {
		return fmt.Errorf("worker %s: subscribe: %w", w.cfg.ID, err)
	}
	w.loop(ctx)
	close(w.done)
	w.stop()
	leave()
	if w.current != nil {
		w.current.close()
	}
	w.tasks.Wait()
	return nil
}

func (w *Worker) loop(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), ErrKilled) {
				w.step(Leave{})
			}
			return
		case f := <-w.inbox:
			f()
		case <-ticker.C:
			w.step(Tick{})
		}
	}
}

func (w *Worker) receive(m bus.Message) { w.post(Received{m}) }

// post brings an event into the loop; it waits while the inbox is full and
// drops the event once the loop has ended.
func (w *Worker) post(ev Event) {
	select {
	case w.inbox <- func() { w.step(ev) }:
	case <-w.done:
	}
}

func (w *Worker) step(ev Event) {
	if j, ok := ev.(joinedJob); ok {
		w.settle(j)
		ev = j.Joined
	}
	row := isRow(ev)
	if row {
		failpoint.Pass(failpoint.WorkerBeforeApply)
	}
	actions := w.machine.Step(time.Since(w.started), ev)
	if row {
		failpoint.Pass(failpoint.WorkerAfterApply)
	}
	for _, a := range actions {
		w.carryOut(a)
	}
}

// isRow reports whether an event closes a gradient, which is applied then if its
// chunks are there.
func isRow(ev Event) bool {
	received, ok := ev.(Received)
	return ok && received.GetRow() != nil
}

func (w *Worker) carryOut(a Action) {
	switch a := a.(type) {
	case Send:
		partial := a.Message.GetPartial() != nil
		if partial {
			failpoint.Pass(failpoint.WorkerBeforePartial)
		}
		if err := w.cfg.Carrier.Publish(a.Subject, a.Message); err != nil {
			w.cfg.Log.Debug("message lost, it will be repaired", zap.String("subject", a.Subject), zap.Error(err))
		}
		if partial {
			failpoint.Pass(failpoint.WorkerAfterPartial)
		}
	case Note:
		w.cfg.Log.Info(a.Text)
	case Join:
		w.task(func(ctx context.Context) { w.post(w.join(ctx, a.Job)) })
	case Drop:
		if current := w.current; current != nil {
			// Beside the loop: it waits for a delivery, which may wait for the loop.
			w.task(func(context.Context) { current.close() })
			w.current = nil
		}
	case FetchState:
		current := w.current
		w.task(func(ctx context.Context) { w.post(w.fetchState(ctx, a.Job, current)) })
	case Locate:
		w.task(func(ctx context.Context) { w.locate(ctx, a.Job) })
	case FetchGradient:
		w.task(func(ctx context.Context) { w.post(w.fetchGradient(ctx, a)) })
	case Compute:
		current := w.current
		w.task(func(context.Context) { current.work(current.life, a, w.post) })
	default:
		panic(fmt.Sprintf("worker: unknown action %T", a))
	}
}

// task runs f beside the loop until the worker stops.
func (w *Worker) task(f func(ctx context.Context)) { w.tasks.Go(func() { f(w.ctx) }) }

// joinedJob is what a Join brings: the machine's event and what the shell needs.
type joinedJob struct {
	Joined
	assignment *assignment
}

// settle takes over a job that was prepared, unless it is no longer wanted.
func (w *Worker) settle(j joinedJob) {
	if j.assignment == nil {
		return
	}
	if j.Job.ID != w.machine.jobID || w.current != nil {
		w.task(func(context.Context) { j.assignment.close() })
		return
	}
	w.current = j.assignment
}

func (w *Worker) locate(ctx context.Context, id string) {
	answer, err := client.Ask(ctx, w.cfg.Replicas, time.Second, func(ctx context.Context, conn grpc.ClientConnInterface) (*api.HeldResponse, error) {
		return api.NewReplicasClient(conn).Held(ctx, &api.HeldRequest{Job: id})
	})
	if err != nil {
		w.cfg.Log.Warn("no replica answers: start one, or give the worker other addresses", zap.Error(err))
		return
	}
	w.post(Located{answer})
}

func (w *Worker) fetchState(ctx context.Context, id string, a *assignment) Event {
	if a == nil {
		return FetchedState{Job: id, Err: errors.New("the job is not joined")}
	}
	got, err := client.Ask(ctx, w.cfg.Replicas, time.Minute, func(ctx context.Context, conn grpc.ClientConnInterface) (FetchedState, error) {
		c, err := a.fetchState(ctx, api.NewReplicasClient(conn))
		return FetchedState{Job: id, Copy: c}, err
	})
	if err != nil {
		return FetchedState{Job: id, Err: err}
	}
	return got
}

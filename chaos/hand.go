package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"convoy/api"
	"convoy/local"
	"convoy/local/link"
)

// hand plays a plan of faults on a cluster.
type hand struct {
	ctx      context.Context
	cluster  *local.Cluster
	job      string
	mischief *mischief
	marks    *marks
	replicas int
	notify   func(string)
	report   *Report
}

const (
	// How long a fault that lasts does so at least, past a leader's lease and the
	// second after which one without NATS hands over.
	holdFor = 1500 * time.Millisecond
	// Where a fault stops the job until it is healed, it is healed by then.
	holdMost = 4 * time.Second
	// How many messages are sent twice, or changed, before that ends.
	messagesOfFault = 20
)

// play lets the faults fall, one after the other, until all have or the job has
// ended.
func (h *hand) play(plan []strike) error {
	for i, s := range plan {
		err := h.marks.wait(h.ctx, s.step, patience)
		if err == nil {
			err = h.prepare()
		}
		if err == nil {
			err = h.fall(s, i+1, len(plan))
		}
		if errors.Is(err, errOver) {
			return nil // the report counts what is missing
		}
		if err != nil {
			return fmt.Errorf("fault %d of %d, %s at step %d: %w", i+1, len(plan), s.kind, h.marks.done(), err)
		}
	}
	return nil
}

// prepare waits until everybody is back from the fault before: two at once could
// take a majority, and a job is not made to survive that without a pause. The job
// is slowed down meanwhile, so that a short one lasts.
func (h *hand) prepare() error {
	h.mischief.slow.Store(true)
	defer h.mischief.slow.Store(false)
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if h.marks.ended() {
			return errOver
		}
		if err := h.cluster.Fallen(); err != nil {
			return err
		}
		whole, why := h.whole(ctx)
		if whole {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not whole again: %s: %w", why, ctx.Err())
		case <-tick.C:
		}
	}
}

// whole reports that all coordinators hold the job's state and hear NATS, and
// that all workers have been heard of.
func (h *hand) whole(ctx context.Context) (bool, string) {
	s, err := h.cluster.Client().Cluster(ctx)
	if err != nil {
		return false, err.Error()
	}
	if s.GetLeader() == "" {
		return false, "nobody leads"
	}
	for _, r := range s.GetReplicas() {
		if !r.GetReachable() || !r.GetNats() || r.GetJob() != h.job {
			return false, fmt.Sprintf("%s is not ready: %s", r.GetId(), r.GetProblem())
		}
	}
	ready := 0
	for _, w := range s.GetWorkers() {
		if w.GetJob() == h.job {
			ready++
		}
	}
	if all := len(h.cluster.Workers()); ready < all {
		return false, fmt.Sprintf("%d of %d workers have joined", ready, all)
	}
	return true, ""
}

// fall lets one fault happen, heals it, and notes how the job came through.
func (h *hand) fall(s strike, number, of int) error {
	f, err := h.fault(s)
	if err != nil {
		return err
	}
	if err := f.begin(); err != nil {
		return err
	}
	at, step := time.Now(), h.marks.done()
	if err := h.last(f, step); err != nil && !errors.Is(err, errOver) {
		return errors.Join(err, f.heal())
	}
	if err := f.heal(); err != nil {
		return err
	}
	err = h.marks.wait(h.ctx, step+stepsOfFault, patience)
	recovery, struck := h.marks.longest(at, step, stepsOfFault)
	if !struck {
		return err // the job was over when it fell, so it counts for nothing
	}
	e := Event{AtMS: ms(h.marks.since(at)), Step: step, Kind: s.kind, Target: f.target, RecoveryMS: ms(recovery)}
	h.report.add(e)
	h.notify(fmt.Sprintf("fault %d of %d: %s %s at step %d: longest wait for a step %.0f ms", number, of, e.Kind, e.Target, e.Step, e.RecoveryMS))
	return err
}

// last waits for as long as a fault is to last.
func (h *hand) last(f fault, step int) error {
	if f.lasts == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, holdMost)
	defer cancel()
	over := time.NewTimer(f.atLeast)
	defer over.Stop()
	err := f.lasts(ctx, step)
	if ctx.Err() != nil {
		return context.Cause(h.ctx) // it lasted long enough
	}
	if err != nil {
		return err
	}
	h.mischief.slow.Store(true) // how the job came through is known
	defer h.mischief.slow.Store(false)
	select {
	case <-over.C:
	case <-h.ctx.Done():
	}
	return context.Cause(h.ctx)
}

// fault is something to do to the cluster and to undo again.
type fault struct {
	target  string // whom it hits, for people
	begin   func() error
	atLeast time.Duration
	// lasts waits until the fault has lasted long enough; nil: it is over at once.
	lasts func(ctx context.Context, step int) error
	heal  func() error
}

// steps lets a fault last until the job has got over it.
func (h *hand) steps(ctx context.Context, step int) error {
	return h.marks.wait(ctx, step+stepsOfFault, patience)
}

// fault makes a strike concrete: whom it hits follows from how the cluster stands.
func (h *hand) fault(s strike) (fault, error) {
	c := h.cluster
	switch s.kind {
	case KillLeader, KillReplica, KillWorker:
		target, err := h.target(map[Kind]role{KillLeader: leader, KillReplica: follower, KillWorker: busyWorker}[s.kind], s.roll)
		f := fault{
			target: target, begin: func() error { return c.Kill(target) },
			lasts: h.steps, heal: func() error { return c.Restart(target) },
		}
		if s.kind == KillWorker && len(c.Workers()) == 1 || s.kind != KillWorker && h.replicas < 3 {
			f.lasts = nil // nothing can happen without it
		}
		return f, err
	case Pause:
		target, err := h.target([]role{leader, busyWorker, follower}[(s.nth+int(s.roll%3))%3], s.roll)
		return fault{
			target: target, begin: func() error { return c.Stop(target) },
			atLeast: holdFor, lasts: h.steps, heal: func() error { return c.Cont(target) },
		}, err
	case RestartNATS:
		return fault{
			target: "nats", begin: func() error { return c.Kill("nats") },
			heal: func() error { return c.Restart("nats") },
		}, nil
	case KillAll:
		all := c.Replicas()
		return fault{target: "all coordinators", begin: func() error { return each(all, c.Kill) }, heal: func() error { return each(all, c.Restart) }}, nil
	case Partition:
		return h.partition(s)
	case Duplicate, Corrupt:
		f := fault{
			target: "all links to NATS", begin: func() error { h.mischief.set(s.kind == Duplicate, s.kind == Corrupt); return nil },
			lasts: h.messages, heal: func() error { h.mischief.set(false, false); return nil },
		}
		return f, nil
	}
	return fault{}, fmt.Errorf("no fault is called %q", s.kind)
}

// each does something to each of several processes.
func each(names []string, do func(string) error) error {
	for _, name := range names {
		if err := do(name); err != nil {
			return err
		}
	}
	return nil
}

// messages lets what happens to messages last until it has happened to enough.
func (h *hand) messages(ctx context.Context, step int) error {
	for n := stepsOfFault; ; n++ {
		if err := h.marks.wait(ctx, step+n, patience); err != nil || h.mischief.done() >= messagesOfFault {
			return err
		}
	}
}

// partitions are the cuts that take turns.
var partitions = []struct {
	who         role
	nats, peers bool
	text        string
}{
	{leader, true, false, "from NATS"},
	{follower, true, true, "from everybody"},
	{leader, false, true, "from all but NATS"},
	{busyWorker, true, false, "from NATS"},
	{leader, true, true, "from everybody"},
}

func (h *hand) partition(s strike) (fault, error) {
	p := partitions[(s.nth+int(s.roll%uint64(len(partitions))))%len(partitions)]
	fate := []link.Fate{link.Cut, link.Hold}[(s.nth+int(s.roll>>32))%2]
	target, err := h.target(p.who, s.roll)
	return fault{
		target: fmt.Sprintf("%s %s (%s)", target, p.text, fate),
		begin: func() error {
			return h.cluster.Cut(local.Cut{Name: target, NATS: p.nats, Peers: p.peers, Fate: fate})
		},
		atLeast: holdFor, lasts: h.steps, heal: h.cluster.Heal,
	}, err
}

// role is whom a fault looks for.
type role int

const (
	leader role = iota
	follower
	busyWorker
)

// target names a process in a role; where there is no follower, the leader.
func (h *hand) target(r role, roll uint64) (string, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	leads, err := h.cluster.Leader(ctx)
	if err != nil || r == leader {
		return leads, err
	}
	var list []string
	if r == follower {
		list = slices.DeleteFunc(h.cluster.Replicas(), func(id string) bool { return id == leads })
		if len(list) == 0 {
			return leads, nil
		}
	} else if list, err = h.busy(ctx); err != nil {
		return "", err
	}
	slices.Sort(list)
	return list[roll%uint64(len(list))], nil
}

// busy lists the workers that have a share of the standing plan, or all where
// none has.
func (h *hand) busy(ctx context.Context) ([]string, error) {
	s, err := h.cluster.Client().Cluster(ctx)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, w := range s.GetWorkers() {
		if has(w) && h.cluster.Running(w.GetId()) {
			list = append(list, w.GetId())
		}
	}
	if len(list) == 0 {
		list = h.cluster.Workers()
	}
	return list, nil
}

func has(w *api.WorkerStatus) bool { return w.GetHigh() > w.GetLow() }

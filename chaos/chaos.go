// Package chaos breaks a local cluster while it runs a job, and compares what
// comes of it with the same job on the same kind of cluster left alone.
//
// It owns where the faults fall, what they do, and the verdict; package local
// owns the processes and the links. It promises that the same seed strikes the
// same kinds at the same steps, that every kind strikes as often as was asked
// while the job runs or the verdict says so, and that no fault takes a majority
// that the one before still needs. The method is that of Jepsen and of Netflix's
// chaos monkey, with a sharper question: not whether the outcome is one of those
// allowed, but whether it is the same to the bit.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"convoy/api"
	"convoy/client"
	"convoy/data"
	"convoy/local"
)

// Kind is a kind of fault.
type Kind string

// The kinds.
const (
	KillLeader  Kind = "kill-leader"  // SIGKILL to the coordinator that leads
	KillWorker  Kind = "kill-worker"  // SIGKILL to a worker that has a share
	KillReplica Kind = "kill-replica" // SIGKILL to a coordinator that does not lead
	Pause       Kind = "pause"        // SIGSTOP to a coordinator or worker, and SIGCONT
	RestartNATS Kind = "restart-nats" // SIGKILL to NATS, which is started again
	Partition   Kind = "partition"    // a process is cut off from others, or held back
	Duplicate   Kind = "duplicate"    // messages arrive again, later
	Corrupt     Kind = "corrupt"      // bits of messages are flipped
	KillAll     Kind = "kill-all"     // SIGKILL to all coordinators at once
)

// Kinds are those that strike unless others are asked for. KillAll is not among
// them: it takes all memory of the job's state, and what comes after is not a
// question of finding one's way but of computing steps again.
var Kinds = []Kind{KillLeader, KillWorker, KillReplica, Pause, RestartNATS, Partition, Duplicate, Corrupt}

// All are all kinds.
var All = append(slices.Clone(Kinds), KillAll)

// Options set up Run.
type Options struct {
	// Cluster gives Replicas, Workers, Threads, the binaries and the folder for both
	// runs; unset, that is a new one, which is kept where something went wrong. The
	// rest is set here.
	Cluster local.Options
	File    []byte    // the job file, YAML
	Data    *data.Set // to upload; nil for a built-in set
	Kinds   []Kind    // empty: of the package's Kinds all that such a cluster can have
	Times   int       // that each kind strikes; 0 means 3
	Seed    uint64
	// Notify is told of each thing that happens, in one line; nil: nobody is.
	Notify func(string)
}

const (
	defaultTimes = 3
	// stepsOfFault is how many published steps a fault's recovery is looked for
	// in, and so how many a fault needs at least.
	stepsOfFault = 3
	// patience is how long a cluster may be without progress, or incomplete,
	// before it counts as stuck.
	patience = 2 * time.Minute
)

func (o *Options) check() error {
	if o.Times == 0 {
		o.Times = defaultTimes
	}
	o.Cluster.Replicas = max(o.Cluster.Replicas, 1)
	if o.Cluster.Workers < 1 {
		return errors.New("a cluster without workers computes nothing: give at least 1")
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if len(o.Kinds) == 0 {
		o.Kinds = slices.Clone(Kinds)
		if o.Cluster.Replicas == 1 {
			o.Kinds = slices.DeleteFunc(o.Kinds, func(k Kind) bool { return k == KillReplica })
		}
	}
	if slices.Contains(o.Kinds, KillReplica) && o.Cluster.Replicas == 1 {
		return fmt.Errorf("%s with one replica, which leads: use %s, or more replicas", KillReplica, KillLeader)
	}
	if o.Cluster.Worker == "" {
		var err error
		o.Cluster.Worker, err = local.FindWorker()
		return err
	}
	return nil
}

// Run runs the job twice and reports. The error is of what could not be tried;
// whether the cluster kept its promise is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	r := newReport(o)
	temporary := o.Cluster.Dir == ""
	if temporary {
		var err error
		if o.Cluster.Dir, err = os.MkdirTemp("", "convoy-chaos-"); err != nil {
			return r, fmt.Errorf("folder of the clusters: %w", err)
		}
	}
	err := o.both(ctx, &r)
	if temporary && (r.Passed || errors.Is(err, context.Canceled)) {
		return r, errors.Join(err, os.RemoveAll(o.Cluster.Dir))
	}
	r.Logs = o.Cluster.Dir
	if err != nil {
		err = fmt.Errorf("%w; the logs are in %s", err, o.Cluster.Dir)
	}
	return r, err
}

// both runs the job without faults and then with them.
func (o Options) both(ctx context.Context, r *Report) error {
	o.Notify(fmt.Sprintf("reference: %d replicas, %d workers, no faults", o.Cluster.Replicas, o.Cluster.Workers))
	reference, err := o.reference(ctx)
	if err != nil {
		return fmt.Errorf("reference run: %w", err)
	}
	r.reference(reference)
	o.Notify(fmt.Sprintf("reference: %d steps in %.1f s, digest %s", r.Steps, r.ReferenceSeconds, r.ReferenceDigest))
	plan, err := place(o.Seed, o.Kinds, o.Times, int(r.Steps))
	if err != nil {
		return err
	}
	return o.disturbed(ctx, plan, reference, r)
}

// outcome is what a run leaves.
type outcome struct {
	status *api.JobStatus
	rows   []*api.LedgerRow
	marks  *marks
}

// reference runs the job undisturbed.
func (o Options) reference(ctx context.Context) (outcome, error) {
	o.Cluster.Dir = filepath.Join(o.Cluster.Dir, "reference")
	return o.run(ctx, newMischief(o.Seed), nil)
}

// disturbed runs it with the faults, and completes the report.
func (o Options) disturbed(ctx context.Context, plan []strike, reference outcome, r *Report) error {
	o.Cluster.Dir = filepath.Join(o.Cluster.Dir, "disturbed")
	m := newMischief(o.Seed)
	got, err := o.run(ctx, m, func(ctx context.Context, c *local.Cluster, job string) error {
		h := &hand{ctx: ctx, cluster: c, job: job, mischief: m, marks: m.marks, replicas: o.Cluster.Replicas, notify: o.Notify, report: r}
		return h.play(plan)
	})
	if err != nil {
		return err
	}
	r.judge(o, got, reference)
	return nil
}

// run starts a cluster, hands the job in, disturbs it, and waits for its end.
func (o Options) run(ctx context.Context, m *mischief, disturb func(context.Context, *local.Cluster, string) error) (got outcome, err error) {
	cluster := o.Cluster
	cluster.Links, cluster.Messages = true, m.filter
	c, err := local.Start(ctx, cluster)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	m.marks.begin()
	s, err := c.Client().Submit(ctx, client.Submission{RequestID: requestID(), File: o.File, Data: o.Data})
	if err != nil {
		return got, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan error, 1)
	go func() {
		var err error
		got.status, err = watch(ctx, c.Client(), s.GetJob())
		m.marks.end()
		watched <- err
	}()
	if disturb != nil {
		if err := disturb(ctx, c, s.GetJob()); err != nil {
			stop(err)
			return got, errors.Join(err, ignore(<-watched, err))
		}
	}
	if err := <-watched; err != nil {
		return got, err
	}
	got.marks = m.marks
	for row, err := range c.Client().Rows(ctx, s.GetJob(), 0) {
		if err != nil {
			return got, fmt.Errorf("read the ledger: %w", err)
		}
		got.rows = append(got.rows, row)
	}
	return got, nil
}

// ignore drops an error that only repeats its cause.
func ignore(err, cause error) error {
	if errors.Is(err, cause) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func requestID() string { return fmt.Sprintf("chaos-%016d", time.Now().UnixNano()) }

// watch follows the job to its end, which must be that it has finished.
func watch(ctx context.Context, c *client.Client, job string) (*api.JobStatus, error) {
	var last *api.JobStatus
	if err := c.Watch(ctx, job, func(s *api.JobStatus) error { last = s; return nil }); err != nil {
		return last, err
	}
	if last.GetPhase() != api.Phase_PHASE_FINISHED {
		return last, fmt.Errorf("the job ended as %v at step %d: %s", last.GetPhase(), last.GetStep(), last.GetReason())
	}
	return last, nil
}

package ps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"convoy/api"
	"convoy/bus"
	"convoy/checkpoint"
	"convoy/digest"
	"convoy/job"
	"convoy/metrics"
	"convoy/state"
)

// runner is the shell around the machine of the active job: it carries out what
// the machine decides. Its methods run in the replica's loop; what takes long
// runs beside it and comes back as an event.
type runner struct {
	r       *Replica
	job     *state.Job
	machine *Machine
	dir     string
	record  *api.JobRecord
	known   map[int]digest.Sum // c(t+1) of steps committed before the state was lost
	leave   func()             // the gradients' subscription
	saves   chan WriteCheckpoint
	stop    context.CancelFunc
	ctx     context.Context
	meter   meter
	begun   bool // the first state is being prepared or is there
}

func (r *Replica) newRunner(record *api.JobRecord) (*runner, error) {
	recipe, err := job.ParseRecipe(record.Submit.Recipe)
	if err != nil {
		return nil, err
	}
	n := &runner{
		r: r, job: state.NewJob(record.Submit.Job, recipe), record: record,
		dir: r.jobDir(record.Submit.Job), saves: make(chan WriteCheckpoint, 1),
	}
	if err := os.MkdirAll(n.checkpoints(), 0o755); err != nil {
		return nil, fmt.Errorf("folder of the job: %w; give a data folder that this user may write", err)
	}
	voters, joining := r.sides()
	n.machine = NewMachine(MachineConfig{
		Cluster: r.cfg.Cluster, Self: r.cfg.ID, Voters: voters, Joining: joining,
		ChunkFloats: r.cfg.ChunkFloats, Silence: r.cfg.Silence, Quarantined: r.quarantined,
		Recorded: func(t int) (digest.Sum, bool) { c, ok := n.known[t]; return c, ok },
	}, n.job, record)
	n.leave, err = r.cfg.Carrier.Subscribe(bus.Gradients(r.cfg.Cluster, n.job.ID), r.receive)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the job's gradients: %w", err)
	}
	n.ctx, n.stop = context.WithCancel(r.ctx)
	r.task(func(context.Context) { n.save() })
	return n, nil
}

func (r *Replica) jobDir(id string) string { return filepath.Join(r.cfg.Dir, "jobs", id) }

func (n *runner) id() string { return n.job.ID }

func (n *runner) checkpoints() string { return filepath.Join(n.dir, "checkpoints") }

// close leaves the job; what is under way ends by itself. Unsubscribing waits for
// a delivery, which may wait for the loop, and so happens beside it.
func (n *runner) close() {
	n.stop()
	n.r.task(func(context.Context) { n.leave() })
}

// post brings an event from a task back into the loop, unless the runner has
// been replaced meanwhile.
func (n *runner) post(ev Event) {
	n.r.post(func() {
		if n.r.runner == n {
			n.r.step(n, ev)
		}
	})
}

// step lets the machine take one event and carries out its actions.
func (r *Replica) step(n *runner, ev Event) {
	switch ev := ev.(type) {
	case Recorded:
		n.noteRecord(ev.Job)
	case FetchedGradient:
		if ev.Err == nil {
			r.metrics.Repaired(metrics.Gradient, 1)
		}
	case FetchedState:
		if ev.Err == nil {
			r.metrics.Repaired(metrics.State, 1)
		}
	}
	for ev != nil {
		n.before(ev)
		held := n.held()
		actions := n.machine.Step(time.Since(r.started), ev)
		n.taken(ev, held)
		ev = nil
		for _, a := range actions {
			if _, again := a.(Again); again {
				ev = a
			} else {
				n.carryOut(a)
			}
		}
		n.told(held)
	}
	r.dirty = true
}

func (n *runner) carryOut(a Action) {
	switch a := a.(type) {
	case Send:
		n.send(a)
	case Note:
		n.r.log(n.id(), a.Text)
	case Propose:
		n.r.task(func(ctx context.Context) {
			if err := n.r.Propose(ctx, a.Entry); err != nil {
				n.post(ProposalFailed{err})
				return
			}
			n.post(Proposed{})
		})
	case Acknowledge:
		n.beside(a.To, time.Second, func(ctx context.Context, c api.ReplicasClient, err error) Event {
			if err == nil {
				_, _ = c.Acknowledge(ctx, a.Ack) // the next one comes soon
			}
			return nil
		})
	case AskHeld:
		for _, id := range a.Replicas {
			n.beside(id, time.Second, func(ctx context.Context, c api.ReplicasClient, err error) Event {
				if err != nil {
					return nil
				}
				if answer, err := c.Held(ctx, &api.HeldRequest{Job: n.id()}); err == nil {
					return Held{answer}
				}
				return nil
			})
		}
	case FetchGradient:
		n.beside(a.From, 30*time.Second, func(ctx context.Context, c api.ReplicasClient, err error) Event {
			if err != nil {
				return FetchedGradient{Err: err}
			}
			g, err := state.FetchGradient(ctx, c, n.id(), a.Step)
			return FetchedGradient{g, err}
		})
	case FetchState:
		blank := n.machine.Keeper().Blank()
		n.beside(a.From, 2*time.Minute, func(ctx context.Context, c api.ReplicasClient, err error) Event {
			if err != nil {
				return FetchedState{Err: err}
			}
			got, err := state.FetchState(ctx, c, n.id(), blank)
			return FetchedState{got, err}
		})
	case WriteCheckpoint:
		n.saves <- a // never waits: the machine asks for one at a time
	default:
		panic(fmt.Sprintf("ps: unknown action %T", a))
	}
}

// beside asks another replica beside the loop and posts what comes of it; err is
// why it cannot be reached at all.
func (n *runner) beside(id string, limit time.Duration, ask func(context.Context, api.ReplicasClient, error) Event) {
	n.r.task(func(context.Context) {
		ctx, cancel := context.WithTimeout(n.ctx, limit)
		defer cancel()
		conn, err := n.r.cfg.Dial(n.r.address(id))
		if ev := ask(ctx, api.NewReplicasClient(conn), err); ev != nil {
			n.post(ev)
		}
	})
}

// begin prepares the first state once it is known who leads: only then has a
// leader applied the whole log, and knows what is committed.
func (n *runner) begin() {
	if !n.begun {
		n.begun = true
		record := n.record
		n.r.task(func(context.Context) { n.prepare(record) })
	}
}

// prepare finds the first state: the newest checkpoint that is whole, or the
// initial state. What was written is committed, see saves.
func (n *runner) prepare(record *api.JobRecord) {
	n.mend(record)
	keeper, saved := n.fromCheckpoint()
	if keeper == nil {
		s, err := n.r.cfg.Initial(n.job.Recipe)
		if err != nil {
			n.unable(fmt.Errorf("initial state: %w", err))
			return
		}
		own := s.Digest()
		chain := digest.Chain0(n.job.Hash, own)
		if want, ok := initialChain(record); ok && want != chain {
			n.unable(errors.New("it computes another initial state than the log has: run the same release everywhere"))
			return
		}
		keeper = state.NewKeeper(n.job, s, 0, chain)
	}
	known := n.r.ledgers.chains(record, keeper.Step())
	keeper.Share(n.r.cfg.Runner)
	n.r.post(func() {
		if n.r.runner != n {
			return
		}
		n.known = known
		if saved != nil {
			n.r.step(n, *saved)
		}
		n.r.step(n, Prepared{keeper})
	})
}

// unable gives the job up on this replica for a while.
func (n *runner) unable(err error) {
	n.r.post(func() {
		if n.r.runner == n {
			n.r.setRunner(nil)
			n.r.unable(n.id(), err)
		}
	})
}

func (n *runner) fromCheckpoint() (*state.Keeper, *CheckpointWritten) {
	files := checkpointFiles(n.checkpoints())
	for i := len(files) - 1; i >= 0; i-- {
		s, meta, err := checkpoint.Read(files[i].path, n.job.SGD)
		if err == nil && meta.Recipe.Hash() != n.job.Hash {
			err = fmt.Errorf("%s is of another recipe", files[i].path)
		}
		var sha digest.Sum
		if err == nil {
			sha, err = fileDigest(files[i].path)
		}
		if err != nil {
			n.r.log(n.id(), fmt.Sprintf("checkpoint passed over: %v", err))
			continue
		}
		n.r.log(n.id(), fmt.Sprintf("going on from the checkpoint at step %d", meta.Step))
		return state.NewKeeper(n.job, s, meta.Step, meta.Chain), &CheckpointWritten{Step: meta.Step, SHA256: sha}
	}
	return nil, nil
}

// save writes checkpoints, one at a time.
func (n *runner) save() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case w := <-n.saves:
			meta := checkpoint.Meta{Recipe: n.job.Recipe, Step: w.Step, Chain: w.Chain, Digest: w.State.Digest()}
			begun := time.Now()
			sha, err := n.r.write(checkpointPath(n.checkpoints(), w.Step), w.State, meta)
			if err != nil {
				n.r.fail(fmt.Errorf("job %s: %w; free or repair the disk, and start this replica again", n.id(), err))
				return
			}
			n.r.metrics.CheckpointSeconds.Observe(time.Since(begun).Seconds())
			n.post(CheckpointWritten{Step: w.Step, SHA256: sha})
		}
	}
}

// noteRecord removes checkpoints that newer recorded ones have replaced.
func (n *runner) noteRecord(record *api.JobRecord) {
	before := n.record.Checkpoint.GetStep()
	n.record = record
	recorded := record.Checkpoint.GetStep()
	if recorded == before {
		return
	}
	keep := max(int(record.Submit.CheckpointKeep), 1)
	files := checkpointFiles(n.checkpoints())
	for i := len(files) - 1; i >= 0; i-- {
		if uint64(files[i].step) > recorded {
			continue
		}
		if keep > 0 {
			keep--
		} else if err := os.Remove(files[i].path); err != nil {
			n.r.cfg.Log.Warn("old checkpoint not removed", zap.Error(err))
		}
	}
}

package ps

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
)

// simReplica is a replica's shell around the machine under test.
type simReplica struct {
	process
	raft    simRaft
	fsm     *control
	applied int // entries of the log
	pumping bool
	fresh   time.Duration // when its memory of the job began
	lag     time.Duration // more than an entry usually takes to be applied
	machine *Machine
	record  *api.JobRecord
	begun   bool
	runner  int // counts machines, so that late answers are known
	role    role
	ledSince,
	connectedAt, handedAt time.Duration
	disk     map[int]*simFile // checkpoints survive
	diskFull bool
	rows     []*api.LedgerRow // of this life's log
	held     int              // gradients ever held
}

// simFile is a checkpoint on disk.
type simFile struct {
	WriteCheckpoint
	damaged bool
}

func newSimReplica(w *world, id string) *simReplica {
	r := &simReplica{process: process{w: w, id: id}, disk: map[int]*simFile{}}
	r.raft.r = r
	r.boot, r.die = r.start, func() { r.machine = nil }
	return r
}

func (r *simReplica) start() {
	r.begin()
	r.fsm = newControl(r.watch, func() error { return nil })
	r.applied, r.pumping, r.machine, r.role, r.rows = 0, false, nil, role{}, nil
	r.connectedAt, r.handedAt, r.fresh = r.w.now, 0, r.w.now
	r.every(tickEvery, func() { r.step(Tick{}); r.handOverIfCutOff() })
	r.raft.restart()
	r.pump()
	r.learnRole()
}

// pump applies what is committed of the log, entry by entry.
func (r *simReplica) pump() {
	if r.pumping || r.applied >= r.raft.commit {
		return
	}
	r.pumping = true
	r.later(r.w.between(100*time.Microsecond, 5*time.Millisecond+r.lag), func() {
		r.pumping = false
		r.applied++
		e := r.raft.log[r.applied-1]
		if e.data != nil {
			if err := r.fsm.Apply(raftEntry(r.applied, e)); err != nil {
				r.w.violated("%s cannot apply entry %d: %v", r.id, r.applied, err)
			}
		} else {
			r.learnRole()
		}
		r.raft.applied(r.applied)
		r.pump()
	})
}

func (r *simReplica) watch(c change) {
	r.w.holds.recorded(r, c.rows)
	r.w.holds.decided(r, c)
	r.rows = append(r.rows, c.rows...)
	r.later(100*time.Microsecond, r.refresh)
}

func (r *simReplica) learnRole() {
	r.later(r.w.between(time.Millisecond, 100*time.Millisecond), func() {
		if now := r.raft.seen(); now != r.role {
			r.role = now
			r.ledSince = r.w.now
			r.applyRole()
		}
	})
}

// handOverIfCutOff is the shell's: a leader without NATS gives leadership to a
// replica that has it and a state.
func (r *simReplica) handOverIfCutOff() {
	w := r.w
	connected := !w.natsDown && !r.deaf && !r.mute
	if connected || !r.role.leading {
		r.connectedAt = w.now
		return
	}
	if w.now-r.connectedAt < natsLostFor || (r.handedAt > 0 && w.now-r.handedAt < handOverAtMin) || w.natsDown {
		return
	}
	r.handedAt = w.now
	r.handOver()
}

// handOver gives leadership to the first replica that can take it.
func (r *simReplica) handOver() {
	for _, o := range r.w.replicas {
		if o != r && o.up && !o.deaf && !o.mute && o.holds().Ready {
			r.raft.transfer(o)
			return
		}
	}
}

func (r *simReplica) applyRole() {
	if r.machine == nil {
		return
	}
	if r.role.leader != "" {
		r.prepare()
	}
	if r.role.leading {
		r.step(Leading{r.role.term})
	} else {
		r.step(Following{r.role.term, r.role.leader})
	}
}

func (r *simReplica) refresh() {
	record := r.fsm.active()
	switch {
	case record == nil:
		r.machine = nil
	case r.machine == nil:
		r.open(record)
	default:
		r.record = record
		r.prune()
		r.step(Recorded{record})
	}
}

// prune removes checkpoints that a recorded one has replaced, as noteRecord does.
func (r *simReplica) prune() {
	for t := range r.disk {
		if uint64(t) < r.record.Checkpoint.GetStep() && r.disk[int(r.record.Checkpoint.Step)] != nil {
			delete(r.disk, t)
		}
	}
}

func (r *simReplica) open(record *api.JobRecord) {
	j := state.NewJob(simJob, r.w.recipe)
	var voters []string
	for _, v := range r.w.replicas {
		voters = append(voters, v.id)
	}
	r.runner++
	r.machine = NewMachine(MachineConfig{
		Cluster: simCluster, Self: r.id, Voters: voters, ChunkFloats: r.w.chunk,
		Recorded: func(t int) (digest.Sum, bool) {
			if t >= len(r.rows) {
				return digest.Sum{}, false
			}
			return digest.FromBytes(r.rows[t].Chain)
		},
		rules: r.w.plot.rules,
	}, j, record)
	r.begun, r.record, r.fresh = false, record, r.w.now
	r.applyRole()
}

// prepare is the runner's: the first state, once it is known who leads.
func (r *simReplica) prepare() {
	if r.begun {
		return
	}
	r.begun = true
	j := r.machine.job
	r.answer(r.w.between(time.Millisecond, 50*time.Millisecond), func() {
		at := -1
		for t, f := range r.disk {
			if !f.damaged {
				at = max(at, t)
			}
		}
		if at < 0 {
			s := simInitial(j)
			r.step(Prepared{state.NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))})
			return
		}
		c := r.disk[at]
		r.w.trace("%v: %s goes on from its checkpoint at step %d", r.w.now, r.id, at)
		r.step(CheckpointWritten{Step: at, SHA256: c.State.Digest()})
		r.step(Prepared{state.NewKeeper(j, c.State.Clone(), at, c.Chain)})
	})
}

// answer brings something back into the loop for the machine that asked.
func (r *simReplica) answer(d time.Duration, do func()) {
	runner := r.runner
	r.later(d, func() {
		if r.machine != nil && r.runner == runner {
			do()
		}
	})
}

func (r *simReplica) received(m bus.Message) {
	if h := m.GetHello(); h != nil && !h.Leaving && r.machine == nil && r.role.leading && m.Job != "" {
		r.publish(bus.WorkerIn(simCluster, m.From), bus.Message{Envelope: &api.Envelope{
			Term: r.role.term, From: r.id, Body: &api.Envelope_Plan{Plan: &api.Plan{Leader: r.id}},
		}})
	}
	r.step(Received{m})
}

func (r *simReplica) step(ev Event) {
	for ev != nil && r.machine != nil {
		m := r.machine
		actions := m.Step(r.clock(), ev)
		ev = nil
		r.w.holds.state(r)
		for _, a := range actions {
			if r.dies(a) {
				return
			}
			if _, again := a.(Again); again {
				ev = a
			} else {
				r.carryOut(a)
			}
		}
		r.w.holds.memory(r)
	}
}

func (r *simReplica) carryOut(a Action) {
	w := r.w
	switch a := a.(type) {
	case Send:
		w.holds.publication(r, a.Message)
		w.holds.rests(r, a.Message)
		r.publish(a.Subject, a.Message)
	case Note:
		w.trace("%v: %s notes: %s", w.now, r.id, a.Text)
	case Propose:
		r.propose(a.Entry)
	case Acknowledge:
		to := w.replica(a.To)
		r.call(&to.process, time.Second, func() func() { to.step(Received{ackMessage(a.Ack)}); return func() {} }, func() {})
	case AskHeld:
		for _, id := range a.Replicas {
			to := w.replica(id)
			r.call(&to.process, time.Second, func() func() {
				h := to.holds()
				return func() { r.step(Held{h}) }
			}, func() {})
		}
	case FetchGradient:
		r.fetchGradient(a)
	case FetchState:
		r.fetchState(a)
	case WriteCheckpoint:
		w.holds.checkpoint(r, a.Step)
		r.later(w.between(time.Millisecond, 200*time.Millisecond), func() {
			if r.diskFull {
				w.trace("%v: the full disk of %s stops it", w.now, r.id)
				r.crash(w.between(10*time.Millisecond, 2*time.Second))
				return
			}
			r.disk[a.Step] = &simFile{WriteCheckpoint: a}
			w.holds.wrote(r, a.Step)
			r.later(0, func() { r.step(CheckpointWritten{Step: a.Step, SHA256: a.State.Digest()}) })
		})
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

func (r *simReplica) holds() *api.HeldResponse {
	h := &api.HeldResponse{Replica: r.id, Leader: r.role.leader, Term: r.role.term}
	if r.machine != nil && r.machine.Keeper() != nil {
		chain := r.machine.Keeper().Chain()
		h.Ready, h.Step, h.Chain = true, uint64(r.machine.Keeper().Step()), chain[:]
	}
	return h
}

func (r *simReplica) fetchGradient(a FetchGradient) {
	from, runner := r.w.replica(a.From), r.runner
	give := func(g *state.Gradient, err error) func() {
		return func() {
			if r.runner == runner {
				r.step(FetchedGradient{g, err})
			}
		}
	}
	r.call(&from.process, 30*time.Second, func() func() {
		if g := from.known(a.Step); g != nil {
			return give(g, nil)
		}
		return give(nil, fmt.Errorf("%s has no gradient %d", from.id, a.Step))
	}, give(nil, fmt.Errorf("%s does not answer", a.From)))
}

// known is what the replica gives of a gradient; its memory may have failed.
func (r *simReplica) known(t int) *state.Gradient {
	if r.machine == nil {
		return nil
	}
	g := r.machine.known(t)
	if g != nil && len(g.Data) > 0 && r.w.flips && r.w.now < r.w.healed && r.w.chance(0.5) {
		r.w.trace("%v: %s gives gradient %d with a bit flipped", r.w.now, r.id, t)
		r.w.struck++
		data := append([]float32(nil), g.Data...)
		data[r.w.rng.IntN(len(data))] += 1
		return &state.Gradient{Row: g.Row, Data: data}
	}
	return g
}

func (r *simReplica) fetchState(a FetchState) {
	from, runner := r.w.replica(a.From), r.runner
	give := func(c *state.Copy, err error) func() {
		return func() {
			if r.runner == runner {
				r.step(FetchedState{c, err})
			}
		}
	}
	r.call(&from.process, 2*time.Minute, func() func() {
		if from.machine == nil || from.machine.Keeper() == nil {
			return give(nil, fmt.Errorf("%s has no state", from.id))
		}
		return give(from.machine.Keeper().Copy(), nil)
	}, give(nil, fmt.Errorf("%s does not answer", a.From)))
}

// propose appends an entry if this replica still leads when Raft gets there; an
// answer says whether it was applied, or that it may have been.
func (r *simReplica) propose(e *api.Entry) {
	w := r.w
	w.holds.proposal(r, e)
	e.UnixNanos = int64(w.now)
	b, err := proto.Marshal(e)
	if err != nil || len(b) > 4000 {
		w.violated("an entry of %d bytes: %v", len(b), err)
	}
	r.later(w.between(500*time.Microsecond, 20*time.Millisecond), func() {
		done := func(err error) {
			late := w.between(0, 10*time.Millisecond)
			if w.trouble && w.chance(0.05) {
				late, err = w.between(0, time.Second), errors.New("no answer in time")
			}
			r.answer(late, func() {
				if err != nil {
					r.step(ProposalFailed{err})
				} else {
					r.step(Proposed{})
				}
			})
		}
		if !r.role.leading {
			done(ErrNotLeader)
			return
		}
		r.raft.append(b, done)
	})
}

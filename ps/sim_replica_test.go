package ps

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
)

// simReplica is a replica's shell around the machine under test.
type simReplica struct {
	process
	fsm     *control
	applied int
	pumping bool
	machine *Machine
	record  *api.JobRecord
	begun   bool
	runner  int // counts machines, so that late answers are known
	role    role
	disk    map[int]WriteCheckpoint // survives
	rows    []*api.LedgerRow        // of this life's log
	held    int                     // gradients ever held
}

func (r *simReplica) start() {
	r.begin()
	r.w.trace("%v: %s starts", r.w.now, r.id)
	r.fsm = newControl(r.watch, func() error { return nil })
	r.applied, r.pumping, r.machine, r.role, r.rows = 0, false, nil, role{}, nil
	r.every(tickEvery, func() { r.step(Tick{}) })
	r.pump()
	r.learnRole()
}

func (r *simReplica) kill() {
	r.w.trace("%v: %s is killed", r.w.now, r.id)
	r.up, r.machine = false, nil
	if r.w.log.leader == r.id {
		r.w.log.leader = ""
		for _, o := range r.w.replicas {
			o.learnRole()
		}
		r.w.vote(r.w.between(300*time.Millisecond, 900*time.Millisecond))
	}
}

// pump applies the log, entry by entry.
func (r *simReplica) pump() {
	if r.pumping || r.applied >= len(r.w.log.entries) {
		return
	}
	r.pumping = true
	r.later(r.w.between(100*time.Microsecond, 5*time.Millisecond), func() {
		r.pumping = false
		r.applyNext()
		r.pump()
	})
}

func (r *simReplica) applyNext() {
	if r.applied < len(r.w.log.entries) {
		r.applied++
		r.fsm.Apply(r.w.log.entries[r.applied-1])
	}
}

func (r *simReplica) watch(c change) {
	r.rows = append(r.rows, c.rows...)
	r.later(100*time.Microsecond, r.refresh)
}

func (r *simReplica) learnRole() {
	if !r.up {
		return
	}
	r.later(r.w.between(time.Millisecond, 100*time.Millisecond), func() {
		l := &r.w.log
		now := role{term: l.term, leader: l.leader}
		if l.leader == r.id {
			for r.applied < len(l.entries) {
				r.applyNext()
			}
			now.leading = true
		}
		if now != r.role {
			r.role = now
			r.applyRole()
		}
	})
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
		r.step(Recorded{record})
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
	}, j, record)
	r.begun, r.record = false, record
	r.applyRole()
}

// prepare is the runner's: the first state, once it is known who leads.
func (r *simReplica) prepare() {
	if r.begun {
		return
	}
	r.begun = true
	committed, j := int(r.record.Committed), r.machine.job
	r.answer(r.w.between(time.Millisecond, 50*time.Millisecond), func() {
		at := -1
		for t := range r.disk {
			if t <= committed {
				at = max(at, t)
			}
		}
		if at < 0 {
			s := simInitial(j)
			r.step(Prepared{state.NewKeeper(j, s, 0, digest.Chain0(j.Hash, s.Digest()))})
			return
		}
		c := r.disk[at]
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
	if h := m.GetHello(); h != nil && r.machine == nil && r.role.leading && m.Job != "" {
		r.publish(bus.WorkerIn(simCluster, m.From), bus.Message{Envelope: &api.Envelope{
			Term: r.role.term, From: r.id, Body: &api.Envelope_Plan{Plan: &api.Plan{Leader: r.id}},
		}})
	}
	r.step(Received{m})
}

func (r *simReplica) step(ev Event) {
	for ev != nil && r.machine != nil {
		actions := r.machine.Step(r.clock(), ev)
		ev = nil
		r.check()
		for _, a := range actions {
			if _, again := a.(Again); again {
				ev = a
			} else {
				r.carryOut(a)
			}
		}
	}
}

// check is I2 and more: whatever state is held is the true one.
func (r *simReplica) check() {
	k := r.machine.Keeper()
	if k == nil || k.Step() == r.held {
		return
	}
	r.held = max(r.held, k.Step())
	if want := r.w.want[k.Step()]; k.Chain() != want.chain || k.State().Digest() != want.digest {
		r.w.violated("I2: %s holds another state %d: chain %v, state %v", r.id, k.Step(), k.Chain() == want.chain, k.State().Digest() == want.digest)
	}
}

func (r *simReplica) carryOut(a Action) {
	w := r.w
	switch a := a.(type) {
	case Send:
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
		life := r.life
		w.after(w.between(time.Millisecond, 200*time.Millisecond), func() {
			if r.up && r.life == life && w.trouble && w.chance(0.05) {
				r.later(0, func() { r.step(CheckpointWritten{Step: a.Step, Err: fmt.Errorf("the disk is full")}) })
			} else if r.up && r.life == life {
				r.disk[a.Step] = a
				r.later(0, func() { r.step(CheckpointWritten{Step: a.Step, SHA256: a.State.Digest()}) })
			}
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
		if from.machine != nil {
			if g := from.machine.known(a.Step); g != nil {
				return give(g, nil)
			}
		}
		return give(nil, fmt.Errorf("%s has no gradient %d", from.id, a.Step))
	}, give(nil, fmt.Errorf("%s does not answer", a.From)))
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

// propose appends an entry if this replica still leads when Raft gets there; the
// answer may be lost either way.
func (r *simReplica) propose(e *api.Entry) {
	w := r.w
	if c := e.GetStepCommit(); c != nil {
		holders, end := 0, int(c.First)+len(c.Rows)
		for _, o := range w.replicas {
			if o.held >= end {
				holders++
			}
		}
		if holders <= len(w.replicas)/2 {
			w.violated("I3: %s proposes steps up to %d, which %d replicas have held", r.id, end, holders)
		}
	}
	e.UnixNanos = int64(w.now)
	b, err := proto.Marshal(e)
	if err != nil || len(b) > 4000 {
		w.violated("an entry of %d bytes: %v", len(b), err)
	}
	term := r.role.term
	r.later(w.between(500*time.Microsecond, 20*time.Millisecond), func() {
		if w.log.leader != r.id || w.log.term != term || !w.majorityUp() || !r.role.leading {
			r.answer(w.between(0, time.Second), func() { r.step(ProposalFailed{ErrNotLeader}) })
			return
		}
		w.log.entries = append(w.log.entries, &raft.Log{Index: uint64(len(w.log.entries) + 1), Term: term, Data: b})
		index := len(w.log.entries)
		for _, o := range w.replicas {
			if o.up {
				o.pump()
			}
		}
		if w.trouble && w.chance(0.05) {
			r.answer(w.between(0, time.Second), func() { r.step(ProposalFailed{ErrNotLeader}) })
			return
		}
		r.whenApplied(index)
	})
}

// whenApplied answers a proposal, which is when the entry is applied here.
func (r *simReplica) whenApplied(index int) {
	r.later(time.Millisecond, func() {
		if r.applied < index {
			r.whenApplied(index)
			return
		}
		if r.machine != nil {
			r.step(Proposed{})
		}
	})
}

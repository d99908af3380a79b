package ps

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
	"convoy/state"
)

// Timing of the protocol. The machine gets the time with every event and the
// shell sends it a Tick every tickEvery.
const (
	tickEvery    = 20 * time.Millisecond
	headEvery    = 100 * time.Millisecond
	quietAfter   = 500 * time.Millisecond // without a head, a follower asks over gRPC
	repairAfter  = 150 * time.Millisecond // what has not arrived by then is fetched
	retryAfter   = 200 * time.Millisecond
	stalledAfter = time.Second     // a receiver without progress leaves the fan-out
	behindAfter  = 2 * time.Second // a worker that does not catch up is given no blocks
)

// MachineConfig is what a Machine is told once.
type MachineConfig struct {
	Cluster     string
	Self        string   // replica id
	Voters      []string // replica ids; majorities are of these
	Joining     []string // replica ids that follow and are not counted
	ChunkFloats int      // of a chunk on the wire; 0 means state.ChunkFloats
	// Silence is how long a worker may be unheard before its blocks are given to
	// others; 0 means 300 ms.
	Silence time.Duration
	// Quarantined are the workers known to compute wrongly, by name: one map for
	// the replica's jobs one after the other; nil begins with none.
	Quarantined map[string]*api.Quarantined
	// Recorded returns c(t+1) as the log has it, for steps that were committed
	// before their state was lost.
	Recorded func(t int) (digest.Sum, bool)

	rules rules
}

func (c *MachineConfig) setDefaults() {
	if c.ChunkFloats == 0 {
		c.ChunkFloats = state.ChunkFloats
	}
	if c.Silence == 0 {
		c.Silence = 300 * time.Millisecond
	}
	if c.Quarantined == nil {
		c.Quarantined = map[string]*api.Quarantined{}
	}
}

// Machine is a replica's part in one job: keeper of the state, and leader of
// the steps while its replica leads the Raft group. It is a pure state machine:
// Step turns an event into actions and touches no clock, goroutine, network or
// disk.
type Machine struct {
	cfg    MachineConfig
	job    *state.Job
	record *api.JobRecord
	keeper *state.Keeper // nil until Prepared

	now    time.Duration
	out    []Action
	term   uint64
	leader string // replica id
	lead   *leader

	headAt   time.Duration // when the leader was last heard of on the bus
	headStep int           // the step it collects
	askedAt  time.Duration
	repair   repair
	saves    saves
	saved    api.Ack // newest checkpoint on disk, as acknowledged
	workers  map[string]*workerSeen
	figures  Figures
}

// Figures are what the steps applied last have shown.
type Figures struct {
	Epoch        int // of the last step, from 1
	HasTrain     bool
	TrainLoss    float64 // mean over the examples of the last training step
	HasTest      bool
	TestLoss     float64
	TestAccuracy float64    // 0 to 1
	TestTop5     float64    // 0 to 1
	Digest       digest.Sum // of the last state whose digest was due
	DigestStep   int
}

// workerSeen is a worker as its last hello shows it.
type workerSeen struct {
	hello *api.Hello
	term  uint64
	job   string
	at    time.Duration
	level time.Duration // when it last was at the leader's step
	pace  pace

	lateNoted time.Duration // the log says that it is late no earlier than then
}

// repair is what a replica fetches because the bus did not bring it.
type repair struct {
	inFlight bool
	since    time.Duration // when it was first seen to be behind at step
	step     int
	gone     bool // the gradient is no longer to be had, the state is needed
	differs  bool // the state held is wrong: any fetched one replaces it
}

// NewMachine returns the machine of a job that the control FSM shows as record.
func NewMachine(cfg MachineConfig, j *state.Job, record *api.JobRecord) *Machine {
	cfg.setDefaults()
	return &Machine{cfg: cfg, job: j, record: record, workers: map[string]*workerSeen{}}
}

// Step carries out one event at the given time, counted from any fixed start.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	m.now, m.out = now, nil
	switch ev := ev.(type) {
	case Tick:
		m.tick()
	case Again:
	case Received:
		m.received(ev.Message)
	case Prepared:
		m.keeper = ev.Keeper
		m.noteFigures(nil)
		m.acknowledge()
	case Leading:
		m.repair = repair{differs: m.repair.differs} // nobody waits for what the former leader may never answer
		m.term, m.leader = ev.Term, m.cfg.Self
		m.lead = newLeader(m)
		m.acknowledge() // its own checkpoint counts too
	case Following:
		if ev.Term != m.term || ev.Leader != m.leader {
			m.repair = repair{differs: m.repair.differs}
			m.term, m.leader, m.lead = ev.Term, ev.Leader, nil
			m.headAt, m.headStep = m.now, 0
		}
	case Membership:
		m.cfg.Voters, m.cfg.Joining = ev.Voters, ev.Joining
		if m.lead != nil {
			m.lead.membersChanged()
		}
	case Recorded:
		m.recorded(ev.Job)
	case Proposed:
		if m.lead != nil {
			m.lead.log.inFlight = false
		}
	case ProposalFailed:
		if m.lead != nil {
			m.lead.proposalFailed(ev.Err)
		}
	case Held:
		m.held(ev.Response)
	case FetchedGradient, FetchedState:
		m.fetched(ev)
	case CheckpointWritten:
		m.checkpointWritten(ev)
	default:
		panic(fmt.Sprintf("ps: unknown event %T", ev))
	}
	m.advance()
	m.save()
	return m.out
}

// Keeper is the state kept, nil before Prepared.
func (m *Machine) Keeper() *state.Keeper { return m.keeper }

// Figures are the newest figures of the run.
func (m *Machine) Figures() Figures { return m.figures }

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) note(format string, args ...any) { m.do(Note{fmt.Sprintf(format, args...)}) }

func (m *Machine) send(subject string, e *api.Envelope, data []float32) {
	e.Job, e.From = m.job.ID, m.cfg.Self
	if !m.cfg.rules.noTerms {
		e.Term = m.term
	}
	e.Bf16 = len(data) > 0 && m.job.Recipe.Rounds()
	m.do(Send{subject, bus.Message{Envelope: e, Data: data}})
}

// running reports whether steps are under way; a pausing job's still are.
func (m *Machine) running() bool { return running(m.record.Phase) }

func (m *Machine) pausing() bool { return m.record.Phase == api.Phase_PHASE_PAUSING }

func (m *Machine) advance() {
	switch {
	case m.keeper == nil:
	case m.lead != nil:
		m.lead.advance()
	case m.running():
		m.follow()
	}
}

func (m *Machine) tick() {
	switch {
	case m.lead != nil:
		m.lead.tick()
	case m.keeper != nil && m.leader != "":
		m.askIfQuiet()
		m.repairIfBehind()
	}
}

func (m *Machine) received(msg bus.Message) {
	if hello := msg.GetHello(); hello != nil {
		m.helloed(msg, hello)
		return
	}
	if msg.Job != m.job.ID || m.keeper == nil {
		return
	}
	switch body := msg.Body.(type) {
	case *api.Envelope_Head:
		m.headed(msg.Term, body.Head)
	case *api.Envelope_Gradient:
		m.gradientChunk(msg, body.Gradient)
	case *api.Envelope_Row:
		m.keeper.AddRow(body.Row)
	case *api.Envelope_Partial:
		if m.lead != nil {
			m.lead.partial(msg.From, body.Partial, msg.Data)
		}
	case *api.Envelope_Ack:
		m.acknowledged(body.Ack)
	case *api.Envelope_Credit:
		if m.lead != nil {
			m.lead.fan.credit(msg.From, body.Credit)
		}
	}
}

func (m *Machine) helloed(msg bus.Message, h *api.Hello) {
	if h.Leaving {
		delete(m.workers, msg.From)
	} else {
		w := &workerSeen{hello: h, term: msg.Term, job: msg.Job, at: m.now, level: m.now}
		if before := m.workers[msg.From]; before != nil {
			w.pace, w.lateNoted = before.pace, before.lateNoted
			if m.keeper != nil && h.Step < uint64(m.keeper.Step()) {
				w.level = before.level
			}
		}
		m.workers[msg.From] = w
	}
	if m.lead != nil {
		m.lead.helloed(msg.From)
	}
}

// acknowledged takes a receipt; it comes off the bus or over gRPC.
func (m *Machine) acknowledged(a *api.Ack) {
	if m.lead != nil && m.member(a.Replica) {
		m.lead.acknowledged(a)
	}
}

func (m *Machine) voter(id string) bool { return slices.Contains(m.cfg.Voters, id) }

func (m *Machine) member(id string) bool { return m.voter(id) || slices.Contains(m.cfg.Joining, id) }

func (m *Machine) headed(term uint64, h *api.Head) {
	if (term < m.term && !m.cfg.rules.noTerms) || h.Leader == m.cfg.Self {
		return
	}
	m.headAt, m.headStep = m.now, int(h.Step)
	m.noteQuarantines(h.Quarantined)
	m.acknowledge()
}

func (m *Machine) gradientChunk(msg bus.Message, c *api.Gradient) {
	count, err := m.keeper.AddChunk(c, msg.Data)
	if err != nil {
		m.note("dropped a chunk from %s: %v", msg.From, err)
		return
	}
	if f := m.cfg.rules.chunk; f != nil && m.lead == nil {
		f(m, c, msg.Data)
	}
	if count > 0 && count%creditEvery == 0 && m.lead == nil {
		m.send(bus.ReplicaIn(m.cfg.Cluster, msg.From),
			&api.Envelope{Body: &api.Envelope_Credit{Credit: &api.Credit{Step: c.Step, Chunks: uint32(count)}}}, nil)
	}
}

// recorded takes note of what the log says of the job.
func (m *Machine) recorded(r *api.JobRecord) {
	if m.lead != nil {
		m.notePhase(r)
	}
	if m.lead != nil && r.Checkpoint.GetStep() > m.record.Checkpoint.GetStep() {
		m.note("checkpoint at step %d is on a majority's disks", r.Checkpoint.Step)
	}
	m.record = r
	if m.keeper != nil {
		m.forgetRows()
		if m.pausing() {
			m.checkpoint() // where it rests is known now
		}
	}
	if m.lead != nil {
		m.lead.recorded()
	}
}

// notePhase writes down what the log has decided of the job.
func (m *Machine) notePhase(r *api.JobRecord) {
	switch before := m.record.Phase; {
	case r.Phase == before:
	case r.Phase == api.Phase_PHASE_PAUSING:
		m.note("pausing: no step after the %d committed ones and those that are out", r.Committed)
	case r.Phase == api.Phase_PHASE_RUNNING && running(before):
		m.note("not paused after all: going on")
	case r.Phase == api.Phase_PHASE_RUNNING:
		m.note("started: recipe %s, initial state %x", m.job.Hash, r.Start.StateDigest)
	}
}

// follow applies what has arrived. Each gradient is acknowledged when it is
// held in memory, before the work of applying it.
func (m *Machine) follow() {
	for {
		g, err := m.keeper.Next()
		if err != nil {
			m.note("step %d: %v; fetching it again", m.keeper.Step(), err)
			m.repair.since = 0
			m.repair.differs = m.repair.differs || errors.Is(err, state.ErrStateDiffers)
			return
		}
		if g == nil {
			return
		}
		m.acknowledgeReceived(m.keeper.Step() + 1)
		m.apply(g)
	}
}

// apply moves to the next state and takes the checkpoint that may be due.
func (m *Machine) apply(g *state.Gradient) {
	m.keeper.Apply(g)
	m.forgetRows()
	m.noteFigures(g.Row)
	m.checkpoint()
}

// forgetRows lets go of the rows that the log has. A follower keeps the others
// too: should it lead, it proposes them.
func (m *Machine) forgetRows() {
	if m.cfg.rules.dropRows && m.lead == nil {
		m.keeper.Committed(m.keeper.Step())
	}
	m.keeper.Committed(int(m.record.Committed))
}

func (m *Machine) noteFigures(r *api.StepRow) {
	f := &m.figures
	if d := m.keeper.Digest(); !d.IsZero() {
		f.Digest, f.DigestStep = d, m.keeper.Step()
	}
	if r == nil || r.Examples == 0 {
		return
	}
	mean := r.LossSum / float64(r.Examples)
	step := m.job.Sequence.At(int(r.Step))
	f.Epoch = step.Epoch + 1
	if step.Evaluation {
		f.HasTest, f.TestLoss = true, mean
		f.TestAccuracy, f.TestTop5 = float64(r.Correct)/float64(r.Examples), float64(r.Top5)/float64(r.Examples)
		if m.lead != nil {
			m.note("epoch %d of %d: test accuracy %.2f %%, test loss %.4f", f.Epoch, m.job.Sequence.Epochs, 100*f.TestAccuracy, mean)
		}
	} else {
		f.HasTrain, f.TrainLoss = true, mean
	}
}

func (m *Machine) acknowledge() {
	if m.keeper != nil {
		m.acknowledgeReceived(m.keeper.Step())
	}
}

// acknowledgeReceived tells the leader that all gradients below received are
// held here, and what else it must know of this replica.
func (m *Machine) acknowledgeReceived(received int) {
	a := &api.Ack{
		Job: m.job.ID, Replica: m.cfg.Self, Term: m.term,
		Received: uint64(received), Applied: uint64(m.keeper.Step()),
		CheckpointStep: m.saved.CheckpointStep, CheckpointSha256: m.saved.CheckpointSha256,
	}
	if m.keeper.Step() == 0 {
		d := m.keeper.Digest()
		a.Digest = d[:]
	}
	switch {
	case m.lead != nil:
		m.lead.acknowledged(a)
	case m.leader == "":
	case m.quiet():
		m.do(Acknowledge{To: m.leader, Ack: a})
	default:
		m.send(bus.ReplicaIn(m.cfg.Cluster, m.leader), &api.Envelope{Body: &api.Envelope_Ack{Ack: a}}, nil)
	}
}

// quiet reports that the bus brings nothing from the leader.
func (m *Machine) quiet() bool { return m.now-m.headAt > quietAfter }

func nonFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// Planned is the number of workers in the standing plan, and why there is none.
func (m *Machine) Planned() (workers int, waiting string) {
	if m.lead == nil {
		return 0, ""
	}
	return len(m.lead.plan.assigned), m.lead.waiting()
}

package worker

import (
	"fmt"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/job"
	"convoy/optim"
	"convoy/state"
	"convoy/tree"
)

// Timing of the protocol; see ps for the other side.
const (
	tickEvery   = 20 * time.Millisecond
	helloEvery  = 75 * time.Millisecond
	locateAfter = time.Second // without a word from a leader
	repairAfter = 150 * time.Millisecond
	offerEvery  = 250 * time.Millisecond
	rejoinAfter = 2 * time.Second // after a job could not be joined
	creditEvery = 8
	window      = 16
	// maxEarly bounds the messages kept while the first state is on its way.
	maxEarly = 4096
	maxWants = 1024 // kept for steps that come
)

// MachineConfig is what a Machine is told once.
type MachineConfig struct {
	Cluster     string
	Self        string // worker id
	Incarnation string // new at every start
	Threads     int
	ChunkFloats int // of a chunk on the wire; 0 means state.ChunkFloats
	// Runner shares the arithmetic on the state out, for the machine alone; nil:
	// nobody does.
	Runner optim.Runner
	Rules  Rules
}

// Rules switches rules of the protocol off, one a field; the zero value has all
// of them on, and nothing but the simulation in ps, which shows what each is
// for, sets any.
type Rules struct {
	DropResults  bool // what was sent is not kept for a leader that lost it
	DropGradient bool // the gradient applied last is not kept for a leader that lacks it
}

// Machine is a worker's side of the protocol: a pure state machine, like ps's.
type Machine struct {
	cfg MachineConfig
	now time.Duration
	out []Action

	term    uint64
	plan    standing
	jobID   string        // the job joined or being joined, empty without one
	joining bool          // a Join or the first FetchState is under way
	retryAt time.Duration // when to try joining again
	job     *state.Job    // nil until Joined
	keeper  *state.Keeper
	early   []bus.Message // what came before the first state
	problem string

	computing  []tree.Node   // under way
	begunAt    time.Duration // when that began
	spent      time.Duration // computing, all in all
	results    results
	wants      []*api.Want // for steps that come
	adopt      *state.Copy // waits for the computation to end
	fetching   bool
	anew       bool // the state held is of no use: any fetched one replaces it
	behindAt   time.Duration
	behindStep int
	headStep   int
	offeredAt  time.Duration
	helloAt    time.Duration
	heardAt    time.Duration // when a leader was last heard of
	askedAt    time.Duration // when a replica was last asked who leads
	differs    int           // states that differed from the leader's
}

// standing is the plan that stands.
type standing struct {
	version   uint64
	leader    string // replica id
	low, high int    // micro-batches
	step      int    // the first: the gradients before it are out
}

// NewMachine returns a worker that knows of no job.
func NewMachine(cfg MachineConfig) *Machine {
	if cfg.ChunkFloats == 0 {
		cfg.ChunkFloats = state.ChunkFloats
	}
	return &Machine{cfg: cfg, helloAt: -helloEvery}
}

// Step carries out one event at the given time, counted from any fixed start.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	m.now, m.out = now, nil
	switch ev := ev.(type) {
	case Tick:
		m.tick()
	case Received:
		m.received(ev.Message)
	case Joined:
		m.joined(ev)
	case FetchedState:
		m.fetchedState(ev)
	case FetchedGradient:
		m.fetchedGradient(ev)
	case Computed:
		m.computed(ev)
	case Idle:
		m.computing = nil
		m.spent += m.now - m.begunAt
	case Located:
		m.located(ev.Response)
	case Leave:
		m.hello(true)
		return m.out
	default:
		panic(fmt.Sprintf("worker: unknown event %T", ev))
	}
	m.advance()
	return m.out
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) note(format string, args ...any) { m.do(Note{fmt.Sprintf(format, args...)}) }

func (m *Machine) send(subject string, e *api.Envelope, data []float32) {
	e.Term, e.Job, e.From = m.term, m.jobID, m.cfg.Self
	e.Bf16 = len(data) > 0 && m.job.Recipe.Rounds()
	m.do(Send{subject, bus.Message{Envelope: e, Data: data}})
}

func (m *Machine) tick() {
	if m.now-m.heardAt >= locateAfter && m.now-m.askedAt >= locateAfter {
		m.askedAt = m.now
		m.do(Locate{m.jobID})
	}
	if m.now-m.helloAt >= helloEvery {
		m.hello(false)
	}
	if m.keeper != nil && len(m.computing) == 0 {
		m.repairIfBehind()
	}
}

func (m *Machine) hello(leaving bool) {
	m.helloAt = m.now
	h := &api.Hello{
		Incarnation: m.cfg.Incarnation, ArithmeticVersion: job.ArithmeticVersion, Threads: uint32(m.cfg.Threads),
		Plan: m.plan.version, Leaving: leaving, Problem: m.problem,
		UpNanos: uint64(m.now), ComputeNanos: uint64(m.spent),
	}
	if m.keeper != nil {
		h.Ready, h.Step = true, uint64(m.keeper.Step())
	}
	m.send(bus.Hello(m.cfg.Cluster, m.cfg.Self), &api.Envelope{Body: &api.Envelope_Hello{Hello: h}}, nil)
}

func (m *Machine) received(msg bus.Message) {
	if p := msg.GetPlan(); p != nil {
		m.planned(msg.Term, msg.Job, p)
		return
	}
	if m.jobID == "" || msg.Job != m.jobID {
		return
	}
	if m.keeper == nil {
		m.keepEarly(msg)
		return
	}
	switch body := msg.Body.(type) {
	case *api.Envelope_Head:
		m.headed(msg.Term, body.Head)
	case *api.Envelope_Gradient:
		m.gradientChunk(msg, body.Gradient)
	case *api.Envelope_Row:
		m.keeper.AddRow(body.Row)
	case *api.Envelope_Want:
		m.wanted(body.Want)
	case *api.Envelope_Credit:
		m.results.credit(body.Credit)
	}
}

func (m *Machine) advance() {
	if len(m.computing) > 0 {
		m.results.flush(m)
		return
	}
	if m.jobID != "" && m.keeper == nil && !m.joining && m.now >= m.retryAt {
		m.joining = true
		if m.job == nil {
			m.do(Join{m.jobID})
		} else {
			m.do(FetchState{m.jobID})
		}
	}
	if m.adopt != nil {
		m.adoptState()
	}
	if m.keeper == nil {
		return
	}
	m.apply()
	m.turn()
	m.results.flush(m)
	m.compute()
}

// compute starts on the micro-batches of the plan that are not done yet.
func (m *Machine) compute() {
	t := m.keeper.Step()
	if t >= m.job.Sequence.Len() || m.plan.leader == "" || m.problem != "" || t < m.plan.step {
		return
	}
	nodes := m.results.due(m.job.Sequence, m.plan.low, m.plan.high, m.job.Recipe.Unit())
	if len(nodes) == 0 {
		return
	}
	m.computing, m.begunAt = nodes, m.now
	m.do(Compute{Step: t, Nodes: nodes, State: m.keeper.State()})
}

func (m *Machine) computed(ev Computed) {
	if m.keeper == nil || ev.Step != m.keeper.Step() {
		return
	}
	m.results.add(ev)
	m.results.flush(m)
}

// wanted sends nodes again that the leader lost, and computes what is missing, or
// a node of its own beside another worker's. What is wanted of a step that comes
// is kept until then: it may overtake the gradient.
func (m *Machine) wanted(w *api.Want) {
	n := tree.Node{Low: int(w.Low), High: int(w.High)}
	t, all := m.keeper.Step(), m.job.Recipe.MicroBatches
	switch {
	case w.Low >= w.High || n.High > all || (w.Copy && !n.Valid(all)):
	case w.Step > uint64(t) && w.Step <= uint64(t+state.MaxAhead) && len(m.wants) < maxWants:
		m.wants = append(m.wants, w)
	case w.Step != uint64(t):
	case w.Copy:
		m.results.copy(n)
	default:
		m.results.again(n.Low, n.High)
	}
}

// turn begins the keeper's step with what was wanted of it before.
func (m *Machine) turn() {
	if m.results.step == m.keeper.Step() {
		return
	}
	m.results.begin(m.keeper.Step())
	wants := m.wants
	m.wants = nil
	for _, w := range wants {
		m.wanted(w)
	}
}

package worker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/digest"
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
)

// MachineConfig is what a Machine is told once.
type MachineConfig struct {
	Cluster     string
	Self        string // worker id
	Incarnation string // new at every start
	Threads     int
	ChunkFloats int // of a chunk on the wire; 0 means state.ChunkFloats
}

// What a Machine is told.
type (
	// Event is one of the types below.
	Event any
	// Tick passes the time.
	Tick struct{}
	// Received is a message off the bus.
	Received struct{ bus.Message }
	// Joined answers Join: the job's data and network are here and its gradients
	// are listened to.
	Joined struct {
		ID  string // of the job
		Job *state.Job
		Err error
	}
	// FetchedState answers FetchState.
	FetchedState struct {
		Job string
		*state.Copy
		Err error
	}
	// FetchedGradient answers FetchGradient.
	FetchedGradient struct {
		Job      string
		Gradient *state.Gradient
		Err      error
	}
	// Computed brings one node of a Compute.
	Computed struct {
		Step int
		Node tree.Node
		Data []float32
		Sums state.Sums
	}
	// Idle says that the Compute is done: the state is no longer read.
	Idle struct{}
	// Located answers Locate: who leads as a replica sees it.
	Located struct{ Response *api.HeldResponse }
	// Leave asks for a clean departure.
	Leave struct{}
)

// What a Machine asks for.
type (
	// Action is one of the types below.
	Action any
	// Send publishes a message.
	Send struct {
		Subject string
		Message bus.Message
	}
	// Join prepares a job: its recipe, data, network and subscription.
	Join struct{ Job string }
	// Drop lets go of the job.
	Drop struct{}
	// FetchState gets the state from any replica.
	FetchState struct{ Job string }
	// FetchGradient gets one gradient from any replica.
	FetchGradient struct {
		Job  string
		Step int
	}
	// Compute computes nodes of a step. Until Idle nobody writes to the state.
	Compute struct {
		Step  int
		Nodes []tree.Node
		State *optim.State
	}
	// Locate asks any replica who leads.
	Locate struct{ Job string }
	// Note is worth a line in the log.
	Note struct{ Text string }
)

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

	computing  []tree.Node // under way
	results    results
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

// keepEarly keeps what the stream brings while the first state is on its way, as
// far back as a state that is fetched now can need it.
func (m *Machine) keepEarly(msg bus.Message) {
	step, ok := streamStep(msg)
	if !ok || len(m.early) >= maxEarly {
		return
	}
	m.early = append(m.early, msg)
	m.early = slices.DeleteFunc(m.early, func(old bus.Message) bool {
		s, _ := streamStep(old)
		return s+state.MaxAhead < step
	})
}

// streamStep is the step of a gradient's chunk or row.
func streamStep(msg bus.Message) (step uint64, ok bool) {
	switch body := msg.Body.(type) {
	case *api.Envelope_Gradient:
		return body.Gradient.GetStep(), true
	case *api.Envelope_Row:
		return body.Row.GetStep(), true
	}
	return 0, false
}

// planned takes a plan that is not older than the one that stands. A plan
// without a job sends the worker home.
func (m *Machine) planned(term uint64, jobID string, p *api.Plan) {
	if term < m.term || (term == m.term && jobID == m.jobID && p.Version < m.plan.version) {
		return
	}
	m.heardAt = m.now
	if jobID != m.jobID && len(m.computing) > 0 {
		return // the state is in use; the leader sends the plan again
	}
	m.term = term
	m.plan = standing{p.Version, p.Leader, int(p.Low), int(p.High)}
	if jobID == m.jobID {
		return
	}
	m.drop()
	m.jobID = jobID
	if jobID != "" {
		m.joining = true
		m.do(Join{jobID})
	}
}

func (m *Machine) drop() {
	if m.jobID != "" {
		m.do(Drop{})
	}
	m.jobID, m.job, m.keeper, m.early, m.adopt = "", nil, nil, nil, nil
	m.joining, m.fetching, m.anew, m.problem, m.differs = false, false, false, "", 0
	m.headStep, m.behindAt = 0, 0
	m.results = results{}
}

func (m *Machine) joined(ev Joined) {
	switch {
	case ev.ID != m.jobID: // another plan has come meanwhile
	case ev.Err != nil:
		m.failed(ev.Err)
	default:
		m.job, m.problem = ev.Job, ""
		m.do(FetchState{m.jobID})
	}
}

// failed notes why the job cannot be joined and tries again later.
func (m *Machine) failed(err error) {
	m.joining, m.retryAt = false, m.now+rejoinAfter
	if text := err.Error(); text != m.problem {
		m.problem = text
		m.note("job %s: %v", m.jobID, err)
	}
}

func (m *Machine) fetchedGradient(ev FetchedGradient) {
	if ev.Job != m.jobID {
		return
	}
	m.fetching = false
	if ev.Err != nil {
		m.fetchState() // the replicas no longer have it
	} else if m.keeper != nil {
		m.keeper.AddGradient(ev.Gradient)
	}
}

func (m *Machine) fetchedState(ev FetchedState) {
	if ev.Job != m.jobID {
		return
	}
	m.fetching = false
	switch {
	case m.job == nil:
	case ev.Err != nil && m.keeper == nil:
		m.failed(ev.Err)
	case ev.Err != nil:
		m.note("job %s: %v; trying again", m.jobID, ev.Err)
	default:
		m.adopt = ev.Copy
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
	m.results.begin(m.keeper.Step())
	m.results.flush(m)
	m.compute()
}

func (m *Machine) adoptState() {
	c := m.adopt
	m.adopt, m.joining = nil, false
	if m.keeper == nil {
		m.keeper = state.NewKeeper(m.job, c.State, c.Step, c.Chain)
		m.problem = "" // a fetch that failed before
		m.note("job %s: joined at step %d", m.jobID, c.Step)
		early := m.early
		m.early = nil
		for _, msg := range early {
			m.received(msg)
		}
		m.hello(false)
		return
	}
	if c.Step <= m.keeper.Step() && !m.anew {
		return // the replica asked was no further
	}
	m.anew = false
	m.note("job %s: caught up from step %d to %d with a fetched state", m.jobID, m.keeper.Step(), c.Step)
	m.keeper.Adopt(c.State, c.Step, c.Chain, nil)
}

// apply moves on as far as the gradients that are here allow.
func (m *Machine) apply() {
	for {
		g, err := m.keeper.Next()
		switch {
		case errors.Is(err, state.ErrStateDiffers):
			m.differs++
			m.note("job %s step %d: %v; fetching the state", m.jobID, m.keeper.Step(), err)
			if m.differs > 1 {
				m.problem = "its state differed from the leader's twice: test this machine's memory, then start the worker again"
			}
			m.anew = true
			m.fetchState()
			return
		case err != nil:
			m.note("job %s: %v; fetching it again", m.jobID, err)
			return
		case g == nil:
			return
		}
		m.keeper.Apply(g)
		m.keeper.Committed(m.keeper.Step()) // a worker answers for no rows
	}
}

// compute starts on the micro-batches of the plan that are not done yet.
func (m *Machine) compute() {
	t := m.keeper.Step()
	if t >= m.job.Sequence.Len() || m.plan.leader == "" || m.problem != "" {
		return
	}
	nodes := m.results.due(m.job.Sequence, m.plan.low, m.plan.high)
	if len(nodes) == 0 {
		return
	}
	m.computing = nodes
	m.do(Compute{Step: t, Nodes: nodes, State: m.keeper.State()})
}

func (m *Machine) computed(ev Computed) {
	if m.keeper == nil || ev.Step != m.keeper.Step() {
		return
	}
	m.results.add(ev)
	m.results.flush(m)
}

// wanted sends nodes again that the leader lost, and computes what is missing.
func (m *Machine) wanted(w *api.Want) {
	if int(w.Step) != m.keeper.Step() || w.Low >= w.High || int(w.High) > m.job.Recipe.MicroBatches {
		return
	}
	m.results.again(int(w.Low), int(w.High))
}

func (m *Machine) gradientChunk(msg bus.Message, c *api.Gradient) {
	count, err := m.keeper.AddChunk(c, msg.Data)
	if err != nil {
		m.note("job %s: dropped a chunk from %s: %v", m.jobID, msg.From, err)
		return
	}
	if count > 0 && count%creditEvery == 0 {
		m.send(bus.ReplicaIn(m.cfg.Cluster, msg.From), &api.Envelope{Body: &api.Envelope_Credit{
			Credit: &api.Credit{Step: c.Step, Chunks: uint32(count)},
		}}, nil)
	}
}

// located follows a cluster whose terms have begun anew, and which this worker
// would otherwise take for an old leader for ever.
func (m *Machine) located(r *api.HeldResponse) {
	if r.Leader != "" && r.Term < m.term && m.now-m.heardAt >= locateAfter {
		m.note("%s leads in term %d, which is before the last one heard of: following it", r.Leader, r.Term)
		m.term, m.plan = r.Term, standing{}
	}
}

// headed compares where the leader is with where this worker is.
func (m *Machine) headed(term uint64, h *api.Head) {
	if term < m.term || !bytes.Equal(h.RecipeHash, m.job.Hash[:]) {
		return
	}
	m.heardAt, m.headStep = m.now, int(h.Step)
	if chain := m.keeper.Chain(); m.headStep == m.keeper.Step() && !bytes.Equal(h.Chain, chain[:]) && len(m.computing) == 0 {
		m.note("job %s step %d: the leader's state is another; fetching it", m.jobID, m.headStep)
		m.anew = true
		m.fetchState()
		return
	}
	if m.headStep < m.keeper.Step() && m.now-m.offeredAt > offerEvery {
		m.offeredAt = m.now
		m.offer(h.Leader)
	}
}

// offer hands the gradient applied last to a leader that took over before it
// had it. It is the gradient, whoever made it, so the step need not be redone.
func (m *Machine) offer(leader string) {
	g := m.keeper.Last()
	if g == nil || g.Step() != m.headStep || len(m.computing) > 0 {
		if len(m.computing) == 0 {
			m.anew = true // too far ahead to help: go back to where the leader is
			m.fetchState()
		}
		return
	}
	to := bus.ReplicaIn(m.cfg.Cluster, leader)
	for i := range int(g.Row.Chunks) {
		low, high := state.Chunk(len(g.Data), int(g.Row.Chunks), i)
		part := g.Data[low:high]
		m.send(to, &api.Envelope{Body: &api.Envelope_Gradient{Gradient: &api.Gradient{
			RecipeHash: g.Row.RecipeHash, Step: g.Row.Step, Chunk: uint32(i), Chunks: g.Row.Chunks, Checksum: digest.Chunk(part),
		}}}, part)
	}
	m.send(to, &api.Envelope{Body: &api.Envelope_Row{Row: g.Row}}, nil)
}

// repairIfBehind fetches what the leader has published and the bus lost.
func (m *Machine) repairIfBehind() {
	t := m.keeper.Step()
	switch {
	case m.fetching || m.headStep <= t:
		m.behindAt = 0
	case m.behindAt == 0 || m.behindStep != t:
		m.behindAt, m.behindStep = m.now, t
	case m.now-m.behindAt > repairAfter && m.headStep == t+1:
		m.fetching = true
		m.do(FetchGradient{m.jobID, t})
	case m.now-m.behindAt > repairAfter:
		m.fetchState()
	}
}

func (m *Machine) fetchState() {
	if m.keeper != nil && !m.fetching {
		m.fetching = true
		m.do(FetchState{m.jobID})
	}
}

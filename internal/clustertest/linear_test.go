package clustertest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/grpc/codes"

	"convoy/api"
	"convoy/client"
	jobfile "convoy/job"
)

// TestDecisionsAreLinearizable has several people decide on the same few jobs
// through all replicas while leaders are killed. Some calls end with no answer,
// and may take effect then, later, or never. Whatever was answered must fit one
// order of all decisions and looks, in which each stands between its call and
// its answer.
func TestDecisionsAreLinearizable(t *testing.T) {
	const people, each = 4, 40
	c := Start(t, Config{Replicas: 3, Workers: 1, ChunkFloats: 4096})
	h := &history{start: time.Now(), jobs: []string{"linear-request-a", "linear-request-b", "linear-request-c"}}
	done := make(chan struct{}, people*each)
	var all sync.WaitGroup
	for i := range people {
		p := c.person(h, i)
		all.Go(func() {
			for range each {
				p.act()
				done <- struct{}{}
			}
		})
	}
	for n := range people * each {
		<-done
		if n%40 == 20 {
			leader := c.Leader()
			c.Kill(leader)
			c.Restart(leader)
		}
	}
	all.Wait()
	last := c.person(h, people)
	for _, request := range h.jobs {
		last.look(last.id(request), 0)
	}
	known, unknown := 0, 0
	for _, op := range h.ops {
		if op.Return == never {
			unknown++
		} else {
			known++
		}
	}
	t.Logf("%d operations, %d of them without an answer", known+unknown, unknown)
	if known < 2*people*each/3 {
		t.Errorf("only %d answers: the history says nothing", known)
	}
	if result := porcupine.CheckOperationsTimeout(decisions, h.ops, patience); result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %v", result)
	}
}

// TestCheckerSeesWrongAnswers: histories that no order explains, each next to one
// that differs in the wrong answer alone.
func TestCheckerSeesWrongAnswers(t *testing.T) {
	at := func(phase api.Phase, turn, committed uint64) seen { return seen{phase, turn, committed} }
	const (
		none, queued, going = api.Phase_PHASE_UNSPECIFIED, api.Phase_PHASE_QUEUED, api.Phase_PHASE_RUNNING
		pausing, paused     = api.Phase_PHASE_PAUSING, api.Phase_PHASE_PAUSED
		cancelled           = api.Phase_PHASE_CANCELLED
	)
	type call struct {
		decision decision
		seen     seen
		from, to int64
	}
	for name, tt := range map[string]struct {
		before       []call
		right, wrong call
	}{
		"a job that is gone again": {
			[]call{{decision: submit, from: 0, to: 1}},
			call{look, at(queued, 0, 0), 2, 3},
			call{look, at(none, 0, 0), 2, 3},
		},
		"a stale leader shows a cancelled job as running": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: cancel, from: 2, to: 3}},
			call{look, at(cancelled, 0, 4), 4, 5},
			call{look, at(going, 0, 4), 4, 5},
		},
		"a late retry pauses a job that was resumed": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: pause, from: 2, to: 3}, {decision: resume, from: 4, to: 5}},
			call{look, at(going, 2, 0), 6, 7},
			call{look, at(paused, 3, 0), 6, 7},
		},
		"a pause counts twice": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: pause, from: 2, to: 3}},
			call{look, at(pausing, 1, 0), 4, 5},
			call{look, at(paused, 2, 0), 4, 5},
		},
		"a running job is queued again": {
			[]call{{decision: submit, from: 0, to: 1}, {look, at(going, 0, 3), 2, 3}},
			call{look, at(going, 0, 3), 4, 5},
			call{look, at(queued, 0, 3), 4, 5},
		},
		"steps are lost": {
			[]call{{decision: submit, from: 0, to: 1}, {look, at(going, 0, 7), 2, 3}},
			call{look, at(going, 0, 7), 4, 5},
			call{look, at(going, 0, 6), 4, 5},
		},
		"a paused job does a step": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: pause, from: 2, to: 3}, {look, at(paused, 1, 7), 4, 5}},
			call{look, at(paused, 1, 7), 6, 7},
			call{look, at(paused, 1, 8), 6, 7},
		},
		"a decision without an answer counts twice": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: pause, from: 2, to: never}, {look, at(paused, 1, 0), 4, 5}, {decision: resume, from: 6, to: 7}},
			call{look, at(going, 2, 0), 8, 9},
			call{look, at(paused, 3, 0), 8, 9},
		},
		"a decision comes before its call": {
			[]call{{decision: submit, from: 0, to: 1}, {decision: cancel, from: 6, to: 7}},
			call{look, at(going, 0, 0), 4, 5},
			call{look, at(cancelled, 0, 0), 4, 5},
		},
	} {
		for answer, last := range map[bool]call{true: tt.right, false: tt.wrong} {
			h := &history{}
			for i, k := range append(tt.before, last) {
				h.ops = append(h.ops, porcupine.Operation{ClientId: i, Input: input{"a", k.decision}, Output: k.seen, Call: k.from, Return: k.to})
			}
			if ok := porcupine.CheckOperations(decisions, h.ops); ok != answer {
				t.Errorf("%s: linearizable is %v, want %v, for %v", name, ok, answer, h.ops)
			}
		}
	}
}

// decision is what a call asks for.
type decision int

const (
	look decision = iota
	submit
	pause
	resume
	cancel
)

type input struct {
	job      string
	decision decision
}

// seen is what a look shows of a job; PHASE_UNSPECIFIED where there is none.
type seen struct {
	phase           api.Phase
	turn, committed uint64
}

// model is a job as the history so far allows: the phases that it may be in, and
// what was seen of it. A phase moves on by itself from queued to running and from
// pausing to paused; the jobs of the test never end by themselves.
type model struct {
	phases          phases
	turn, committed uint64
	still           bool // seen where it does no more steps
}

type phases uint16

func oneOf(all ...api.Phase) (p phases) {
	for _, phase := range all {
		p |= 1 << phase
	}
	return p
}

var (
	absent = oneOf(api.Phase_PHASE_UNSPECIFIED)
	goes   = oneOf(api.Phase_PHASE_QUEUED, api.Phase_PHASE_RUNNING)
	holds  = oneOf(api.Phase_PHASE_PAUSING, api.Phase_PHASE_PAUSED)
	over   = oneOf(api.Phase_PHASE_CANCELLED)
)

// from are the phases that a job which was seen in p may have later.
func from(p api.Phase) phases {
	switch p {
	case api.Phase_PHASE_QUEUED:
		return goes
	case api.Phase_PHASE_PAUSING:
		return holds
	}
	return oneOf(p)
}

// decisions is the specification of one job.
var decisions = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		index := map[string]int{}
		for _, op := range all {
			job := op.Input.(input).job
			if _, ok := index[job]; !ok {
				index[job] = len(parts)
				parts = append(parts, nil)
			}
			parts[index[job]] = append(parts[index[job]], op)
		}
		return parts
	},
	Init: func() any { return model{phases: absent} },
	Step: func(before, in, out any) (bool, any) { return before.(model).step(in.(input).decision, out.(seen)) },
}

func (m model) step(d decision, s seen) (bool, model) {
	switch {
	case d == look:
		return m.look(s)
	case d == submit && m.phases == absent:
		m.phases = goes
	case d == pause && m.phases&goes != 0:
		m.phases, m.turn, m.still = holds, m.turn+1, false
	case d == resume && m.phases&holds != 0:
		m.phases, m.turn, m.still = goes, m.turn+1, false
	case d == cancel && m.phases != absent && m.phases != over:
		m.phases, m.still = over, false
	}
	return true, m
}

func (m model) look(s seen) (bool, model) {
	if m.phases&oneOf(s.phase) == 0 || s.turn != m.turn || s.committed < m.committed || (m.still && s.committed != m.committed) {
		return false, m
	}
	m.phases, m.committed = from(s.phase), s.committed
	m.still = s.phase == api.Phase_PHASE_PAUSED || s.phase == api.Phase_PHASE_CANCELLED
	return true, m
}

// never is when a call returns that had no answer: it may take effect at any time.
const never = math.MaxInt64

// history is what people asked and what they were told.
type history struct {
	start time.Time
	jobs  []string // request ids
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) add(client int, in input, out seen, call, back int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: back})
}

// person decides at random, through one replica or another.
type person struct {
	number  int
	history *history
	rng     *rand.Rand
	clients []*client.Client // one for each replica
}

func (c *Cluster) person(h *history, number int) *person {
	p := &person{number: number, history: h, rng: rand.New(rand.NewPCG(7, uint64(number)))}
	for _, peer := range c.peers {
		cl, err := client.Dial(peer.Address, client.Options{Timeout: 10 * time.Second})
		c.must(err, "dial")
		c.t.Cleanup(func() { c.must(cl.Close(), "close a client") })
		p.clients = append(p.clients, cl)
	}
	return p
}

// The jobs are long enough not to end by themselves.
const (
	linearName = "linear"
	linearFile = "name: " + linearName + "\nmodel: lenet-relu\ndata: {name: small, dir: .}\nepochs: 10000\nbatch: 8\noptimizer: {lr: 0.01, momentum: 0}\n"
)

func (p *person) id(request string) string { return jobfile.ID(linearName, request) }

// act makes one call and notes it. Some give the cluster so little time that they
// get no answer.
func (p *person) act() {
	request := p.history.jobs[p.rng.IntN(len(p.history.jobs))]
	id := p.id(request)
	limit := []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 10 * time.Second}[min(p.rng.IntN(8), 2)]
	cl := p.clients[p.rng.IntN(len(p.clients))]
	switch n := p.rng.IntN(60); {
	case n < 6:
		p.decide(submit, id, limit, func(ctx context.Context) (*api.JobStatus, error) {
			return cl.Submit(ctx, client.Submission{RequestID: request, File: []byte(linearFile), Data: Small()})
		})
	case n < 7:
		p.decide(cancel, id, limit, func(ctx context.Context) (*api.JobStatus, error) { return cl.Cancel(ctx, id) })
	case n < 23:
		p.decide(pause, id, limit, func(ctx context.Context) (*api.JobStatus, error) { return cl.Pause(ctx, id) })
	case n < 39:
		p.decide(resume, id, limit, func(ctx context.Context) (*api.JobStatus, error) { return cl.Resume(ctx, id) })
	case n < 45:
		p.list(cl, limit)
	default:
		p.look(id, p.rng.IntN(len(p.clients)))
	}
}

// decide notes a decision and what the answer showed. A decision that is refused,
// since the job has ended or is not there, was made by then if it was made at all.
func (p *person) decide(d decision, id string, limit time.Duration, call func(context.Context) (*api.JobStatus, error)) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	begin := p.history.now()
	s, err := call(ctx)
	end, back := p.history.now(), int64(never)
	if err == nil || refused(err, codes.NotFound) || refused(err, codes.FailedPrecondition) {
		back = end
	}
	p.history.add(p.number, input{id, d}, seen{}, begin, back)
	p.saw(id, s, err, begin, end)
}

func (p *person) look(id string, replica int) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	begin := p.history.now()
	s, err := p.clients[replica].Status(ctx, id)
	p.saw(id, s, err, begin, p.history.now())
}

func (p *person) list(cl *client.Client, limit time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	begin := p.history.now()
	all, err := cl.List(ctx)
	if err != nil {
		return
	}
	end := p.history.now()
	shown := map[string]*api.JobStatus{}
	for _, s := range all {
		shown[s.Job] = s
	}
	for _, request := range p.history.jobs {
		if s := shown[p.id(request)]; s != nil {
			p.saw(s.Job, s, nil, begin, end)
		} else {
			p.history.add(p.number, input{p.id(request), look}, seen{}, begin, end)
		}
	}
}

// saw notes what an answer shows of a job.
func (p *person) saw(id string, s *api.JobStatus, err error, begin, end int64) {
	switch {
	case err == nil:
		p.history.add(p.number, input{id, look}, seen{s.Phase, s.Turn, s.Committed}, begin, end)
	case refused(err, codes.NotFound):
		p.history.add(p.number, input{id, look}, seen{}, begin, end)
	}
}

func refused(err error, code codes.Code) bool {
	var answer *client.Error
	return errors.As(err, &answer) && answer.Code == code
}

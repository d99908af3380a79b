package ps

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/bus"
	"convoy/tree"
)

// tale steps a leading machine through a story with several workers.
type tale struct {
	t     *testing.T
	m     *Machine
	now   time.Duration
	fleet []string
	notes []string
}

// newTale leads workers w1 to wn at step 0; the steps so far have shown nothing of
// their speed.
func newTale(t *testing.T, workers int, change func(*api.JobSubmit)) *tale {
	t.Helper()
	r := simRecipe(4)
	r.Epochs, r.Schedule.WarmupSteps = 200, 0
	s := &tale{t: t, m: leadingOn(t, r, 0), now: tickEvery}
	if change != nil {
		change(s.m.record.Submit)
	}
	for i := range workers {
		s.fleet = append(s.fleet, fmt.Sprintf("w%d", i+1))
	}
	s.pass(tickEvery)
	return s
}

// step takes one event, and carries on at once where the machine asks for it.
func (s *tale) step(ev Event) (actions []Action) {
	for ev != nil {
		got := s.m.Step(s.now, ev)
		ev = nil
		for _, a := range got {
			switch a := a.(type) {
			case Again:
				ev = a
			case Propose:
				s.appended(a.Entry)
			case Note:
				s.notes = append(s.notes, a.Text)
			}
		}
		actions = append(actions, got...)
	}
	if len(bodies[*api.Envelope_Row](actions)) > 0 {
		actions = append(actions, s.receipts()...)
	}
	return actions
}

// receipts are those of the other replicas for all that is published.
func (s *tale) receipts() (actions []Action) {
	n := uint64(s.m.keeper.Step())
	for _, id := range []string{"r2", "r3"} {
		actions = append(actions, s.step(Received{ackMessage(&api.Ack{Job: simJob, Replica: id, Received: n, Applied: n})})...)
	}
	return actions
}

// appended does what the log's answer does.
func (s *tale) appended(e *api.Entry) {
	s.m.lead.log.inFlight = false
	if c := e.GetStepCommit(); c != nil {
		s.m.record = proto.CloneOf(s.m.record)
		s.m.record.Committed = c.First + uint64(len(c.Rows))
		s.m.lead.recorded()
	}
}

// pass lets time pass, with ticks, hellos of all workers and receipts of all
// replicas, and returns what the machine did.
func (s *tale) pass(d time.Duration) (actions []Action) {
	for end := s.now + d; s.now < end; {
		s.now += min(tickEvery, end-s.now)
		for _, id := range s.fleet {
			actions = append(actions, s.step(hello(id, uint64(s.m.keeper.Step())))...)
		}
		actions = append(actions, s.receipts()...)
		actions = append(actions, s.step(Tick{})...)
	}
	return actions
}

// result is a worker's partial of the machine's step, whole.
func (s *tale) result(id string, n tree.Node, spoilt bool) Received {
	k := s.m.keeper
	data, sums := simPartial(s.m.job, k.Step(), n, k.State().Params)
	if spoilt {
		spoil(data, &sums)
	}
	chain := k.Chain()
	return Received{bus.New(&api.Envelope{From: id, Job: simJob, Term: 1, Body: &api.Envelope_Partial{Partial: &api.Partial{
		RecipeHash: s.m.job.Hash[:], Step: uint64(k.Step()), Chain: chain[:], Low: uint32(n.Low), High: uint32(n.High), Chunks: 1,
		LossSum: sums.Loss, Correct: uint32(sums.Correct), Top5: uint32(sums.Top5), Examples: uint32(sums.Examples),
	}}}, data)}
}

func (s *tale) brings(id string, low, high int) []Action {
	return s.step(s.result(id, tree.Node{Low: low, High: high}, false))
}

func (s *tale) bringsWrong(id string, low, high int) []Action {
	return s.step(s.result(id, tree.Node{Low: low, High: high}, true))
}

// wants are the nodes of the last step asked of a worker: "[0,2)", with a star
// where a copy is meant.
func wants(actions []Action, worker string) (all []string) {
	step := uint64(0)
	for _, w := range bodies[*api.Envelope_Want](actions) {
		step = max(step, w.Want.Step)
	}
	for _, a := range actions {
		if s, ok := a.(Send); ok && s.Subject == bus.WorkerIn(simCluster, worker) && s.Message.GetWant() != nil && s.Message.GetWant().Step == step {
			w := s.Message.GetWant()
			text := fmt.Sprintf("[%d,%d)", w.Low, w.High)
			if w.Copy {
				text += "*"
			}
			all = append(all, text)
		}
	}
	return all
}

func (s *tale) expect(what string, got, want []string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// publishes returns the row that closes the step.
func (s *tale) publishes(actions []Action) *api.StepRow {
	s.t.Helper()
	rows := bodies[*api.Envelope_Row](actions)
	if len(rows) != 1 {
		s.t.Fatalf("%d rows, want the step published; notes %q", len(rows), s.notes)
	}
	return rows[0].Row
}

func (s *tale) publishesNothing(what string, actions []Action) {
	s.t.Helper()
	if rows := bodies[*api.Envelope_Row](actions); len(rows) != 0 {
		s.t.Fatalf("%s: the step is published", what)
	}
}

// A block that is late is computed by a worker that has brought its own; the
// first copy counts, and the other one nowhere.
func TestLateBlocksAreComputedTwice(t *testing.T) {
	s := newTale(t, 2, nil)
	s.next()
	s.pass(20 * time.Millisecond)
	s.brings("w2", 2, 4)
	got := s.pass(lateFloor - 20*time.Millisecond)
	s.expect("before the floor", wants(got, "w2"), nil)
	got = s.pass(2 * tickEvery)
	s.expect("w2 helps out", wants(got, "w2"), []string{"[0,2)*"})
	s.expect("w1 may have sent it in vain", wants(got, "w1"), []string{"[0,2)"})
	s.expect("once is enough", wants(s.pass(2*tickEvery), "w2"), nil)
	late := s.result("w1", tree.Node{Low: 0, High: 2}, false)
	row := s.publishes(s.brings("w2", 0, 2))
	if !slices.Equal(row.Workers, []string{"w2"}) || len(row.Shares) != 2 {
		t.Errorf("the row gives %v to %v", row.Shares, row.Workers)
	}
	before := s.m.keeper.Chain()
	s.publishesNothing("the late copy", s.step(late))
	if s.m.keeper.Chain() != before || s.m.keeper.Step() != 2 {
		t.Error("the late copy moved the state")
	}
}

// Where the late copy comes while the step waits for something else it is
// compared, and counted once.
func TestBothCopiesOfALateBlock(t *testing.T) {
	s := newTale(t, 3, nil) // [0,1) [1,2) [2,4)
	s.next()
	s.pass(20 * time.Millisecond)
	s.brings("w3", 2, 4)
	s.pass(lateFloor + tickEvery)
	s.brings("w3", 0, 1)
	s.brings("w1", 0, 1)
	row := s.publishes(s.brings("w2", 1, 2))
	if told := told(row.Workers, row.Shares); told != "w3 [0,1) w2 [1,2) w3 [2,4) " || row.Audited != 1 {
		t.Errorf("the row has %s, %d compared", told, row.Audited)
	}
}

// Who helps is the one that should be done first; nobody who still owes a block.
func TestTheFastestIdleWorkerHelps(t *testing.T) {
	s := newTale(t, 3, nil)
	s.next()
	s.pass(20 * time.Millisecond)
	s.brings("w3", 2, 4)
	s.pass(60 * time.Millisecond)
	s.brings("w2", 1, 2)
	got := s.pass(lateFloor + 200*time.Millisecond)
	s.expect("w3 is faster", wants(got, "w3"), []string{"[0,1)*"})
	s.expect("w2 is next when w3 does not deliver", wants(got, "w2"), []string{"[0,1)*"})
}

// run has w2 take 4 ms for an example, and w1 so long, for some steps.
func (s *tale) run(steps int, each time.Duration) {
	for range steps {
		plan, begun := slices.Clone(s.m.lead.plan.assigned), s.now
		took := func(a assignment) time.Duration {
			examples := time.Duration(s.m.lead.collect.examples(tree.Node{Low: a.low, High: a.high}))
			if a.worker == "w2" {
				return examples * 4 * time.Millisecond
			}
			return examples * each
		}
		slices.SortFunc(plan, func(a, b assignment) int { return cmp.Compare(took(a), took(b)) })
		for _, a := range plan {
			if left := begun + took(a) - s.now; left > 0 {
				s.pass(left)
			}
			for _, n := range tree.Cover(a.low, a.high) {
				s.brings(a.worker, n.Low, n.High)
			}
		}
	}
}

// A plan follows what the workers have taken lately. One that is of no use is
// given nothing, and tried again after a while.
func TestPlansFollowTheSpeed(t *testing.T) {
	s := newTale(t, 2, nil)
	s.next()
	for _, c := range []struct {
		name  string
		each  time.Duration
		plan  string
		plans uint64
	}{
		{"equally fast", 4 * time.Millisecond, "w1 [0,2), w2 [2,4)", 0},
		{"a little slower", 5 * time.Millisecond, "w1 [0,2), w2 [2,4)", 0},
		{"three times slower", 12 * time.Millisecond, "w1 [0,1), w2 [1,4)", 1},
		{"of no use", 80 * time.Millisecond, "w2 [0,4)", 1},
	} {
		before := s.m.lead.plan.version
		s.run(100, c.each)
		if got := describe(s.m.lead.plan.assigned); got != c.plan || s.m.lead.plan.version-before != c.plans {
			t.Errorf("%s: %s, %d plans later, want %s", c.name, got, s.m.lead.plan.version-before, c.plan)
		}
	}
	s.pass(paceLasts)
	s.next()
	if got := describe(s.m.lead.plan.assigned); got != "w1 [0,2), w2 [2,4)" {
		t.Errorf("after a while: %s", got)
	}
}

// A worker that is stopped is passed over within a fraction of a second and taken
// back when it wakes; what it sends then of a step gone by changes nothing.
func TestAStoppedWorkerIsPassedOverAndTakenBack(t *testing.T) {
	s := newTale(t, 2, nil)
	stopped, from := s.fleet[:1], s.now
	zombie := s.result("w1", tree.Node{Low: 0, High: 2}, false)
	s.fleet = s.fleet[1:]
	for s.m.keeper.Step() < 2 {
		for _, n := range []tree.Node{{Low: 0, High: 4}, {Low: 0, High: 2}, {Low: 2, High: 4}} {
			s.step(s.result("w2", n, false))
		}
		s.pass(tickEvery)
		if s.now-from > 500*time.Millisecond {
			t.Fatal("half a second after w1 was stopped the job stands")
		}
	}
	if got := describe(s.m.lead.plan.assigned); got != "w2 [0,4)" && s.now-from > 300*time.Millisecond {
		t.Errorf("plan %s", got)
	}
	s.pass(300 * time.Millisecond)
	before := s.m.keeper.Chain()
	s.publishesNothing("a zombie's partial", s.step(zombie))
	if s.m.keeper.Chain() != before {
		t.Error("a zombie's partial moved the state")
	}
	s.fleet = append(s.fleet, stopped...)
	s.pass(tickEvery)
	if got := describe(s.m.lead.plan.assigned); !strings.Contains(got, "w1") {
		t.Errorf("w1 is awake, the plan is %s", got)
	}
}

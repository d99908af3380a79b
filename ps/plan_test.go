package ps

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convoy/api"
)

// Ranges follow one another, cover everything and differ by at most one.
func TestEvenPlansAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := 1 << rapid.IntRange(0, 10).Draw(t, "log M")
		var workers []rated
		for i := range rapid.IntRange(1, 70).Draw(t, "workers") {
			workers = append(workers, rated{id: fmt.Sprint("w", i)})
		}
		at, least, most := 0, m, 0
		for i, a := range evenly(workers, m, 1) {
			if a.low != at || a.worker != workers[i].id {
				t.Fatalf("range %d is %+v, want it to begin at %d", i, a, at)
			}
			at = a.high
			least, most = min(least, a.high-a.low), max(most, a.high-a.low)
		}
		if at != m || least < 1 || most > least+1 {
			t.Fatalf("ranges end at %d of %d, widths %d to %d", at, m, least, most)
		}
	})
}

// A plan stands until other workers are there; who falls silent, has a problem
// or does not catch up is given nothing.
func TestPlanFollowsTheWorkers(t *testing.T) {
	m := leading(t, 0)
	now := tickEvery
	want := func(what string, workers ...string) {
		t.Helper()
		m.Step(now, Tick{})
		var have []string
		for _, a := range m.lead.plan.assigned {
			have = append(have, a.worker)
		}
		if fmt.Sprint(have) != fmt.Sprint(workers) {
			t.Errorf("%s: the plan has %v, want %v", what, have, workers)
		}
	}
	want("at first", "w1")
	version := m.lead.plan.version
	m.Step(now, hello("w2", 0))
	want("another comes", "w1", "w2")
	if m.lead.plan.version != version+1 {
		t.Errorf("version %d after %d", m.lead.plan.version, version)
	}
	now += 290 * time.Millisecond
	m.Step(now, hello("w2", 0))
	now += 290 * time.Millisecond
	want("w1 is silent", "w2")
	bad := hello("w2", 0)
	bad.GetHello().Problem = "no data"
	m.Step(now, hello("w3", 0))
	m.Step(now, bad)
	want("w2 has a problem", "w3")
	now += second
	want("all are silent, the plan stands", "w3")
	leaving := hello("w3", 0)
	leaving.GetHello().Leaving = true
	m.Step(now, hello("w4", 0))
	m.Step(now, leaving)
	want("w3 leaves", "w4")
}

// A worker that says it is ready and stays behind holds nobody up for long.
func TestWorkersThatStayBehindAreLeftOut(t *testing.T) {
	m := leading(t, 0)
	m.keeper.Apply(toyGradient(m, 1))
	now := tickEvery
	for range 30 {
		now += 100 * time.Millisecond
		m.Step(now, hello("w1", 0))
		m.Step(now, hello("w2", 1))
		m.Step(now, Tick{})
	}
	if p := m.lead.plan.assigned; len(p) != 1 || p[0].worker != "w2" {
		t.Errorf("after 3 s the plan is %+v", p)
	}
	m.Step(now, hello("w1", 1))
	m.Step(now, Tick{})
	if p := m.lead.plan.assigned; len(p) != 2 {
		t.Errorf("w1 has caught up, and the plan is %+v", p)
	}
}

// Hellos that know nothing are answered with the plan, others are not.
func TestHellosAreAnswered(t *testing.T) {
	m := leading(t, 0)
	for _, c := range []struct {
		job     string
		plan    uint64
		term    uint64
		answers int
	}{{simJob, 1, 1, 0}, {simJob, 0, 1, 1}, {simJob, 1, 0, 1}, {"", 0, 0, 1}} {
		h := hello("w1", 0)
		h.Job, h.Term, h.GetHello().Plan = c.job, c.term, c.plan
		if got := bodies[*api.Envelope_Plan](m.Step(tickEvery, h)); len(got) != c.answers {
			t.Errorf("job %q, plan %d, term %d: %d answers, want %d", c.job, c.plan, c.term, len(got), c.answers)
		}
	}
}

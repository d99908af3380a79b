package ps

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
	"convoy/tree"
)

func auditAll(s *api.JobSubmit) { s.Audit = 1 }

// next publishes the step under way with right results of all, so that the next
// one is audited from its beginning.
func (s *tale) next() (actions []Action) {
	s.t.Helper()
	step := s.m.keeper.Step()
	for range 5 {
		for _, id := range s.fleet {
			for _, n := range []tree.Node{{Low: 0, High: 1}, {Low: 1, High: 2}, {Low: 0, High: 2}, {Low: 2, High: 4}} {
				actions = append(actions, s.step(s.result(id, n, false))...)
				if s.m.keeper.Step() > step {
					return actions
				}
			}
		}
		actions = append(actions, s.pass(tickEvery)...)
	}
	s.t.Fatalf("step %d does not end: %q", step, s.notes)
	return nil
}

// endOf returns the entry that ends the job, nil where it goes on.
func endOf(actions []Action) *api.Entry {
	for _, a := range actions {
		if p, ok := a.(Propose); ok && (p.Entry.GetJobFailed() != nil || p.Entry.GetJobSuspect() != nil) {
			return p.Entry
		}
	}
	return nil
}

// With audit: 1 every block is asked of a second worker at once, and the step is
// published when two agree on each.
func TestAuditsCompareEveryBlock(t *testing.T) {
	s := newTale(t, 2, auditAll)
	got := s.next()
	s.pass(tickEvery)
	s.expect("w1 computes w2's too", wants(got, "w1"), []string{"[2,4)*"})
	s.expect("w2 computes w1's too", wants(got, "w2"), []string{"[0,2)*"})
	s.brings("w1", 0, 2)
	s.brings("w2", 2, 4)
	s.publishesNothing("before the copies", s.brings("w1", 2, 4))
	if row := s.publishes(s.brings("w2", 0, 2)); row.Audited != 2 || told(row.Workers, row.Shares) != "w1 [0,2) w2 [2,4) " {
		t.Errorf("%d audited, %s", row.Audited, told(row.Workers, row.Shares))
	}
}

// With audit: 1 a worker alone waits for a second one, and says so.
func TestAuditOfAllWaitsForASecondWorker(t *testing.T) {
	s := newTale(t, 1, auditAll)
	s.publishesNothing("nobody to compare with", s.brings("w1", 0, 4))
	s.publishesNothing("nobody to compare with", s.pass(20*time.Second))
	if _, waits := s.m.Planned(); !strings.Contains(waits, "waiting for a second worker to compute micro-batches [0,4) of step 0 too") {
		t.Errorf("it waits: %q", waits)
	}
	s.fleet = append(s.fleet, "w2")
	s.expect("w2 has come", wants(s.pass(2*tickEvery), "w2"), []string{"[0,4)*"})
	s.publishes(s.brings("w2", 0, 4))
}

// An audit of some holds nobody up for longer than a second copy takes.
func TestAuditsOfSomeAreGivenUp(t *testing.T) {
	s := newTale(t, 2, func(s *api.JobSubmit) { s.Audit = 0.9999 })
	s.pass(20 * time.Millisecond)
	s.brings("w1", 0, 2)
	s.publishesNothing("copies are asked for", s.brings("w2", 2, 4))
	row := s.publishes(s.pass(quietAfter + 2*tickEvery))
	if row.Audited != 0 {
		t.Errorf("%d audited", row.Audited)
	}
}

// The share of the blocks that is audited is the one asked for, and the same
// wherever it is asked.
func TestAuditedShare(t *testing.T) {
	s := newTale(t, 1, func(s *api.JobSubmit) { s.Audit = 0.25 })
	count := 0
	for step := range 1000 {
		s.m.lead.collect = newCollection(job.Sequence{Train: 40000, Test: 5, Epochs: 1, Batch: 10, MicroBatches: 4}, step, 1)
		for _, n := range tree.Cover(1, 4) {
			if s.m.lead.audited(n) {
				count++
			}
		}
	}
	if count < 400 || count > 600 {
		t.Errorf("%d of 2000 blocks are audited, want about 500", count)
	}
}

// The odd one of three is quarantined: what it sent is forgotten, others compute
// its blocks, and the step ends with the right result.
func TestTheOddOneIsQuarantined(t *testing.T) {
	s := newTale(t, 3, auditAll)
	s.next()
	chain := s.trueChain()
	s.bringsWrong("w1", 0, 1) // [0,1) [1,2) [2,4)
	s.brings("w2", 1, 2)
	s.brings("w3", 2, 4)
	var second, third string
	for _, id := range []string{"w2", "w3"} {
		if s.m.lead.collect.wanted[part{id, tree.Node{Low: 0, High: 1}}] {
			second = id
		} else {
			third = id
		}
	}
	got := s.brings(second, 0, 1)
	s.expect("a third worker is asked", wants(got, third), []string{"[0,1)*"})
	s.publishesNothing("before it has answered", got)
	got = s.brings(third, 0, 1)
	if got := describe(s.m.lead.plan.assigned); strings.Contains(got, "w1") {
		t.Errorf("the plan still has w1: %s", got)
	}
	if why, is := s.m.isQuarantined("w1"); !is || !strings.Contains(why, "its sum of micro-batches [0,1) of step 1 differs from that of w2 and w3") {
		t.Errorf("w1 is quarantined: %v, %q", is, why)
	}
	s.step(s.result("w1", tree.Node{Low: 2, High: 4}, true)) // is not listened to
	for s.m.keeper.Step() == 1 {
		for _, id := range []string{"w2", "w3"} {
			for _, n := range []tree.Node{{Low: 1, High: 2}, {Low: 0, High: 2}, {Low: 2, High: 4}} {
				if s.m.keeper.Step() == 1 {
					got = append(got, s.step(s.result(id, n, false))...)
				}
			}
		}
		got = append(got, s.pass(tickEvery)...)
	}
	if s.m.keeper.Chain() != chain {
		t.Error("the step ends with another result than the true one")
	}
	heads := bodies[*api.Envelope_Head](s.pass(headEvery))
	if len(heads) == 0 || len(heads[0].Head.Quarantined) != 1 || heads[0].Head.Quarantined[0].Worker != "w1" {
		t.Errorf("the other replicas hear %v", heads)
	}
	again := hello("w1", 2)
	again.GetHello().Incarnation = "another start"
	s.step(again)
	if _, is := s.m.isQuarantined("w1"); is {
		t.Error("a new start of w1 is still in quarantine")
	}
}

// Copies that differ hold a step up also where nobody asked for an audit: a
// backup's second copy shows it.
func TestABackupCopyThatDiffers(t *testing.T) {
	s := newTale(t, 3, nil) // [0,1) [1,2) [2,4)
	s.next()
	s.pass(20 * time.Millisecond)
	s.brings("w3", 2, 4)
	s.pass(lateFloor + tickEvery)
	s.brings("w3", 0, 1)
	s.expect("w2 decides", wants(s.bringsWrong("w1", 0, 1), "w2"), []string{"[0,1)*"})
	s.publishesNothing("w1 and w3 differ", s.brings("w2", 1, 2))
	s.publishes(s.brings("w2", 0, 1))
	if _, is := s.m.isQuarantined("w1"); !is {
		t.Error("w1 is not quarantined")
	}
}

// Two that differ and no third, or three that all differ, end the job as suspect.
func TestUndecidedCopiesEndTheJob(t *testing.T) {
	two := newTale(t, 2, auditAll)
	two.next()
	two.brings("w1", 0, 2)
	two.bringsWrong("w2", 0, 2)
	if e := endOf(two.pass(thirdWithin - time.Second)); e != nil {
		t.Errorf("ended too early: %v", e)
	}
	if _, waits := two.m.Planned(); !strings.Contains(waits, "w1 and w2 have computed different sums of micro-batches [0,2): waiting for a third worker") {
		t.Errorf("it waits: %q", waits)
	}
	e := endOf(two.pass(2 * time.Second))
	if e.GetJobSuspect().GetStep() != 1 || !strings.Contains(e.GetJobSuspect().GetEvidence(), "no third worker came") {
		t.Errorf("two: %v", e)
	}

	three := newTale(t, 3, auditAll)
	three.next()
	n := tree.Node{Low: 0, High: 1}
	three.brings("w1", 0, 1)
	var asked []string
	for _, id := range []string{"w2", "w3"} {
		if three.m.lead.collect.wanted[part{id, n}] {
			asked = append(asked, id)
		}
	}
	three.bringsWrong(asked[0], 0, 1)
	other := slices.DeleteFunc([]string{"w2", "w3"}, func(id string) bool { return id == asked[0] })[0]
	third := three.result(other, n, true)
	third.Data[0]++
	e = endOf(three.step(third))
	if e.GetJobSuspect() == nil || !strings.Contains(e.GetJobSuspect().Evidence, "no two agree") || !strings.Contains(e.GetJobSuspect().Evidence, "submit the job again") {
		t.Errorf("three: %v", e)
	}
}

// inLogAs makes the log say that step 0 was committed and gave chain.
func (s *tale) inLogAs(chain digest.Sum) {
	s.m.record.Committed = 1
	s.m.cfg.Recorded = func(int) (digest.Sum, bool) { return chain, true }
}

// trueChain is the chain after the machine's step.
func (s *tale) trueChain() digest.Sum {
	data, sums := simPartial(s.m.job, s.m.keeper.Step(), tree.Node{Low: 0, High: s.m.job.Recipe.MicroBatches}, s.m.keeper.State().Params)
	row, _ := s.m.keeper.Mean(data, data, sums)
	return digest.Sum(row.ChainNext)
}

// A step computed again that differs from the log is computed by others too. The
// log tells who is wrong.
func TestTheLogTellsWhoIsWrong(t *testing.T) {
	s := newTale(t, 2, nil)
	s.inLogAs(s.trueChain())
	s.bringsWrong("w1", 0, 2)
	got := s.brings("w2", 2, 4)
	s.publishesNothing("it differs from the log", got)
	got = append(got, s.pass(tickEvery)...)
	s.expect("w1 computes w2's", wants(got, "w1"), []string{"[2,4)*"})
	s.expect("w2 computes w1's", wants(got, "w2"), []string{"[0,2)*"})
	s.publishesNothing("half of it", s.brings("w1", 2, 4))
	row := s.publishes(s.brings("w2", 0, 2))
	if chain := s.trueChainOf(row); !chain {
		t.Error("the step ends with another result than the log's")
	}
	if _, is := s.m.isQuarantined("w1"); !is {
		t.Errorf("w1 is not quarantined: %q", s.notes)
	}
}

func (s *tale) trueChainOf(r *api.StepRow) bool {
	want, _ := s.m.cfg.Recorded(int(r.Step))
	return string(want[:]) == string(r.ChainNext)
}

// Two independent computations that both differ from the log end the job.
func TestALogThatCannotBeReproduced(t *testing.T) {
	s := newTale(t, 2, nil)
	s.inLogAs(digest.Of([]byte("another")))
	s.brings("w1", 0, 2)
	s.brings("w2", 2, 4)
	s.pass(tickEvery)
	s.brings("w2", 0, 2)
	e := endOf(s.brings("w1", 2, 4))
	if e.GetJobSuspect() == nil || !strings.Contains(e.GetJobSuspect().Evidence, "the log has") {
		t.Errorf("it ends: %v, notes %q", e, s.notes)
	}
	alone := newTale(t, 1, nil)
	alone.inLogAs(digest.Of([]byte("another")))
	alone.brings("w1", 0, 4)
	if e := endOf(alone.pass(thirdWithin - second)); e != nil {
		t.Errorf("a worker alone ends the job too early: %v", e)
	}
	if e := endOf(alone.pass(2 * second)); e.GetJobSuspect() == nil || !strings.Contains(e.GetJobSuspect().Evidence, "no second worker came") {
		t.Errorf("a worker alone: %v", e)
	}
}

// A step that is not finite is computed by others too before the job fails: a
// machine may be wrong. A worker alone is believed.
func TestAGradientThatIsNotFinite(t *testing.T) {
	s := newTale(t, 3, nil) // [0,1) [1,2) [2,4)
	s.next()
	s.pass(tickEvery)
	bad := s.result("w1", tree.Node{Low: 0, High: 1}, false)
	bad.Data[3] = float32(math.Inf(1))
	s.step(bad)
	s.brings("w2", 1, 2)
	got := append(s.brings("w3", 2, 4), s.pass(tickEvery)...)
	if e := endOf(got); e != nil {
		t.Fatalf("the job ends at once: %v", e)
	}
	var rows []*api.Envelope_Row
	for _, id := range []string{"w2", "w3", "w2", "w1"} {
		for _, n := range []tree.Node{{Low: 0, High: 1}, {Low: 2, High: 4}, {Low: 1, High: 2}} {
			if s.m.keeper.Step() == 1 {
				rows = append(rows, bodies[*api.Envelope_Row](s.step(s.result(id, n, false)))...)
			}
		}
	}
	if _, is := s.m.isQuarantined("w1"); !is || len(rows) != 1 {
		t.Errorf("w1 in quarantine: %v, %d rows; %q", is, len(rows), s.notes)
	}

	alone := newTale(t, 1, nil)
	bad = alone.result("w1", tree.Node{Low: 0, High: 4}, false)
	bad.Data[3] = float32(math.NaN())
	alone.step(bad)
	if e := endOf(alone.pass(2 * tickEvery)); !strings.Contains(e.GetJobFailed().GetReason(), "diverged at step 0") {
		t.Errorf("a worker alone: %v", e)
	}
}

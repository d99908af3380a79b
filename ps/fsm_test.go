package ps

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"convoy/api"
	"convoy/digest"
)

func newFSM() *control { return newControl(func(change) {}, func() error { return nil }) }

func give(c *control, entries ...*api.Entry) {
	for i, e := range entries {
		b, err := proto.Marshal(e)
		if err != nil {
			panic(err)
		}
		if err, failed := c.Apply(&raft.Log{Index: uint64(i), Data: b}).(error); failed {
			panic(err)
		}
	}
}

func submitEntry(id string) *api.Entry {
	return &api.Entry{UnixNanos: 1, Body: &api.Entry_JobSubmit{JobSubmit: &api.JobSubmit{Job: id, Recipe: simRecipe(4).Canonical()}}}
}

func startEntry(id string) *api.Entry {
	c := digest.Of([]byte("chain 0"))
	return &api.Entry{UnixNanos: 2, Body: &api.Entry_JobStart{JobStart: &api.JobStart{Job: id, Chain: c[:], StateDigest: c[:]}}}
}

// commitEntry commits steps [first, first+n); all commits fit one chain.
func commitEntry(id string, first, n int) *api.Entry {
	chain := digest.Of([]byte("chain 0"))
	sum := func(t int) digest.Gradient {
		return digest.OfGradient(nil, digest.Sums{Loss: float64(t), Examples: 10})
	}
	for t := range first {
		chain = digest.Next(chain, sum(t))
	}
	c := &api.StepCommit{Job: id, First: uint64(first), ChainBefore: chain[:], Workers: []string{"w1"}}
	for t := first; t < first+n; t++ {
		g := sum(t)
		c.Rows = append(c.Rows, &api.CommittedRow{GradientDigest: g[:], LossSum: float64(t), Correct: 1, Top5: 6, Examples: 10, Shares: []*api.Share{{High: 4}}})
	}
	return &api.Entry{UnixNanos: int64(10 + first), Body: &api.Entry_StepCommit{StepCommit: c}}
}

func checkpointEntry(id string, step uint64) *api.Entry {
	return &api.Entry{Body: &api.Entry_CheckpointRecord{CheckpointRecord: &api.CheckpointRecord{Job: id, Step: step, Sha256: []byte{1}}}}
}

func finishEntry(id string, step uint64) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobFinished{JobFinished: &api.JobFinished{Job: id, Step: step, StateDigest: []byte{1}}}}
}

func failEntry(id string) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobFailed{JobFailed: &api.JobFailed{Job: id, Reason: "diverged"}}}
}

func cancelEntry(id string) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobCancel{JobCancel: &api.JobCancel{Job: id}}}
}

// drawEntry is any entry for one of two jobs, often out of turn.
func drawEntry(t *rapid.T) *api.Entry {
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "job")
	step := rapid.IntRange(0, 20).Draw(t, "step")
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		return submitEntry(id)
	case 2, 3:
		return startEntry(id)
	case 4:
		return checkpointEntry(id, uint64(step))
	case 5:
		return finishEntry(id, uint64(step))
	case 6:
		return failEntry(id)
	case 7:
		return cancelEntry(id)
	case 8:
		return &api.Entry{Body: &api.Entry_DataCommit{DataCommit: &api.DataCommit{ManifestDigest: []byte{byte(step)}}}}
	default:
		return commitEntry(id, rapid.IntRange(0, 6).Draw(t, "first"), rapid.IntRange(0, 4).Draw(t, "rows"))
	}
}

// TestEntriesCountOnce: an entry that comes again, as one does whose proposer did
// not hear the answer, changes nothing; a snapshot holds everything.
func TestEntriesCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once, twice := newFSM(), newFSM()
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			e := drawEntry(t)
			give(once, e)
			give(twice, e, e)
			if !proto.Equal(once.snapshot(), twice.snapshot()) {
				t.Fatalf("%v again makes a difference:\n%v\n%v", e, once.snapshot(), twice.snapshot())
			}
			for _, r := range once.state.Jobs {
				checkRecord(t, r)
			}
		}
		s, err := once.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		sink := &memorySink{}
		if err := s.Persist(sink); err != nil || !sink.closed {
			t.Fatalf("persist: %v, closed %v", err, sink.closed)
		}
		restored := newFSM()
		if err := restored.Restore(io.NopCloser(&sink.Buffer)); err != nil || !proto.Equal(restored.snapshot(), once.snapshot()) {
			t.Fatalf("restored %v, want %v; %v", restored.snapshot(), once.snapshot(), err)
		}
	})
}

// checkRecord: the head and its chain move together.
func checkRecord(t *rapid.T, r *api.JobRecord) {
	if r.Start == nil {
		if r.Committed != 0 || r.Phase == api.Phase_PHASE_RUNNING || r.Phase == api.Phase_PHASE_FINISHED {
			t.Fatalf("a job that has not started: %v", r)
		}
		return
	}
	if want := commitEntry("a", int(r.Committed), 1).GetStepCommit().ChainBefore; !bytes.Equal(r.Chain, want) {
		t.Fatalf("%d steps are committed with chain %x, want %x", r.Committed, r.Chain, want)
	}
}

type memorySink struct {
	bytes.Buffer
	closed, cancelled bool
}

func (s *memorySink) ID() string    { return "sink" }
func (s *memorySink) Close() error  { s.closed = true; return nil }
func (s *memorySink) Cancel() error { s.cancelled = true; return nil }

// A snapshot lets Raft forget entries, and so waits for their rows to be on disk.
func TestSnapshotWaitsForTheRows(t *testing.T) {
	c := newControl(func(change) {}, func() error { return fmt.Errorf("the disk is full") })
	s, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	sink := &memorySink{}
	if err := s.Persist(sink); err == nil || !sink.cancelled || sink.closed {
		t.Errorf("persist: %v; cancelled %v, closed %v", err, sink.cancelled, sink.closed)
	}
}

// What does not apply when its turn comes changes nothing.
func TestEntriesOutOfTurnAreNoOps(t *testing.T) {
	foreign := commitEntry("a", 2, 1)
	foreign.GetStepCommit().ChainBefore[0]++
	noRows := commitEntry("a", 2, 0)
	short := commitEntry("a", 2, 1)
	short.GetStepCommit().Rows[0].GradientDigest = []byte{1}
	noExamples := commitEntry("a", 2, 1)
	noExamples.GetStepCommit().Rows[0].Examples = 0
	miscounted := commitEntry("a", 2, 1)
	miscounted.GetStepCommit().Rows[0].Correct = miscounted.GetStepCommit().Rows[0].Top5 + 1
	for name, e := range map[string]*api.Entry{
		"a known job":           submitEntry("a"),
		"start again":           startEntry("a"),
		"start of no job":       startEntry("x"),
		"commit for no job":     commitEntry("x", 0, 1),
		"commit of the past":    commitEntry("a", 0, 2),
		"commit of an overlap":  commitEntry("a", 1, 2),
		"commit of the future":  commitEntry("a", 3, 1),
		"commit beyond the end": commitEntry("a", 2, 19),
		"another chain":         foreign,
		"no rows":               noRows,
		"a short digest":        short,
		"no examples":           noExamples,
		"correct above top 5":   miscounted,
		"an older checkpoint":   checkpointEntry("a", 1),
		"finish too early":      finishEntry("a", 3),
		"fail of no job":        failEntry("x"),
		"cancel of an ended":    cancelEntry("done"),
		"fail of an ended":      failEntry("done"),
		"commit for an ended":   commitEntry("done", 0, 1),
		"nothing at all":        {},
	} {
		c := newFSM()
		give(c, submitEntry("done"), startEntry("done"), cancelEntry("done"), submitEntry("a"), startEntry("a"), commitEntry("a", 0, 2), checkpointEntry("a", 1))
		before := c.snapshot()
		told := false
		c.watch = func(made change) { told = made.job != nil || len(made.rows) > 0 }
		give(c, e)
		if !proto.Equal(before, c.snapshot()) || told {
			t.Errorf("%s: told %v, %v", name, told, c.snapshot())
		}
	}
}

// A committed range comes out as rows, once, and moves the head.
func TestCommitHandsOutRows(t *testing.T) {
	c := newFSM()
	give(c, submitEntry("a"), startEntry("a"))
	var rows []*api.LedgerRow
	c.watch = func(made change) { rows = append(rows, made.rows...) }
	give(c, commitEntry("a", 0, 3), commitEntry("a", 0, 3), commitEntry("a", 3, 2))
	if len(rows) != 5 || rows[4].Step != 4 || rows[0].Workers[0] != "w1" {
		t.Fatalf("rows %v", rows)
	}
	r := c.record("a")
	if r.Committed != 5 || !bytes.Equal(r.Chain, rows[4].Chain) || !bytes.Equal(r.RecordChain, rows[4].RecordChain) {
		t.Errorf("record %v", r)
	}
	if r.WorkersUsed["w1"] != 4 || !r.HasTest || r.TrainLoss != 0.3 || r.TestLoss != 0.4 || r.TestAccuracy != 0.1 || r.TestTop5 != 0.6 {
		t.Errorf("figures of 4 training steps and an evaluation: %v", r)
	}
}

// FuzzRestore: bytes that are no snapshot are refused or give some state.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newFSM()
		give(c, submitEntry("a"))
		before := c.snapshot()
		if err := c.Restore(io.NopCloser(bytes.NewReader(b))); err != nil && !proto.Equal(before, c.snapshot()) {
			t.Error("a refused snapshot has changed the state")
		}
	})
}

package ps

import (
	"bytes"
	"fmt"
	"io"
	"strings"
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

func suspectEntry(id string) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobSuspect{JobSuspect: &api.JobSuspect{Job: id, Step: 3, Evidence: "w1 and w2 differ"}}}
}

func cancelEntry(id string) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobCancel{JobCancel: &api.JobCancel{Job: id}}}
}

func pauseEntry(id string, turn uint64) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobPause{JobPause: &api.JobPause{Job: id, Turn: turn}}}
}

func pausedEntry(id string, step uint64) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobPaused{JobPaused: &api.JobPaused{Job: id, Step: step}}}
}

func resumeEntry(id string, turn uint64) *api.Entry {
	return &api.Entry{Body: &api.Entry_JobResume{JobResume: &api.JobResume{Job: id, Turn: turn}}}
}

// drawEntry is any entry for one of two jobs, often out of turn.
func drawEntry(t *rapid.T) *api.Entry {
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "job")
	step := rapid.IntRange(0, 20).Draw(t, "step")
	turn := uint64(rapid.IntRange(0, 3).Draw(t, "turn"))
	switch rapid.IntRange(0, 15).Draw(t, "kind") {
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
		return pauseEntry(id, turn)
	case 9:
		return pausedEntry(id, uint64(step))
	case 10:
		return resumeEntry(id, turn)
	case 11:
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
			checkQueue(t, once.state.Jobs)
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

// checkQueue: one job runs at a time, and one whose turn it is goes on.
func checkQueue(t *rapid.T, jobs []*api.JobRecord) {
	active := 0
	var next *api.JobRecord
	for _, r := range jobs {
		switch {
		case running(r.Phase):
			active++
		case r.Phase == api.Phase_PHASE_QUEUED && next == nil:
			next = r
		}
	}
	if active > 1 || (active == 0 && next.GetStart() != nil) {
		t.Fatalf("%d jobs run, the next one is %v", active, next)
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
		"suspect of an ended":   suspectEntry("done"),
		"commit for an ended":   commitEntry("done", 0, 1),
		"pause at another turn": pauseEntry("a", 1),
		"pause of no job":       pauseEntry("x", 0),
		"pause of an ended":     pauseEntry("done", 0),
		"at rest while running": pausedEntry("a", 2),
		"resume of a running":   resumeEntry("a", 0),
		"resume of an ended":    resumeEntry("done", 0),
		"resume of no job":      resumeEntry("x", 0),
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

// TestPauseAndResume tells what becomes of a job's phase, entry by entry.
func TestPauseAndResume(t *testing.T) {
	const (
		queued, going, pausing, paused = api.Phase_PHASE_QUEUED, api.Phase_PHASE_RUNNING, api.Phase_PHASE_PAUSING, api.Phase_PHASE_PAUSED
		finished, failed, cancelled    = api.Phase_PHASE_FINISHED, api.Phase_PHASE_FAILED, api.Phase_PHASE_CANCELLED
	)
	type moment struct {
		entry *api.Entry
		phase api.Phase // of job a, after the entry
	}
	end := uint64(simRecipe(4).Sequence().Len())
	for name, story := range map[string][]moment{
		"before it starts": {
			{pauseEntry("a", 0), paused},
			{startEntry("a"), paused},
			{resumeEntry("a", 1), queued},
			{startEntry("a"), going},
		},
		"before its first step": {
			{startEntry("a"), going},
			{pauseEntry("a", 0), pausing},
			{pausedEntry("a", 0), paused},
			{resumeEntry("a", 1), going},
			{commitEntry("a", 0, 2), going},
		},
		"what is out is committed first": {
			{startEntry("a"), going},
			{commitEntry("a", 0, 2), going},
			{pauseEntry("a", 0), pausing},
			{pausedEntry("a", 3), pausing},
			{commitEntry("a", 2, 1), pausing},
			{checkpointEntry("a", 2), pausing},
			{pausedEntry("a", 3), pausing},
			{checkpointEntry("a", 3), paused},
			{commitEntry("a", 3, 1), paused},
			{resumeEntry("a", 1), going},
			{commitEntry("a", 3, 1), going},
		},
		"the checkpoint is there already": {
			{startEntry("a"), going},
			{commitEntry("a", 0, 2), going},
			{checkpointEntry("a", 2), going},
			{pauseEntry("a", 0), pausing},
			{pausedEntry("a", 2), paused},
		},
		"a replica held a later step": {
			{startEntry("a"), going},
			{commitEntry("a", 0, 2), going},
			{pauseEntry("a", 0), pausing},
			{pausedEntry("a", 2), pausing},
			{commitEntry("a", 2, 1), pausing},
			{checkpointEntry("a", 2), pausing},
			{pausedEntry("a", 3), pausing},
			{checkpointEntry("a", 3), paused},
		},
		"resumed before it rests": {
			{startEntry("a"), going},
			{commitEntry("a", 0, 2), going},
			{pauseEntry("a", 0), pausing},
			{pausedEntry("a", 2), pausing},
			{resumeEntry("a", 1), going},
			{checkpointEntry("a", 2), going},
			{pausedEntry("a", 2), going},
			{pauseEntry("a", 2), pausing},
			{pausedEntry("a", 2), paused},
		},
		"twice, and late": {
			{pauseEntry("a", 0), paused},
			{pauseEntry("a", 0), paused},
			{pauseEntry("a", 1), paused},
			{resumeEntry("a", 1), queued},
			{resumeEntry("a", 1), queued},
			{resumeEntry("a", 2), queued},
			{pauseEntry("a", 0), queued},
			{pauseEntry("a", 2), paused},
			{resumeEntry("a", 1), paused},
		},
		"cancelled while pausing": {
			{startEntry("a"), going},
			{commitEntry("a", 0, 2), going},
			{pauseEntry("a", 0), pausing},
			{cancelEntry("a"), cancelled},
			{commitEntry("a", 2, 1), cancelled},
			{pausedEntry("a", 2), cancelled},
			{resumeEntry("a", 1), cancelled},
		},
		"cancelled while paused": {
			{pauseEntry("a", 0), paused},
			{cancelEntry("a"), cancelled},
			{resumeEntry("a", 1), cancelled},
		},
		"diverged while pausing": {
			{startEntry("a"), going},
			{pauseEntry("a", 0), pausing},
			{failEntry("a"), failed},
		},
		"after its last step": {
			{startEntry("a"), going},
			{commitEntry("a", 0, int(end)), going},
			{pauseEntry("a", 0), pausing},
			{finishEntry("a", end), finished},
			{pauseEntry("a", 1), finished},
		},
	} {
		c := newFSM()
		give(c, submitEntry("a"))
		for i, m := range story {
			give(c, m.entry)
			if got := c.record("a").Phase; got != m.phase {
				t.Errorf("%s: %v after entry %d (%v), want %v", name, got, i, m.entry, m.phase)
			}
		}
	}
}

// TestQueueOfPausedJobs: jobs take their turns in the order of submission,
// whether they have run before or not.
func TestQueueOfPausedJobs(t *testing.T) {
	c := newFSM()
	expect := func(want string, entries ...*api.Entry) {
		t.Helper()
		give(c, entries...)
		got := ""
		for _, r := range c.state.Jobs {
			got += r.Submit.Job + " " + strings.ToLower(strings.TrimPrefix(r.Phase.String(), "PHASE_")) + ", "
		}
		if r := c.active(); r != nil {
			got += r.Submit.Job
		}
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	expect("a running, b queued, c queued, a", submitEntry("a"), submitEntry("b"), submitEntry("c"), startEntry("a"))
	expect("a running, b queued, c queued, a", startEntry("b")) // not its turn
	expect("a paused, b queued, c queued, b", pauseEntry("a", 0), pausedEntry("a", 0))
	expect("a paused, b running, c queued, b", startEntry("b"))
	expect("a queued, b running, c queued, b", resumeEntry("a", 1)) // it waits for b
	expect("a running, b cancelled, c queued, a", cancelEntry("b"))
	expect("a paused, b cancelled, c queued, c", pauseEntry("a", 2), pausedEntry("a", 0))
	expect("a running, b cancelled, c queued, a", resumeEntry("a", 3)) // before c, which has not started
	expect("a running, b cancelled, c queued, a", startEntry("c"))     // an entry that was on its way
	expect("a cancelled, b cancelled, c queued, c", cancelEntry("a"))
	expect("a cancelled, b cancelled, c paused, ", pauseEntry("c", 0))
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

// A suspect job has ended, with the evidence as its reason.
func TestSuspectJobsHaveEnded(t *testing.T) {
	c := newFSM()
	give(c, submitEntry("a"), startEntry("a"), suspectEntry("a"))
	r := c.record("a")
	if r.Phase != api.Phase_PHASE_SUSPECT || r.Reason != "w1 and w2 differ" || !ended(r.Phase) || c.active() != nil {
		t.Errorf("the job is %v: %s", r.Phase, r.Reason)
	}
	if text := turning(r); text != "ended after 0 committed steps: w1 and w2 differ" {
		t.Errorf("its log ends with %q", text)
	}
}

// FuzzEntry: whatever stands in the log, before or after a snapshot that is taken
// over, all replicas come to the same state, and none panics.
func FuzzEntry(f *testing.F) {
	encode := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	c := newFSM()
	give(c, submitEntry("a"), startEntry("a"), commitEntry("a", 0, 3))
	whole := encode(c.snapshot())
	for _, e := range []*api.Entry{
		submitEntry("b"), startEntry("b"), commitEntry("a", 3, 2),
		{Body: &api.Entry_JobCancel{JobCancel: &api.JobCancel{Job: "a"}}},
		{Body: &api.Entry_CheckpointRecord{CheckpointRecord: &api.CheckpointRecord{Job: "a", Step: 3}}},
		{Body: &api.Entry_JobFinished{JobFinished: &api.JobFinished{Job: "a", Step: 3}}},
	} {
		f.Add(whole, encode(e))
	}
	f.Add([]byte{0x0a, 0x00}, []byte{0x12, 0x00}) // a job without its submission, and an empty one
	f.Fuzz(func(t *testing.T, snapshot, entry []byte) {
		var states []*api.Control
		for range 2 {
			c := newFSM()
			restored := c.Restore(io.NopCloser(bytes.NewReader(snapshot)))
			for range 2 { // replayed
				c.Apply(&raft.Log{Index: 1, Data: entry})
			}
			if restored == nil {
				c.active()
				c.record("a")
			}
			states = append(states, c.snapshot())
		}
		if a, b := encodeSame(t, states[0]), encodeSame(t, states[1]); !bytes.Equal(a, b) {
			t.Errorf("two replicas differ: %v and %v", states[0], states[1])
		}
	})
}

// encodeSame encodes a state in the one way that also tells NaNs apart.
func encodeSame(t *testing.T, c *api.Control) []byte {
	t.Helper()
	b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

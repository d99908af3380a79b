package ps

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"convoy/api"
	"convoy/digest"
	"convoy/job"
	"convoy/ledger"
	"convoy/tree"
)

// drawRows are rows in sequence whose shares change as a hostile fleet would
// make them: any cut, any of many long names.
func drawRows(t *rapid.T, n int) []*api.StepRow {
	chain := digest.Of([]byte("start"))
	rows := make([]*api.StepRow, n)
	var shares []share
	for i := range rows {
		if i == 0 || rapid.Bool().Draw(t, "churn") {
			shares = nil
			for low := 0; low < 8; {
				high := rapid.IntRange(low+1, 8).Draw(t, "cut")
				name := fmt.Sprintf("%s%d", strings.Repeat("w", rapid.SampledFrom([]int{1, 60}).Draw(t, "length")), rapid.IntRange(0, 99).Draw(t, "worker"))
				shares = append(shares, share{name, tree.Node{Low: low, High: high}})
				low = high
			}
		}
		sum := digest.OfGradient(nil, digest.Sums{Loss: float64(i), Correct: i, Top5: i, Examples: 10})
		next := digest.Next(chain, sum)
		rows[i] = &api.StepRow{
			Step: uint64(i), Chain: bytes.Clone(chain[:]), ChainNext: next[:], GradientDigest: sum[:],
			LossSum: float64(i), Correct: uint32(i), Top5: uint32(i), Examples: 10,
		}
		if i%16 == 0 {
			rows[i].StateDigest = next[:]
		}
		setShares(rows[i], shares)
		chain = next
	}
	return rows
}

// TestCommitsAreSmallAndWhole: an entry stays under 4 kB whoever computed what,
// covers a range from the first row on, and expands to what the rows said.
func TestCommitsAreSmallAndWhole(t *testing.T) {
	seq := job.Sequence{Train: 1000, Test: 10, Epochs: 1, Batch: 10, MicroBatches: 8}
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t, rapid.IntRange(1, maxUncommitted).Draw(t, "rows"))
		c := newCommit(simJob, rows)
		for _, r := range c.Rows {
			r.PublishedUs = math.MaxUint32
		}
		b, err := proto.Marshal(&api.Entry{Body: &api.Entry_StepCommit{StepCommit: c}, UnixNanos: 1 << 62})
		if err != nil || len(b) > 4000 || len(c.Rows) == 0 {
			t.Fatalf("%d rows in %d bytes, %v", len(c.Rows), len(b), err)
		}
		used := map[string]bool{}
		for i, got := range ledger.FromCommit(seq, c, 0, nil) {
			want := rows[i]
			if got.Step != want.Step || string(got.Chain) != string(want.ChainNext) || string(got.StateDigest) != string(want.StateDigest) {
				t.Fatalf("row %d is %v, want %v", i, got, want)
			}
			if a, b := told(got.Workers, got.Shares), told(want.Workers, want.Shares); a != b {
				t.Fatalf("row %d: %s, want %s", i, a, b)
			}
			for _, w := range got.Workers {
				used[w] = true
			}
		}
		if len(used) != len(c.Workers) {
			t.Fatalf("the table names %d workers, the rows %d", len(c.Workers), len(used))
		}
	})
}

func told(workers []string, shares []*api.Share) string {
	var b strings.Builder
	for _, s := range shares {
		fmt.Fprintf(&b, "%s [%d,%d) ", workers[s.Worker], s.Low, s.High)
	}
	return b.String()
}

// A commit waits until rows are worth an entry, and covers what a majority holds
// and no more.
func TestCommitCoversWhatAMajorityHolds(t *testing.T) {
	m := leading(t, 0)
	now := second
	proposed := func(ev Event) *api.StepCommit {
		for _, a := range m.Step(now, ev) {
			if p, ok := a.(Propose); ok {
				return p.Entry.GetStepCommit()
			}
		}
		return nil
	}
	for range 3 {
		m.keeper.Apply(toyGradient(m, 1))
		m.lead.log.times = append(m.lead.log.times, published{m.keeper.Step() - 1, now})
	}
	ack := func(id string, n uint64) Received {
		return Received{ackMessage(&api.Ack{Job: simJob, Replica: id, Received: n, Applied: n})}
	}
	if c := proposed(ack("r2", 2)); c != nil {
		t.Errorf("proposed at once: %v", c)
	}
	now += commitEvery
	c := proposed(Tick{})
	if c == nil || c.First != 0 || len(c.Rows) != 2 {
		t.Fatalf("proposed %v, want the two steps that r1 and r2 hold", c)
	}
	if us := c.Rows[1].PublishedUs; us != uint32(commitEvery.Microseconds()) {
		t.Errorf("step 1 was published %d µs before, want %v", us, commitEvery)
	}
	if c := proposed(ack("r3", 3)); c != nil {
		t.Errorf("a second entry while one is in flight: %v", c)
	}
	m.Step(now, ProposalFailed{ErrNotLeader})
	if c := proposed(Tick{}); c != nil {
		t.Errorf("proposed again at once: %v", c)
	}
	now += retryAfter
	if c := proposed(Tick{}); c == nil || len(c.Rows) != 3 {
		t.Errorf("after a failure: %v", c)
	}
	record := toyRecord(m.job.Recipe)
	record.Committed = 3
	if c := proposed(Recorded{record}); c != nil || len(m.keeper.Rows()) != 0 || m.lead.log.lag() != 0 {
		t.Errorf("all is committed: %v, %d rows, lag %v", c, len(m.keeper.Rows()), m.lead.log.lag())
	}
}

// The job starts once a majority has the same initial state, and fails where all
// have answered and differ.
func TestStartNeedsAgreement(t *testing.T) {
	own := func(m *Machine) []byte { d := m.keeper.Digest(); return d[:] }
	for name, c := range map[string]struct {
		digests func(m *Machine) [2][]byte // of r2 and r3
		want    string
	}{
		"nobody has answered": {func(*Machine) [2][]byte { return [2][]byte{} }, "nothing"},
		"one agrees":          {func(m *Machine) [2][]byte { return [2][]byte{own(m), nil} }, "start"},
		"one differs":         {func(*Machine) [2][]byte { return [2][]byte{make([]byte, 32), nil} }, "nothing"},
		"one of two differs":  {func(m *Machine) [2][]byte { return [2][]byte{make([]byte, 32), own(m)} }, "start"},
		"both differ":         {func(*Machine) [2][]byte { return [2][]byte{make([]byte, 32), make([]byte, 32)} }, "failed"},
	} {
		m := leading(t, 0)
		m.record.Phase = api.Phase_PHASE_QUEUED
		got := "nothing"
		clear(m.lead.acks)
		digests := c.digests(m)
		var events []Event
		for i, d := range [][]byte{own(m), digests[0], digests[1]} {
			if d != nil {
				events = append(events, Received{ackMessage(&api.Ack{Job: simJob, Replica: fmt.Sprint("r", i+1), Digest: d})})
			}
		}
		for _, ev := range append(events, Tick{}) {
			for _, a := range m.Step(0, ev) {
				if p, ok := a.(Propose); ok && p.Entry.GetJobStart() != nil {
					got = "start"
				} else if ok && p.Entry.GetJobFailed() != nil {
					got = "failed"
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

package ps

import (
	"testing"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/state"
	"convoy/tree"
)

// toyGradient is the gradient of the machine's step in the given chunks.
func toyGradient(m *Machine, chunks uint32) *state.Gradient {
	k := m.keeper
	data, sums := simPartial(m.job, k.Step(), tree.Node{Low: 0, High: m.job.Recipe.MicroBatches}, k.State().Params)
	g := &state.Gradient{Row: k.NewRow(data, sums), Data: data}
	g.Row.Chunks = chunks
	return g
}

// fanning is a leader that has begun to send a gradient of 40 chunks to r2, r3
// and w1.
func fanning(t *testing.T) (m *Machine, sent int) {
	t.Helper()
	m = leading(t, 1)
	m.now, m.out = tickEvery, nil
	m.lead.fan.start(toyGradient(m, simFloats))
	return m, len(bodies[*api.Envelope_Gradient](m.out))
}

func credit(from string, chunks uint32) Received {
	return Received{bus.Message{Envelope: &api.Envelope{
		Job: simJob, From: from, Body: &api.Envelope_Credit{Credit: &api.Credit{Chunks: chunks}},
	}}}
}

// The fan-out keeps a window ahead of the slowest receiver, and ends with the
// row.
func TestFanoutKeepsTheWindow(t *testing.T) {
	m, sent := fanning(t)
	if sent != window {
		t.Fatalf("%d chunks before any credit, want %d", sent, window)
	}
	for _, c := range []struct {
		from   string
		chunks uint32
		sent   int
	}{
		{"r2", 8, 0},
		{"w1", 16, 0},
		{"r3", 8, 8}, // now all have 8
		{"r2", 8, 0},
		{"r2", 24, 0},
		{"w9", 40, 0}, // a stranger
		{"r3", 24, 8}, // w1 has 16
		{"w1", 24, 8}, // and that was the last
	} {
		actions := m.Step(tickEvery, credit(c.from, c.chunks))
		if got := len(bodies[*api.Envelope_Gradient](actions)); got != c.sent {
			t.Errorf("%s has %d: %d chunks follow, want %d", c.from, c.chunks, got, c.sent)
		}
		if rows := len(bodies[*api.Envelope_Row](actions)); (rows == 1) != (c.from == "w1" && c.chunks == 24) {
			t.Errorf("%s has %d: %d rows", c.from, c.chunks, rows)
		}
	}
}

// A receiver that stalls is left behind after a second, and waited for again
// once it takes chunks.
func TestStalledReceiversAreLeftBehind(t *testing.T) {
	m, _ := fanning(t)
	m.Step(tickEvery, credit("r2", 16))
	m.Step(tickEvery, credit("w1", 16))
	if got := m.Step(tickEvery+stalledAfter-time.Millisecond, Tick{}); len(bodies[*api.Envelope_Gradient](got)) != 0 {
		t.Fatal("r3 is dropped too early")
	}
	got := m.Step(tickEvery+stalledAfter, Tick{})
	if n := len(bodies[*api.Envelope_Gradient](got)); n != 16 {
		t.Fatalf("%d chunks after r3 was dropped, want 16", n)
	}
	begin := func() map[string]int {
		m.out, m.lead.fan.queue = nil, []*state.Gradient{toyGradient(m, simFloats)}
		m.lead.fan.begin()
		return m.lead.fan.receivers
	}
	for _, id := range []string{"r2", "r3"} {
		m.Step(m.now, Received{ackMessage(&api.Ack{Job: simJob, Replica: id})})
	}
	if _, waits := begin()["r3"]; waits {
		t.Error("the next gradient waits for r3, which has not been heard of")
	}
	m.Step(m.now, credit("r3", 8))
	if _, waits := begin()["r3"]; !waits {
		t.Error("r3 takes chunks again and is not waited for")
	}
}

// Nobody waits for those who have the gradient, cannot take it, or are silent.
func TestFanoutWaitsForThoseOnly(t *testing.T) {
	m := leading(t, 1)
	m.keeper.Apply(toyGradient(m, 1))
	ack := func(id string, received uint64) {
		m.lead.acknowledged(&api.Ack{Job: simJob, Replica: id, Received: received, Applied: min(received, 1)})
	}
	for _, c := range []struct {
		name     string
		received uint64
		silent   time.Duration
		waits    bool
	}{
		{"level", 1, 0, true},
		{"has it", 2, 0, false},
		{"a little behind", 0, 0, true},
		{"dead", 1, 2 * stalledAfter, false},
	} {
		m.now = 10 * second
		m.out = nil
		ack("r2", c.received)
		m.now += c.silent
		m.lead.fan.queue = []*state.Gradient{toyGradient(m, simFloats)}
		m.lead.fan.begin()
		if _, waits := m.lead.fan.receivers["r2"]; waits != c.waits {
			t.Errorf("%s: waited for: %v", c.name, waits)
		}
	}
}

package chaos

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"convoy/api"
	"convoy/bus"
	"convoy/local/link"
)

// sent are so many messages of one connection, told apart by their payloads.
func sent(n int) []link.Message {
	var list []link.Message
	for i := range n {
		list = append(list, link.Message{Subject: "cv.convoy.hello.w1", Payload: fmt.Appendf(nil, "message %3d", i)})
	}
	return list
}

func through(f link.Filter, list []link.Message) (out []string) {
	for _, m := range list {
		for _, m := range f(m) {
			out = append(out, string(m.Payload))
		}
	}
	return out
}

func TestMessagesPassUnlessTold(t *testing.T) {
	m := newMischief(1)
	if got := through(m.filter("w1", true), sent(50)); len(got) != 50 || m.done() != 0 {
		t.Errorf("%d messages of 50 came through, %d touched", len(got), m.done())
	}
}

// TestDuplicates: each message comes in its place; some come again, later, the
// same to the bit.
func TestDuplicates(t *testing.T) {
	m := newMischief(1)
	m.set(true, false)
	list := sent(200)
	got := through(m.filter("w1", true), list)
	again, late := 0, 0
	next := 0
	for i, text := range got {
		if next < len(list) && text == string(list[next].Payload) {
			next++
			continue
		}
		again++
		if i > 0 && got[i-1] != text {
			late++
		}
		if !strings.HasPrefix(text, "message ") {
			t.Errorf("%q was never sent", text)
		}
	}
	if next != len(list) || again < 50 || late < 25 {
		t.Errorf("%d of 200 came in order, %d again, %d of them late", next, again, late)
	}
	if left := m.done() - again; left < 0 || left > maxLater {
		t.Errorf("%d messages were to come twice, %d did", m.done(), again)
	}
}

// TestCorruption flips bits of some payloads and leaves their lengths, their NATS
// headers and what is not the protocol's alone. The sender's bytes stay as they are.
func TestCorruption(t *testing.T) {
	m := newMischief(1)
	m.set(false, true)
	f := m.filter("w1", false)
	changed := 0
	for i := range 500 {
		before := fmt.Appendf(nil, "head%3d", i)
		msg := link.Message{Subject: "cv.x", Head: 4, Payload: bytes.Clone(before)}
		out := f(msg)
		if len(out) != 1 || len(out[0].Payload) != len(before) || string(out[0].Payload[:4]) != "head" || !bytes.Equal(msg.Payload, before) {
			t.Fatalf("from %q came %v", before, out)
		}
		if !bytes.Equal(out[0].Payload, before) {
			changed++
		}
	}
	if changed < 20 || changed > 100 || m.done() < changed {
		t.Errorf("%d of 500 messages were changed, %d counted", changed, m.done())
	}
	other := link.Message{Subject: "_INBOX.1", Payload: []byte("other")}
	for range 100 {
		if got := f(other)[0]; string(got.Payload) != "other" {
			t.Errorf("a message that is not the protocol's is now %q", got.Payload)
		}
	}
	if got := f(link.Message{Subject: "cv.x"}); len(got) != 1 {
		t.Errorf("an empty message became %d", len(got))
	}
}

// TestRowsAreMarks: a step counts as published when its row goes towards NATS, and
// later while the job is slowed down.
func TestRowsAreMarks(t *testing.T) {
	row := func(step uint64) link.Message {
		frame, err := bus.Encode(nil, bus.New(&api.Envelope{Body: &api.Envelope_Row{Row: &api.StepRow{Step: step}}}, nil))
		if err != nil {
			t.Fatal(err)
		}
		return link.Message{Subject: "cv.convoy.j.job-1.g", Payload: frame}
	}
	m := newMischief(1)
	up, down := m.filter("r1", true), m.filter("r1", false)
	down(row(0))
	if m.marks.done() != 0 {
		t.Error("a row that comes from NATS counts")
	}
	up(row(0))
	up(link.Message{Subject: "cv.convoy.j.job-1.g", Payload: []byte("nonsense")})
	if m.marks.done() != 1 {
		t.Errorf("%d steps, want 1", m.marks.done())
	}
	m.slow.Store(true)
	begun := time.Now()
	up(row(1))
	if d := time.Since(begun); d < brake || m.marks.done() != 2 {
		t.Errorf("slowed down, step 1 took %v; %d steps", d, m.marks.done())
	}
}

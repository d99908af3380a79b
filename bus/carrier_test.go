package bus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a wait for something that must happen.
const patience = 20 * time.Second

// wait returns the next value of c.
func wait[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing after %v", what, patience)
		panic("unreachable")
	}
}

// collect subscribes and returns what arrives.
func collect(t testing.TB, c Carrier, subject string) <-chan Message {
	t.Helper()
	got := make(chan Message, 1<<14)
	if _, err := c.Subscribe(subject, func(m Message) { got <- m }); err != nil {
		t.Fatal(err)
	}
	return got
}

func publish(t testing.TB, c Carrier, subject string, m Message) {
	t.Helper()
	if err := c.Publish(subject, m); err != nil {
		t.Fatal(err)
	}
}

// eachCarrier runs the suite's test on every carrier. A test gets two ends,
// which in the local carrier are one.
func eachCarrier(t *testing.T, test func(t *testing.T, a, b Carrier)) {
	t.Run("local", func(t *testing.T) {
		l := NewLocal()
		defer closeCarrier(t, l)
		test(t, l, l)
	})
	t.Run("nats", func(t *testing.T) {
		server := startServer(t, 0)
		defer server.stop()
		a, b := dial(t, server.url, nil), dial(t, server.url, nil)
		defer closeCarrier(t, a)
		defer closeCarrier(t, b)
		test(t, a, b)
	})
}

func closeCarrier(t *testing.T, c Carrier) {
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestDelivers(t *testing.T) { eachCarrier(t, testDelivers) }

func testDelivers(t *testing.T, a, b Carrier) {
	got, own := collect(t, b, ReplicaIn("x", "c1")), collect(t, a, ReplicaIn("x", "c1"))
	collect(t, b, ReplicaIn("x", "c2")) // must not take anything away
	for _, m := range everyKind() {
		publish(t, a, ReplicaIn("x", "c1"), m)
		for _, c := range []<-chan Message{got, own} {
			if r := wait(t, c, "message"); !sameMessage(r, m) {
				t.Fatalf("sent %v, received %v", m, r)
			}
		}
	}
	if !a.Connected() {
		t.Error("the carrier works and says that it is not connected")
	}
}

func TestWildcard(t *testing.T) { eachCarrier(t, testWildcard) }

func testWildcard(t *testing.T, a, b Carrier) {
	got := collect(t, b, AllHellos("x"))
	publish(t, a, Hello("y", "w9"), plan(9))
	for v := range uint64(3) {
		publish(t, a, Hello("x", fmt.Sprintf("w%d", v)), plan(v))
		if m := wait(t, got, "hello"); m.GetPlan().Version != v {
			t.Errorf("received %v, want version %d", m, v)
		}
	}
}

// TestOrder has two senders mix control messages and floats; each kind of each
// sender has to arrive in order, and the function must not be called twice at
// once.
func TestOrder(t *testing.T) { eachCarrier(t, testOrder) }

func testOrder(t *testing.T, a, b Carrier) {
	const count = 400
	type stream struct {
		from string
		kind string
	}
	next := map[stream]uint64{} // without a lock: the race detector is part of the test
	var inside atomic.Int32
	done := make(chan struct{})
	total := 0
	_, err := b.Subscribe(Gradients("x", "j"), func(m Message) {
		defer inside.Add(-1)
		if inside.Add(1) != 1 {
			t.Error("two calls at once")
		}
		s, i := stream{m.From, fmt.Sprintf("%T", m.Body)}, m.GetPlan().GetVersion()+uint64(m.GetGradient().GetChunk())
		if i != next[s] {
			t.Errorf("%v: number %d came, want %d", s, i, next[s])
		}
		next[s]++
		if total++; total == 4*count {
			close(done)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var senders sync.WaitGroup
	for i, c := range []Carrier{a, b} {
		senders.Go(func() {
			from := fmt.Sprintf("c%d", i)
			for k := range count {
				p := plan(uint64(k))
				p.From = from
				if err := errors.Join(c.Publish(Gradients("x", "j"), chunk(from, uint32(k), 100+k)), c.Publish(Gradients("x", "j"), p)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait(t, done, "all messages")
	senders.Wait()
}

func TestUnsubscribe(t *testing.T) { eachCarrier(t, testUnsubscribe) }

func testUnsubscribe(t *testing.T, a, b Carrier) {
	calls := make(chan Message, 16)
	unsubscribe, err := b.Subscribe(WorkerIn("x", "w1"), func(m Message) { calls <- m })
	if err != nil {
		t.Fatal(err)
	}
	stays := collect(t, b, WorkerIn("x", "w1"))
	publish(t, a, WorkerIn("x", "w1"), plan(1))
	wait(t, calls, "first message")
	wait(t, stays, "first message of the other")
	unsubscribe()
	unsubscribe() // twice does no harm
	for _, m := range []Message{plan(2), chunk("c1", 0, 1)} {
		publish(t, a, WorkerIn("x", "w1"), m)
		wait(t, stays, "second message of the other")
	}
	if len(calls) != 0 {
		t.Errorf("%v after unsubscribe", <-calls)
	}
}

func TestPublishRefuses(t *testing.T) { eachCarrier(t, testPublishRefuses) }

func testPublishRefuses(t *testing.T, a, b Carrier) {
	got := collect(t, b, Hello("x", "w1"))
	for name, m := range badMessages() {
		if a.Publish(Hello("x", "w1"), m) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, subject := range []string{"", "cv..in", "cv.a b", AllHellos("x"), "cv.>"} {
		if a.Publish(subject, plan(1)) == nil {
			t.Errorf("subject %q: no error", subject)
		}
	}
	if _, err := b.Subscribe("cv.>", func(Message) {}); err == nil {
		t.Error("subscription to cv.>: no error")
	}
	publish(t, a, Hello("x", "w1"), plan(5))
	if m := wait(t, got, "good message"); m.GetPlan().GetVersion() != 5 {
		t.Errorf("received %v", m)
	}
}

func TestClose(t *testing.T) { eachCarrier(t, testClose) }

func testClose(t *testing.T, a, _ Carrier) {
	unsubscribe, err := a.Subscribe(Hello("x", "w1"), func(Message) {})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		closeCarrier(t, a)
	}
	unsubscribe()
	if err := a.Publish(Hello("x", "w1"), plan(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("publish on a closed carrier: %v", err)
	}
	if _, err := a.Subscribe(Hello("x", "w1"), func(Message) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("subscribe on a closed carrier: %v", err)
	}
	if a.Connected() {
		t.Error("a closed carrier says that it is connected")
	}
}

func TestLocalHandsOver(t *testing.T) {
	l := NewLocal()
	defer closeCarrier(t, l)
	got := collect(t, l, Gradients("x", "j"))
	m := chunk("c1", 0, 10)
	publish(t, l, Gradients("x", "j"), m)
	if r := wait(t, got, "message"); r.Envelope != m.Envelope || &r.Data[0] != &m.Data[0] {
		t.Error("the message was copied")
	}
}

func TestLocalCountsWhatItDrops(t *testing.T) {
	l := NewLocal()
	defer closeCarrier(t, l)
	entered, leave := make(chan struct{}), make(chan struct{})
	if _, err := l.Subscribe("cv.x", func(m Message) {
		if m.GetPlan().Version == 0 {
			close(entered)
			<-leave
		}
	}); err != nil {
		t.Fatal(err)
	}
	publish(t, l, "cv.x", plan(0))
	wait(t, entered, "first call")
	const more = 3
	for range localQueue + more {
		publish(t, l, "cv.x", plan(1))
	}
	if s := l.Stats(); s.Dropped != more || s.Published != localQueue+more+1 {
		t.Errorf("%+v, want %d dropped of %d", s, more, localQueue+more+1)
	}
	close(leave)
}

func benchmarkCarrier(b *testing.B, from, to Carrier) {
	m := chunk("c1", 0, 128<<10)
	arrived := make(chan struct{}, 16)
	if _, err := to.Subscribe("cv.x", func(Message) { arrived <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(4 * len(m.Data)))
	const credit = 16
	sent := 0
	for b.Loop() {
		if sent++; sent > credit {
			wait(b, arrived, "chunk")
		}
		publish(b, from, "cv.x", m)
	}
}

func BenchmarkChunkLocal(b *testing.B) {
	l := NewLocal()
	benchmarkCarrier(b, l, l)
	_ = l.Close()
}

func BenchmarkChunkNATS(b *testing.B) {
	server := startServer(b, 0)
	defer server.stop()
	from, to := dial(b, server.url, nil), dial(b, server.url, nil)
	benchmarkCarrier(b, from, to)
	_, _ = from.Close(), to.Close()
}

// BenchmarkRoundTripNATS measures one control message there and back.
func BenchmarkRoundTripNATS(b *testing.B) {
	server := startServer(b, 0)
	defer server.stop()
	from, to := dial(b, server.url, nil), dial(b, server.url, nil)
	if _, err := to.Subscribe("cv.there", func(m Message) { _ = to.Publish("cv.back", m) }); err != nil {
		b.Fatal(err)
	}
	back := collect(b, from, "cv.back")
	head := New(&api.Envelope{Body: &api.Envelope_Head{Head: &api.Head{Step: 1}}}, nil)
	for b.Loop() {
		publish(b, from, "cv.there", head)
		wait(b, back, "answer")
	}
	_, _ = from.Close(), to.Close()
}

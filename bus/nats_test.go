package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// testServer is a nats-server of its own: package embedded imports this one.
type testServer struct {
	url  string
	port int
	stop func()
}

func startServer(t testing.TB, port int) testServer {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, MaxPayload: MaxPayload})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not listen")
	}
	u, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	return testServer{url: s.ClientURL(), port: port, stop: func() { s.Shutdown(); s.WaitForShutdown() }}
}

// dial connects to url; events, where wanted, go to the channel.
func dial(t testing.TB, url string, events chan<- Event) *NATS {
	t.Helper()
	o := Options{URLs: []string{url}, Name: "test", Timeout: patience}
	if events != nil {
		o.OnEvent = func(e Event) { events <- e }
	}
	n, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestServerRestarts(t *testing.T) {
	first := startServer(t, 0)
	events := make(chan Event, 16)
	n := dial(t, first.url, events)
	defer closeCarrier(t, n)
	if e := wait(t, events, "first connection"); e.Kind != Up {
		t.Fatalf("first event %v", e.Kind)
	}
	got := collect(t, n, Gradients("x", "j"))
	publish(t, n, Gradients("x", "j"), plan(1))
	wait(t, got, "message before")

	first.stop()
	if e := wait(t, events, "loss"); e.Kind != Down {
		t.Fatalf("event %v after the server went down", e.Kind)
	}
	if n.Connected() {
		t.Error("connected without a server")
	}
	// One of the two connections may notice a little later than the other.
	for err := error(nil); !errors.Is(err, ErrDisconnected); err = n.Publish(Gradients("x", "j"), plan(2)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	late := collect(t, n, Hello("x", "w1")) // takes effect with the connection

	defer startServer(t, first.port).stop()
	if e := wait(t, events, "reconnect"); e.Kind != Up {
		t.Fatalf("event %v after the server came back", e.Kind)
	}
	for _, m := range []Message{plan(3), chunk("c1", 3, 5)} {
		publish(t, n, Gradients("x", "j"), m)
		if r := wait(t, got, "message after"); !sameMessage(r, m) {
			t.Errorf("received %v, want %v: nothing sent meanwhile may arrive", r, m)
		}
	}
	publish(t, n, Hello("x", "w1"), plan(4))
	wait(t, late, "message of the late subscription")
}

func TestMalformedIsDropped(t *testing.T) {
	s := startServer(t, 0)
	defer s.stop()
	core, logs := observer.New(zap.WarnLevel)
	n, err := Dial(context.Background(), Options{URLs: []string{s.url}, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	defer closeCarrier(t, n)
	got := collect(t, n, Hello("x", "w1"))
	raw, err := nats.Connect(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	bad := [][]byte{nil, {1}, {255, 255, 255, 255}, make([]byte, 100), mustEncode(t, chunk("c1", 0, 3))[:60]}
	for _, frame := range append(bad, mustEncode(t, plan(7))) {
		if err := raw.Publish(Hello("x", "w1"), frame); err != nil {
			t.Fatal(err)
		}
	}
	if m := wait(t, got, "good message"); m.GetPlan().GetVersion() != 7 {
		t.Errorf("received %v", m)
	}
	if s := n.Stats(); s.Malformed != uint64(len(bad)) || s.Received != 1 {
		t.Errorf("%+v, want %d malformed", s, len(bad))
	}
	if lines := logs.FilterMessageSnippet("malformed").Len(); lines != 1 {
		t.Errorf("%d lines in the log, want 1", lines)
	}
}

func TestSlowSubscriberIsTold(t *testing.T) {
	s := startServer(t, 0)
	defer s.stop()
	events := make(chan Event, 16)
	n := dial(t, s.url, events)
	defer closeCarrier(t, n)
	wait(t, events, "connection")
	leave := make(chan struct{})
	if _, err := n.Subscribe(Hello("x", "w1"), func(Message) { <-leave }); err != nil {
		t.Fatal(err)
	}
	for sub := range n.subs {
		if err := sub.subs[0].SetPendingLimits(2, -1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(100) {
		publish(t, n, Hello("x", "w1"), plan(i))
	}
	if e := wait(t, events, "slow"); e.Kind != Slow || e.Subject != Hello("x", "w1") {
		t.Errorf("event %v of %q", e.Kind, e.Subject)
	}
	if n.Stats().Dropped == 0 {
		t.Error("nothing counted as dropped")
	}
	close(leave)
}

func TestDialNamesTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Dial(context.Background(), Options{URLs: []string{"nats://me:secret@" + address}, Timeout: 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "start nats-server") {
		t.Errorf("error %v, want one that names %s and says what to do", err, address)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the password: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, Options{URLs: []string{"nats://" + address}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the context ended", err)
	}
	if _, err := Dial(context.Background(), Options{}); err == nil {
		t.Error("no error without an address")
	}
	if _, err := Dial(context.Background(), Options{URLs: []string{"nats://[::1"}}); err == nil {
		t.Error("no error with a broken address")
	}
}

// TestPublishNeverBlocks has a server that answers the handshake and then reads
// no more, as one that was stopped does.
func TestPublishNeverBlocks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 2)
	go func() {
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := shakeHands(c); err != nil {
				t.Error(err)
			}
			conns <- c
		}
	}()
	n := dial(t, "nats://"+l.Addr().String(), nil)
	m := chunk("c1", 0, 8<<10)
	var full error
	for full == nil {
		full = n.Publish(Gradients("x", "j"), m)
	}
	if !errors.Is(full, ErrFull) {
		t.Errorf("a server that does not read: %v", full)
	}
	for range 2 {
		if err := wait(t, conns, "connection").Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	closeCarrier(t, n)
	if n.Stats().Lost == 0 {
		t.Error("queued messages that could not be sent are not counted as lost")
	}
}

// shakeHands does a server's part until the client counts as connected.
func shakeHands(c net.Conn) error {
	if _, err := fmt.Fprintf(c, "INFO {\"server_id\":\"S\",\"max_payload\":%d}\r\n", MaxPayload); err != nil {
		return err
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if lines.Text() == "PING" {
			_, err := fmt.Fprint(c, "PONG\r\n")
			return err
		}
	}
	return lines.Err()
}

package embedded

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func dial(t *testing.T, url string) *bus.NATS {
	t.Helper()
	n, err := bus.Dial(context.Background(), bus.Options{URLs: []string{url}, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// crosses publishes from one server's client until the other's has received.
func crosses(t *testing.T, from, to *bus.NATS) {
	t.Helper()
	got := make(chan struct{}, 1<<10)
	stop, err := to.Subscribe("cv.x", func(bus.Message) { got <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(patience)
	for {
		m := bus.New(&api.Envelope{Body: &api.Envelope_Gradient{Gradient: &api.Gradient{}}}, make([]float32, 400<<10))
		if err := from.Publish("cv.x", m); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			return
		case <-again.C:
		case <-deadline:
			t.Fatal("nothing crosses from server to server")
		}
	}
}

func TestThreeServersAreOne(t *testing.T) {
	first := start(t, Options{Name: "n1", ClusterName: "x"})
	routes := []string{first.ClusterURL()}
	second := start(t, Options{Name: "n2", ClusterName: "x", Routes: routes})
	third := start(t, Options{Name: "n3", ClusterName: "x", Routes: routes})
	crosses(t, dial(t, second.ClientURL()), dial(t, third.ClientURL())) // they learn of each other
	if third.Routes() == 0 {
		t.Error("no routes")
	}
	first.Shutdown()
	crosses(t, dial(t, third.ClientURL()), dial(t, second.ClientURL()))
}

func TestAlone(t *testing.T) {
	s := start(t, Options{})
	if s.ClusterURL() != "" || s.Routes() != 0 {
		t.Errorf("a server alone has cluster address %q and %d routes", s.ClusterURL(), s.Routes())
	}
	crosses(t, dial(t, s.ClientURL()), dial(t, s.ClientURL()))
}

func TestStartRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	tests := map[string]struct {
		o    Options
		want string
	}{
		"client port in use":     {Options{Port: port}, strconv.Itoa(port)},
		"cluster port in use":    {Options{ClusterName: "x", ClusterPort: port}, strconv.Itoa(port)},
		"route without cluster":  {Options{Routes: []string{"nats://127.0.0.1:1"}}, "cluster's name"},
		"route without a host":   {Options{ClusterName: "x", Routes: []string{"c1"}}, "nats://host:port"},
		"host that is not local": {Options{Host: "192.0.2.1", Port: port}, "192.0.2.1"},
	}
	for name, test := range tests {
		s, err := Start(test.o)
		if err == nil {
			s.Shutdown()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

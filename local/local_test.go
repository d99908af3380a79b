package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convoy/api"
	"convoy/client"
	"convoy/internal/binaries"
	"convoy/local/link"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := errors.Join(goleak.Find(), binaries.Clean())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// patience is far beyond what anything here takes on a busy machine.
const patience = 2 * time.Minute

type story struct {
	t   *testing.T
	ctx context.Context
	*Cluster
}

func start(t *testing.T, o Options) *story {
	t.Helper()
	dir := binaries.Build(t)
	o.Coordinator, o.Worker, o.Dir = filepath.Join(dir, "coordinator"), filepath.Join(dir, "worker"), t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &story{t, ctx, c}
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// job is longer than any test looks at it.
const job = "model: lenet-relu\ndata: digits\nepochs: 1000\nbatch: 64\n"

func (s *story) submit() string {
	s.t.Helper()
	status, err := s.Client().Submit(s.ctx, client.Submission{RequestID: fmt.Sprintf("local-test-%d", time.Now().UnixNano()), File: []byte(job)})
	s.must(err)
	return status.GetJob()
}

var errEnough = errors.New("enough")

// further waits until the job has done n more steps than it had when it is asked.
func (s *story) further(id string, n uint64) {
	s.t.Helper()
	first := uint64(0)
	begun := false
	err := s.Client().Watch(s.ctx, id, func(j *api.JobStatus) error {
		if !begun {
			first, begun = j.GetStep(), true
		}
		if j.GetStep() >= first+n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		s.t.Fatalf("the job ended before %d more steps: %v", n, err)
	}
}

func (s *story) leader() string {
	s.t.Helper()
	id, err := s.Leader(s.ctx)
	s.must(err)
	return id
}

// TestProcessesComeAndGo does to the processes of a running job everything that
// can be done to them, and sees that it goes on.
func TestProcessesComeAndGo(t *testing.T) {
	s := start(t, Options{Replicas: 3, Workers: 2, Links: true})
	id := s.submit()
	s.further(id, 1)

	s.must(s.Kill("w1"))
	if s.Running("w1") {
		t.Error("a killed worker runs")
	}
	s.further(id, 1)
	s.must(s.Restart("w1"))
	if err := s.Restart("w1"); err == nil {
		t.Error("a process is started twice")
	}

	old := s.leader()
	s.must(s.Cut(Cut{Name: old, Peers: true, Fate: link.Hold}))
	if now := s.leaderOtherThan(old); now == old {
		t.Error("a leader that nobody hears leads on")
	}
	s.further(id, 1)
	s.must(s.Heal())
	s.must(s.WaitReady(s.ctx))

	s.must(s.Stop("w2"))
	s.further(id, 2)
	s.must(s.Cont("w2"))

	s.must(s.Kill("nats"))
	s.must(s.Restart("nats"))
	s.further(id, 1)
	s.must(s.Term(s.leader()))
	s.further(id, 1)
}

// leaderOtherThan waits until somebody else leads, as the others see it.
func (s *story) leaderOtherThan(old string) string {
	s.t.Helper()
	var own []string
	for _, r := range s.Replicas() {
		if r != old {
			own = append(own, s.addresses[r].own)
		}
	}
	c, err := client.Dial(strings.Join(own, ","), client.Options{})
	s.must(err)
	defer func() { s.must(c.Close()) }()
	now := old
	s.must(s.await(s.ctx, "other leader", func(ctx context.Context) (bool, string) {
		status, err := c.Cluster(ctx)
		if err == nil && status.GetLeader() != "" {
			now = status.GetLeader()
		}
		return now != old, "still " + now
	}))
	return now
}

// TestOneReplicaWithoutLinks is the smallest cluster; its workers are pinned.
func TestOneReplicaWithoutLinks(t *testing.T) {
	s := start(t, Options{Workers: 1, Pin: true})
	if err := s.Cut(Cut{Name: "w1"}); !errors.Is(err, errNoLinks) {
		t.Errorf("a cut without links: %v", err)
	}
	added, err := s.AddWorker()
	s.must(err)
	s.must(s.WaitReady(s.ctx))
	if added != "w2" || !s.Running("w2") {
		t.Errorf("added %s", added)
	}
	s.must(s.Term("w2"))
	s.must(s.Term("r1"))
}

// TestEndsByItself: a process that cannot run is told of with its last words.
func TestEndsByItself(t *testing.T) {
	dir := binaries.Build(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := Start(ctx, Options{
		Workers: 1, Coordinator: filepath.Join(dir, "coordinator"), Worker: filepath.Join(dir, "worker"), Dir: t.TempDir(),
		WorkerFlags: []string{"--log-level", "loud"},
	})
	if err == nil || !strings.Contains(err.Error(), `w1 ended by itself (exit status 2): worker: log level "loud" is unknown`) {
		t.Errorf("error %v", err)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{{Replicas: 10}, {Workers: -1}, {Workers: 257}, {Threads: 1025}} {
		if _, err := Start(context.Background(), o); err == nil || !strings.Contains(err.Error(), "give 1 to 9") {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}

// TestOwnerOf finds this process's own connection, and no other's.
func TestOwnerOf(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(c.LocalAddr().String())
	if got := ownerOf(address, map[int]string{os.Getpid(): "me", 1: "init"}); got != "me" {
		t.Errorf("the owner is %q", got)
	}
	if got := ownerOf(address, nil); got != "" {
		t.Errorf("without processes the owner is %q", got)
	}
	if err := errors.Join(c.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}

func TestFreeAddressesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		a, err := freeAddress()
		if err != nil || seen[a] {
			t.Fatalf("%s, seen before: %v; %v", a, seen[a], err)
		}
		seen[a] = true
	}
}

package coordinator

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"convoy/api"
	"convoy/bus"
)

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that tells %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want it to tell %q", err, part)
		}
	}
}

func openFake(cfg Config) (*Server, error) {
	cfg.open = func(Config, net.Listener, *peers) (replica, error) {
		return &fake{id: cfg.ID, group: &fakeGroup{leader: "r1", control: &api.Control{}, changed: make(chan struct{})}}, nil
	}
	if cfg.ID == "" {
		cfg.ID = "r1"
	}
	return Open(cfg)
}

func TestRunFolderIsTaken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openFake(Config{Dir: dir, InProcess: true})
	wantError(t, err, dir, "pid "+strconv.Itoa(os.Getpid()), "stop it or choose another folder")
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = lockFolder(dir); err != nil {
		t.Fatalf("after the owner has gone: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestRunFolderCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := openFake(Config{Dir: filepath.Join(file, "run"), InProcess: true})
	wantError(t, err, filepath.Join(file, "run"), "choose a folder that you may write to")
}

// A failed Open lets go of everything, so that the next one can succeed.
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := Config{Dir: dir, Listen: taken.Addr().String(), carrier: bus.NewLocal()}
	_, err = openFake(cfg)
	wantError(t, err, "gRPC API", "port "+port, "in use", "choose another port")
	cfg.Listen, cfg.RaftListen = "127.0.0.1:0", taken.Addr().String()
	_, err = openFake(cfg)
	wantError(t, err, "Raft", "port "+port, "in use")
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := openFake(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	several := []Peer{{ID: "r1"}, {ID: "r2", Address: "b:1", RaftAddress: "b:2"}}
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"id", Config{ID: "a b", Dir: "d"}, "replica's id"},
		{"cluster", Config{Cluster: "a.b", Dir: "d"}, "cluster's name"},
		{"folder", Config{}, "run folder"},
		{"listen", Config{Dir: "d"}, "address to listen on"},
		{"raft", Config{Dir: "d", Listen: ":0", Peers: several}, "address for Raft"},
		{"nats", Config{Dir: "d", Listen: ":0"}, "NATS"},
		{"peer", Config{Dir: "d", Listen: ":0", RaftListen: ":0", NATS: []string{"x"}, Peers: []Peer{{ID: "r2"}}}, "lacks an address"},
		{"twice", Config{Dir: "d", Listen: ":0", RaftListen: ":0", NATS: []string{"x"}, Peers: append(several, several[1])}, "given twice"},
	} {
		_, err := tt.cfg.checked()
		t.Run(tt.name, func(t *testing.T) { wantError(t, err, tt.want) })
	}
}

func TestReachable(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"10.0.0.1:7070": "10.0.0.1:7070", "name:1": "name:1", "[::]:7070": host + ":7070", "0.0.0.0:7": host + ":7", ":7": host + ":7",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// The in-process form serves the same calls without a socket.
func TestInProcess(t *testing.T) {
	s, err := openFake(Config{Dir: t.TempDir(), InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p := &peers{dial: s.Dial}
	conn, err := p.conn("any:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.NewJobsClient(conn).List(ctx, &api.ListRequest{}); err != nil {
		t.Error(err)
	}
	if _, ok := s.Carrier().(*bus.Local); !ok || s.Addr() != inProcessAddress {
		t.Errorf("carrier %T, address %s: want no network", s.Carrier(), s.Addr())
	}
	services, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err == nil {
		err = services.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := services.Recv(); err != nil || !strings.Contains(reply.String(), "convoy.v1.Jobs") {
		t.Errorf("reflection: %v, %v", reply, err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHealthFollowsTheLeader(t *testing.T) {
	c := startCluster(t, 1)
	stream, err := grpc_health_v1.NewHealthClient(c.conn("r1")).Watch(c.ctx(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		leader string
		want   grpc_health_v1.HealthCheckResponse_ServingStatus
	}{{"r1", grpc_health_v1.HealthCheckResponse_SERVING}, {"", grpc_health_v1.HealthCheckResponse_NOT_SERVING}, {"r1", grpc_health_v1.HealthCheckResponse_SERVING}} {
		c.group.lead(step.leader)
		for {
			reply, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if reply.Status == step.want {
				break
			}
		}
	}
}

// Waiting calls do not hold up a graceful stop, and their clients are told to
// go elsewhere.
func TestStopSendsWatchersAway(t *testing.T) {
	c := startCluster(t, 1)
	s, err := openFake(Config{Dir: t.TempDir(), InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	s.replica.(*fake).group.jobs = map[string]*api.JobStatus{"j": {Job: "j", Phase: api.Phase_PHASE_RUNNING}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p := &peers{dial: s.Dial}
	conn, err := p.conn("any")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := api.NewJobsClient(conn).Watch(c.ctx(), &api.JobRequest{Job: "j"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	cancel()
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable)
	wantError(t, err, "ask another")
	if err := errors.Join(p.close(), <-ended); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took >= stopLimit {
		t.Errorf("stopping took %v: it waited for the call", took)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	c := startCluster(t, 1)
	job := c.submit("r1")
	stream, err := c.jobs("r1").Rows(c.ctx(), &api.RowsRequest{Job: job}) // the fake has no rows to call
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.Internal)
	wantError(t, err, "replica r1", "report")
}

func TestLogger(t *testing.T) {
	for _, tt := range []struct {
		format, level string
		terminal      bool
		want, wantNot string
	}{
		{"auto", "", false, `"msg":"hello"`, "whisper"},
		{"", "info", true, "hello", "{"},
		{"json", "debug", true, `"msg":"whisper"`, "\t"},
		{"console", "warn", false, "beware", "hello"},
	} {
		var b strings.Builder
		log, err := newLogger(zapcore.AddSync(&b), tt.terminal, tt.format, tt.level)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("whisper")
		log.Info("hello")
		log.Warn("beware")
		if out := b.String(); !strings.Contains(out, tt.want) || strings.Contains(out, tt.wantNot) {
			t.Errorf("%+v: %q", tt, out)
		}
	}
	_, err := NewLogger("xml", "")
	wantError(t, err, "xml", "console")
	_, err = NewLogger("", "loud")
	wantError(t, err, "loud", "debug")
}

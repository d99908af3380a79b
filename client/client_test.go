package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Jobs server that answers from its fields.
type fake struct {
	api.UnimplementedJobsServer
	mu       sync.Mutex
	refusals int // calls to answer with Unavailable first
	calls    int
	jobs     map[string]*api.JobStatus // by request ID
	shards   map[digest.Sum][]byte
	missing  [][]byte
	watch    func(stream grpc.ServerStreamingServer[api.JobStatus]) error
	model    []byte
	health   *health.Server
	breaks   int // model and row streams to break in the middle
	keeper   *keeper
	members  []string // addresses, as Cluster tells them
}

func (f *fake) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.refusals > 0 {
		f.refusals--
		return status.Error(codes.Unavailable, "no leader is known yet")
	}
	return nil
}

func (f *fake) Submit(_ context.Context, r *api.SubmitRequest) (*api.SubmitResponse, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.jobs == nil {
		f.jobs = map[string]*api.JobStatus{}
	}
	if f.jobs[r.GetRequestId()] == nil {
		f.jobs[r.GetRequestId()] = &api.JobStatus{Job: fmt.Sprintf("job-%d", len(f.jobs))}
	}
	return &api.SubmitResponse{Job: f.jobs[r.GetRequestId()]}, nil
}

func (f *fake) MissingShards(context.Context, *api.MissingShardsRequest) (*api.MissingShardsResponse, error) {
	return &api.MissingShardsResponse{Sha256: f.missing}, nil
}

func (f *fake) PutShard(_ context.Context, r *api.PutShardRequest) (*api.PutShardResponse, error) {
	if sum := digest.Of(r.GetData()); string(sum[:]) != string(r.GetSha256()) {
		return nil, status.Error(codes.InvalidArgument, "the shard has another digest")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards[digest.Of(r.GetData())] = r.GetData()
	return &api.PutShardResponse{}, nil
}

func (f *fake) Status(_ context.Context, r *api.JobRequest) (*api.JobStatus, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	if r.GetJob() != "known" {
		return nil, status.Errorf(codes.NotFound, "no job %q", r.GetJob())
	}
	sum := sha256.Sum256(f.model)
	return &api.JobStatus{Job: "known", CheckpointSha256: hex.EncodeToString(sum[:])}, nil
}

func (f *fake) Watch(_ *api.JobRequest, stream grpc.ServerStreamingServer[api.JobStatus]) error {
	return f.watch(stream)
}

func (f *fake) breaking() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.breaks--
	return f.breaks >= 0
}

func (f *fake) Model(_ *api.JobRequest, stream grpc.ServerStreamingServer[api.Piece]) error {
	half := len(f.model) / 2
	if err := stream.Send(&api.Piece{Data: f.model[:half]}); err != nil {
		return err
	}
	if f.breaking() {
		return status.Error(codes.Unavailable, "shutting down")
	}
	return stream.Send(&api.Piece{Data: f.model[half:]})
}

func (f *fake) Rows(r *api.RowsRequest, stream grpc.ServerStreamingServer[api.LedgerRow]) error {
	for step := r.GetFrom(); step < 6; step++ {
		if step == 3 && f.breaking() {
			return status.Error(codes.Unavailable, "shutting down")
		}
		if err := stream.Send(&api.LedgerRow{Step: step}); err != nil {
			return err
		}
	}
	return nil
}

// dialFakes returns a client of one in-process listener per server; a nil server
// is an address where nothing listens.
func dialFakes(t *testing.T, timeout time.Duration, servers ...*fake) *Client {
	t.Helper()
	listeners := map[string]*bufconn.Listener{}
	var addresses []string
	for i, f := range servers {
		address := fmt.Sprintf("replica-%d:7070", i)
		addresses = append(addresses, address)
		if f == nil {
			continue
		}
		l := bufconn.Listen(1 << 20)
		listeners[address] = l
		f.health = health.NewServer()
		s := grpc.NewServer()
		api.RegisterJobsServer(s, f)
		if f.keeper != nil {
			api.RegisterReplicasServer(s, f.keeper)
		}
		grpc_health_v1.RegisterHealthServer(s, f.health)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		t.Cleanup(func() {
			s.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	c, err := Dial(strings.Join(addresses, ","), Options{Timeout: timeout, Dialer: func(ctx context.Context, address string) (net.Conn, error) {
		if l := listeners[address]; l != nil {
			return l.DialContext(ctx)
		}
		return nil, errors.New("connection refused")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"a:1":            "a:1",
		"a":              "a:7070",
		" a:1 , b ,":     "a:1 b:7070",
		"::1":            "[::1]:7070",
		"[::1]":          "[::1]:7070",
		"[::1]:9":        "[::1]:9",
		"127.0.0.1:7071": "127.0.0.1:7071",
	} {
		got, err := Addresses(in)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("Addresses(%q) = %q, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", " , ", "a:", "a:b:c"} {
		if got, err := Addresses(in); err == nil || !BadInput(err) {
			t.Errorf("Addresses(%q) = %q, %v, want an address error", in, got, err)
		}
	}
}

func TestOneReplicaSuffices(t *testing.T) {
	f := &fake{}
	c := dialFakes(t, 5*time.Second, nil, nil, f)
	for range 2 {
		s, err := c.Submit(t.Context(), Submission{RequestID: "same"})
		if err != nil || s.GetJob() != "job-0" {
			t.Fatalf("Submit = %v, %v", s, err)
		}
	}
	if got, want := *c.current.Load(), c.replicas()[2].address; got != want {
		t.Errorf("the client goes on with replica %s, want the one that answered, %s", got, want)
	}
}

func TestCallWaitsOutAnElection(t *testing.T) {
	f := &fake{refusals: 3}
	c := dialFakes(t, 5*time.Second, f)
	if _, err := c.Status(t.Context(), "known"); err != nil {
		t.Fatal(err)
	}
	if f.calls != 4 {
		t.Errorf("%d calls, want three refused and one answered", f.calls)
	}
}

func TestUnreachable(t *testing.T) {
	c := dialFakes(t, 200*time.Millisecond, nil, &fake{refusals: 1 << 30})
	_, err := c.List(t.Context())
	if err == nil || BadInput(err) {
		t.Fatalf("List = %v", err)
	}
	// List of the fake is not implemented: that is an answer, and no retry helps.
	if want := "no Convoy coordinator of this release"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
	_, err = c.Status(t.Context(), "known")
	want := "no coordinator answered within 200ms: replica-0:7070 (connection refused); replica-1:7070 (no leader is known yet); start one with `coordinator serve`, or name another with --addr or CONVOY_ADDR"
	if err == nil || err.Error() != want {
		t.Errorf("error %q\nwant  %q", err, want)
	}
}

func TestHealth(t *testing.T) {
	f := &fake{}
	c := dialFakes(t, 150*time.Millisecond, nil, f)
	if err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
	f.health.Shutdown()
	if err := c.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "does not serve") {
		t.Errorf("Health = %v of a replica that stops", err)
	}
}

func TestAnswersBecomeSentences(t *testing.T) {
	c := dialFakes(t, time.Second, &fake{})
	_, err := c.Status(t.Context(), "other")
	if err == nil || err.Error() != `no job "other"` || BadInput(err) {
		t.Errorf("error %q", err)
	}
}

// ramp is a split of n images of one pixel.
type ramp int

func (r ramp) Len() int { return int(r) }

func (r ramp) Example(i int, pixels []byte) int {
	pixels[0] = byte(i)
	return i % 2
}

func TestSubmitUploadsWhatIsMissing(t *testing.T) {
	set, err := data.Import(data.Manifest{Name: "ramp", Classes: 2, Channels: 1, Height: 1, Width: 1}, ramp(5), ramp(3))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Manifest.Shards) != 2 {
		t.Fatalf("%d shards, want one for each split", len(set.Manifest.Shards))
	}
	sum := set.Manifest.Shards[1].Digest()
	f := &fake{shards: map[digest.Sum][]byte{}, missing: [][]byte{sum[:]}}
	c := dialFakes(t, time.Second, f)
	if _, err := c.Submit(t.Context(), Submission{RequestID: "r", Data: set}); err != nil {
		t.Fatal(err)
	}
	if len(f.shards) != 1 || f.shards[sum] == nil {
		t.Errorf("the server has %q, want the missing shard alone", f.shards)
	}
}

func TestWatchGoesOnElsewhere(t *testing.T) {
	first := &fake{watch: func(stream grpc.ServerStreamingServer[api.JobStatus]) error {
		if err := stream.Send(&api.JobStatus{Step: 1, Phase: api.Phase_PHASE_RUNNING}); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "shutting down")
	}}
	second := &fake{watch: func(stream grpc.ServerStreamingServer[api.JobStatus]) error {
		if err := stream.Send(&api.JobStatus{Step: 2, Phase: api.Phase_PHASE_RUNNING}); err != nil {
			return err
		}
		return stream.Send(&api.JobStatus{Step: 3, Phase: api.Phase_PHASE_FINISHED})
	}}
	c := dialFakes(t, 5*time.Second, first, second)
	var steps []uint64
	err := c.Watch(t.Context(), "known", func(s *api.JobStatus) error {
		steps = append(steps, s.GetStep())
		return nil
	})
	if err != nil || fmt.Sprint(steps) != "[1 2 3]" {
		t.Errorf("saw steps %v, %v, want 1 to 3", steps, err)
	}
	enough := errors.New("enough")
	if err := c.Watch(t.Context(), "known", func(*api.JobStatus) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Watch = %v, want what see returned", err)
	}
}

func TestWatchLeavesAHungReplica(t *testing.T) {
	hung := &fake{watch: func(stream grpc.ServerStreamingServer[api.JobStatus]) error {
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	well := &fake{watch: func(stream grpc.ServerStreamingServer[api.JobStatus]) error {
		return stream.Send(&api.JobStatus{Step: 9, Phase: api.Phase_PHASE_CANCELLED})
	}}
	c := dialFakes(t, 300*time.Millisecond, hung, well)
	var last uint64
	err := c.Watch(t.Context(), "known", func(s *api.JobStatus) error {
		last = s.GetStep()
		return nil
	})
	if err != nil || last != 9 {
		t.Errorf("Watch ended at step %d, %v", last, err)
	}
}

func TestRowsGoOnWhereTheyBroke(t *testing.T) {
	c := dialFakes(t, 5*time.Second, &fake{breaks: 1})
	var steps []uint64
	for row, err := range c.Rows(t.Context(), "known", 1) {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, row.GetStep())
	}
	if fmt.Sprint(steps) != "[1 2 3 4 5]" {
		t.Errorf("rows %v, want 1 to 5 once each", steps)
	}
	next, stop := iter.Pull2(c.Rows(t.Context(), "known", 0))
	if row, err, ok := next(); !ok || err != nil || row.GetStep() != 0 {
		t.Errorf("first row %v, %v", row, err)
	}
	stop() // must not leak the stream (TestMain)
}

func TestModelIsWholeOrNotThere(t *testing.T) {
	f := &fake{model: []byte("weights and more weights"), breaks: 1}
	c := dialFakes(t, 5*time.Second, f)
	folder := t.TempDir()
	path := filepath.Join(folder, "model.safetensors")
	if _, err := c.Model(t.Context(), "known", path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(f.model) {
		t.Errorf("file holds %q, %v", got, err)
	}
	if _, err := c.Model(t.Context(), "other", filepath.Join(folder, "other")); err == nil {
		t.Error("a job that is not there has a model")
	}
	mismatch, err := c.download(t.Context(), "known", filepath.Join(folder, "third"), strings.Repeat("0", 64))
	if err != nil || mismatch == nil {
		t.Errorf("a model with another SHA-256: %v, %v", mismatch, err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v, want the model alone", entries, err)
	}
}

// Package clustertest runs whole clusters in a test: replicas that talk Raft
// and gRPC over TCP, a NATS server, and workers, all on loopback and on ports
// that the system chooses. What it starts is stopped at the end of the test.
//
// Killing is done as a crash does it: nothing is handed over and nobody is
// told. Waiting is on what the cluster says, never on the clock.
package clustertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"convoy/api"
	"convoy/bus"
	"convoy/bus/embedded"
	"convoy/client"
	"convoy/coordinator"
	"convoy/data"
	"convoy/local/link"
	"convoy/ps"
	"convoy/worker"
)

// Config says what to start.
type Config struct {
	Replicas    int // 0 means 1; with 1 everything is in one process and opens no socket
	Workers     int
	Links       bool  // replicas reach NATS over links that CutNATS cuts
	Threads     int   // of each worker; 0 means 1
	ChunkFloats int   // of a chunk on the wire; 0 means the default
	DataMemory  int64 // bytes of shards that a worker holds, and keeps on disk; 0 means the default
	// Patience is how long a wait for a job may take; 0 means a minute.
	Patience time.Duration
	// Wrap puts something between a worker and its carrier; nil: nothing.
	Wrap func(worker string, c bus.Carrier) bus.Carrier
}

const clusterName = "test"

// patience is how long anything may take before the test fails. It is far
// beyond what a loaded machine needs.
const patience = time.Minute

// Cluster is a running cluster.
type Cluster struct {
	t        testing.TB
	cfg      Config
	log      *zap.Logger
	dir      string
	nats     *embedded.Server
	natsPort int
	peers    []coordinator.Peer
	links    map[string]*link.Proxy      // of replicas to NATS, where Config.Links is set
	joined   map[string]coordinator.Peer // replicas added to the running cluster
	replicas map[string]*process
	workers  map[string]*process
	started  int // workers, for their names
	client   *client.Client
}

// process is something with a Run that can be killed.
type process struct {
	kill    context.CancelCauseFunc
	ended   chan struct{}
	err     error
	carrier bus.Carrier // a worker's own, to close; nil otherwise
	server  *coordinator.Server
}

// Start brings a cluster up and waits until it has a leader.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	cfg.Replicas, cfg.Threads, cfg.Patience = max(cfg.Replicas, 1), max(cfg.Threads, 1), cmp.Or(cfg.Patience, patience)
	c := &Cluster{
		t: t, cfg: cfg, dir: t.TempDir(), log: zap.NewNop(), joined: map[string]coordinator.Peer{}, links: map[string]*link.Proxy{},
		replicas: map[string]*process{}, workers: map[string]*process{},
	}
	if os.Getenv("CLUSTERTEST_LOG") != "" {
		c.log = zaptest.NewLogger(t)
	}
	t.Cleanup(c.stop)
	if cfg.Replicas == 1 {
		c.startAlone()
	} else {
		c.startReplicas()
	}
	for range cfg.Workers {
		c.AddWorker()
	}
	c.Leader()
	return c
}

func (c *Cluster) startAlone() {
	server, err := coordinator.Open(coordinator.Config{
		InProcess: true, ID: "r1", Cluster: clusterName, Dir: filepath.Join(c.dir, "r1"), Log: c.log, ChunkFloats: c.cfg.ChunkFloats,
	})
	c.must(err, "open the coordinator")
	c.replicas["r1"] = run(server.Run)
	c.replicas["r1"].server = server
	c.client, err = client.Dial(server.Addr(), client.Options{Dialer: server.Dial})
	c.must(err, "dial")
}

func (c *Cluster) startReplicas() {
	c.startNATS()
	listeners := map[string][2]net.Listener{}
	var addresses []string
	for i := range c.cfg.Replicas {
		id := fmt.Sprintf("r%d", i+1)
		apiListener, raftListener := c.listen("127.0.0.1:0"), c.listen("127.0.0.1:0")
		listeners[id] = [2]net.Listener{apiListener, raftListener}
		c.peers = append(c.peers, coordinator.Peer{
			ID: id, Address: apiListener.Addr().String(), RaftAddress: raftListener.Addr().String(),
		})
		addresses = append(addresses, apiListener.Addr().String())
	}
	for _, p := range c.peers {
		c.startReplica(coordinator.Config{ID: p.ID, Peers: c.peers}, listeners[p.ID][0], listeners[p.ID][1])
	}
	var err error
	c.client, err = client.Dial(strings.Join(addresses, ","), client.Options{Timeout: patience})
	c.must(err, "dial")
}

func (c *Cluster) startReplica(cfg coordinator.Config, apiListener, raftListener net.Listener) {
	c.t.Helper()
	cfg.Cluster, cfg.Dir = clusterName, filepath.Join(c.dir, cfg.ID)
	cfg.Listener, cfg.RaftListener = apiListener, raftListener
	cfg.NATS, cfg.Log, cfg.ChunkFloats = []string{c.natsFor(cfg.ID)}, c.log, c.cfg.ChunkFloats
	server, err := coordinator.Open(cfg)
	c.must(err, "open replica %s", cfg.ID)
	c.replicas[cfg.ID] = run(server.Run)
	c.replicas[cfg.ID].server = server
}

func (c *Cluster) startNATS() {
	var err error
	c.nats, err = embedded.Start(embedded.Options{Port: c.natsPort})
	c.must(err, "start NATS")
	_, port, err := net.SplitHostPort(trimScheme(c.nats.ClientURL()))
	c.must(err, "NATS address")
	_, err = fmt.Sscan(port, &c.natsPort)
	c.must(err, "NATS port")
}

// Addresses are those that clients find the replicas at, with commas between. A
// cluster of one replica has none.
func (c *Cluster) Addresses() string {
	var list []string
	for _, p := range c.peers {
		list = append(list, p.Address)
	}
	return strings.Join(list, ",")
}

// AddWorker starts one more worker and returns its name.
func (c *Cluster) AddWorker() string {
	c.t.Helper()
	c.started++
	id := fmt.Sprintf("w%d", c.started)
	cfg := worker.Config{
		ID: id, Cluster: clusterName, Threads: c.cfg.Threads, Log: c.log, ChunkFloats: c.cfg.ChunkFloats,
		Cache: filepath.Join(c.dir, id), DataMemory: c.cfg.DataMemory, CacheBytes: c.cfg.DataMemory, Replicas: c.client.Connections,
	}
	var own bus.Carrier
	if c.cfg.Replicas == 1 {
		cfg.Carrier = c.replicas["r1"].server.Carrier()
	} else {
		var err error
		own, err = bus.Dial(context.Background(), bus.Options{URLs: []string{c.nats.ClientURL()}, Name: id, Log: c.log})
		c.must(err, "dial NATS")
		cfg.Carrier = own
	}
	if c.cfg.Wrap != nil {
		cfg.Carrier = c.cfg.Wrap(id, cfg.Carrier)
	}
	w, err := worker.New(cfg)
	c.must(err, "worker %s", id)
	c.workers[id] = run(w.Run)
	c.workers[id].carrier = own
	return id
}

// StopReplica ends a replica as SIGTERM does: it hands over what it leads.
func (c *Cluster) StopReplica(id string) {
	c.t.Helper()
	p := c.replicas[id]
	p.stop(nil)
	c.must(p.err, "stop replica %s", id)
	delete(c.replicas, id)
}

// StopWorker ends a worker as SIGTERM does: it hands its blocks back.
func (c *Cluster) StopWorker(id string) {
	c.t.Helper()
	c.workers[id].stop(nil)
	c.must(c.workers[id].err, "stop worker %s", id)
	delete(c.workers, id)
}

// KillWorker ends a worker as a crash would.
func (c *Cluster) KillWorker(id string) {
	c.t.Helper()
	c.workers[id].stop(worker.ErrKilled)
	c.must(c.workers[id].err, "worker %s", id)
	delete(c.workers, id)
}

// Kill ends a replica as a crash would.
func (c *Cluster) Kill(id string) {
	c.t.Helper()
	c.replicas[id].stop(ps.ErrKilled)
	delete(c.replicas, id)
}

// Restart starts a replica again, on its old addresses and disk.
func (c *Cluster) Restart(id string) {
	c.t.Helper()
	for _, p := range c.peers {
		if p.ID == id {
			c.startReplica(coordinator.Config{ID: id, Peers: c.peers}, c.listen(p.Address), c.listen(p.RaftAddress))
		}
	}
	if p, ok := c.joined[id]; ok {
		c.startReplica(c.joining(p), c.listen(p.Address), c.listen(p.RaftAddress))
	}
}

// KillNATS ends the NATS server.
func (c *Cluster) KillNATS() { c.nats.Shutdown() }

// RestartNATS starts it again on its old port.
func (c *Cluster) RestartNATS() { c.startNATS() }

// Leader waits for a leader and returns its id.
func (c *Cluster) Leader() string {
	c.t.Helper()
	var id string
	c.eventually("a leader", func(ctx context.Context) bool {
		s, err := c.client.Cluster(ctx)
		if err != nil {
			return false
		}
		id = s.Leader
		return id != "" && c.replicas[id] != nil
	})
	return id
}

// Follower waits for a leader and returns the id of another replica.
func (c *Cluster) Follower() string {
	c.t.Helper()
	leader := c.Leader()
	for id := range c.replicas {
		if id != leader {
			return id
		}
	}
	c.t.Fatal("no follower is running")
	return ""
}

// Submit hands a job in and returns its ID. set is its data, nil for a built-in
// one.
func (c *Cluster) Submit(file string, set *data.Set) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := fmt.Sprintf("clustertest-%d", time.Now().UnixNano())
	s, err := c.client.Submit(ctx, client.Submission{RequestID: request, File: []byte(file), Data: set})
	c.must(err, "submit")
	return s.Job
}

// WaitStep waits until a job has done n steps; it must not have ended before.
func (c *Cluster) WaitStep(job string, n int) {
	c.t.Helper()
	c.WaitFor(job, func(s *api.JobStatus) bool { return s.Step >= uint64(n) })
}

// WaitDone waits until a job has finished; any other end fails the test.
func (c *Cluster) WaitDone(job string) *api.JobStatus {
	c.t.Helper()
	s := c.WaitEnd(job)
	if s.Phase != api.Phase_PHASE_FINISHED {
		c.t.Fatalf("job %s ended as %v at step %d: %s", job, s.Phase, s.Step, s.Reason)
	}
	return s
}

// WaitEnd waits until a job has ended.
func (c *Cluster) WaitEnd(job string) *api.JobStatus {
	c.t.Helper()
	return c.watch(job, func(*api.JobStatus) bool { return false })
}

var errSeen = errors.New("seen")

func (c *Cluster) watch(job string, enough func(*api.JobStatus) bool) *api.JobStatus {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Patience)
	defer cancel()
	var last *api.JobStatus
	err := c.client.Watch(ctx, job, func(s *api.JobStatus) error {
		last = s
		if enough(s) {
			return errSeen
		}
		return nil
	})
	if err != nil && !errors.Is(err, errSeen) {
		c.must(err, "watch job %s, last seen at %v", job, last)
	}
	return last
}

// Model returns the bytes of the job's model file.
func (c *Cluster) Model(job string) []byte {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "model.safetensors")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.client.Model(ctx, job, path)
	c.must(err, "fetch the model of %s", job)
	b, err := os.ReadFile(path)
	c.must(err, "read the model")
	return b
}

// Rows returns the job's ledger.
func (c *Cluster) Rows(job string) []*api.LedgerRow {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var rows []*api.LedgerRow
	for row, err := range c.client.Rows(ctx, job, 0) {
		c.must(err, "ledger of %s", job)
		rows = append(rows, row)
	}
	return rows
}

func (c *Cluster) eventually(what string, f func(context.Context) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !f(ctx); <-tick.C {
		if ctx.Err() != nil {
			c.t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func (c *Cluster) listen(address string) net.Listener {
	c.t.Helper()
	l, err := net.Listen("tcp", address)
	c.must(err, "listen on %s", address)
	return l
}

func (c *Cluster) must(err error, what string, args ...any) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// stop ends everything: workers first, then replicas together.
func (c *Cluster) stop() {
	for _, p := range c.workers {
		p.stop(nil)
	}
	var all sync.WaitGroup
	for _, p := range c.replicas {
		all.Go(func() { p.stop(ps.ErrKilled) })
	}
	all.Wait()
	if c.client != nil {
		if err := c.client.Close(); err != nil {
			c.t.Errorf("close the client: %v", err)
		}
	}
	for _, l := range c.links {
		c.must(l.Close(), "close a link")
	}
	if c.nats != nil {
		c.nats.Shutdown()
	}
}

func run(f func(context.Context) error) *process {
	ctx, kill := context.WithCancelCause(context.Background())
	p := &process{kill: kill, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = f(ctx)
	}()
	return p
}

func (p *process) stop(cause error) {
	p.kill(cause)
	<-p.ended
	if p.carrier != nil {
		p.err = errors.Join(p.err, p.carrier.Close())
	}
}

func trimScheme(url string) string { return strings.TrimPrefix(url, "nats://") }
